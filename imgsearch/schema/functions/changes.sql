-- Whether images changed since something was counted: triggers leave marks, and the sum of the marks that a snapshot sees
-- stands for what it sees of the images.

CREATE OR REPLACE FUNCTION imgsearch_internal.images_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO imgsearch.image_change (tenant_id, mark)
    SELECT c.tenant_id, hashtextextended(gen_random_uuid()::text, 0) FROM (SELECT DISTINCT x.tenant_id FROM changed x) c;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.images_changed() IS 'Trigger: leaves a mark for each tenant whose images a statement wrote.';

-- Equal stamps: the same counts. Snapshots of others' commits follow one another, and each that sees more images sees
-- more marks. What this transaction wrote nobody else sees: then there is no stamp. Nor is there one where a trigger was
-- switched off, where filters ask for what lies in other tables, where a policy of somebody else's hides images, of more marks than are quickly added up, and of none at all:
-- images of before this was kept count have none, and so has a tenant that was forgotten. TRUNCATE
-- changes the file, whatever changes a trigger its row.
CREATE OR REPLACE FUNCTION imgsearch_internal.counts_stamp(f imgsearch.filters) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    triggers text := (SELECT string_agg(t.xmin::text, ',' ORDER BY t.tgname) FILTER (WHERE t.tgenabled = 'A') FROM pg_catalog.pg_trigger t
                      WHERE t.tgrelid = 'imgsearch.image'::regclass AND t.tgname LIKE 'image\_counted\_%' HAVING count(*) FILTER (WHERE t.tgenabled = 'A') = 3);
    marks    record;
BEGIN
    IF triggers IS NULL OR pg_current_xact_id_if_assigned() IS NOT NULL
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_policy p WHERE p.polrelid = 'imgsearch.image'::regclass AND p.polname NOT IN ('one_tenant', 'open_for_all_tenants'))
        OR f.duplicates IS NOT NULL OR f.near IS NOT NULL OR coalesce(f.taken_after, f.taken_before) IS NOT NULL
        OR f.condition @? '$.**.near' OR f.condition @? '$.**.taken_at' THEN
        RETURN NULL;
    END IF;
    SELECT count(*) AS many, coalesce(sum(c.mark), 0) AS together INTO marks
    FROM (SELECT c.mark FROM imgsearch.image_change c WHERE f.tenant IS NULL OR c.tenant_id = f.tenant LIMIT 2001) c;
    RETURN CASE WHEN marks.many BETWEEN 1 AND 2000 THEN concat_ws(' ', current_user, coalesce(current_setting('imgsearch.tenant', true), ''),
        (SELECT s.space_id FROM imgsearch.space s WHERE s.state = 'active'), pg_relation_filenode('imgsearch.image'), triggers, marks.together) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.counts_stamp(imgsearch.filters) IS 'What stands for the state that counts under these filters follow from, for whoever asks; null: none does.';

CREATE OR REPLACE FUNCTION imgsearch_internal.facets_since(
    known text, filters imgsearch.filters, per text, prices double precision[], attributes text[], exact boolean
) RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean, error bigint, stamp text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    now_ CONSTANT text := imgsearch_internal.counts_stamp(filters);
BEGIN
    IF now_ = known THEN
        stamp := now_;
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY SELECT f.*, now_ FROM imgsearch.facets(facets_since.filters, per => facets_since.per, prices => facets_since.prices,
                                                        attributes => facets_since.attributes, exact => facets_since.exact) f;
END $$;
COMMENT ON FUNCTION imgsearch_internal.facets_since(text, imgsearch.filters, text, double precision[], text[], boolean) IS
'The rows of imgsearch.facets() with the stamp they are right for; where that is the known one, a single row without a facet.';

CREATE OR REPLACE FUNCTION imgsearch_internal.fold_changes() RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH many AS (
        SELECT c.tenant_id FROM imgsearch.image_change c GROUP BY 1 HAVING count(*) > 50
    ), folded AS (
        DELETE FROM imgsearch.image_change c USING many m WHERE c.tenant_id = m.tenant_id RETURNING c.tenant_id, c.mark
    ), kept AS (
        INSERT INTO imgsearch.image_change (tenant_id, mark) SELECT f.tenant_id, sum(f.mark) FROM folded f GROUP BY 1 RETURNING 1
    )
    SELECT count(*) FROM folded
$$;
COMMENT ON FUNCTION imgsearch_internal.fold_changes() IS 'Adds up the marks of tenants that have many: the sum stays what it is. The sweep calls this.';
