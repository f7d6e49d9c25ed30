-- Parts of pictures: a table of their vectors for each space, beside that of whole pictures, which it never slows.

CREATE OR REPLACE FUNCTION imgsearch_internal.make_regions(space integer, dimension integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name CONSTANT text := 'region_' || space;
    said record;
BEGIN
    IF to_regclass('imgsearch.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE imgsearch.%I (
            image_id bigint NOT NULL,
            position smallint NOT NULL,
            x real NOT NULL,
            y real NOT NULL,
            w real NOT NULL,
            h real NOT NULL,
            score real,
            tenant_id text NOT NULL,
            sha256 bytea NOT NULL,
            label text,
            embedding halfvec(%s) NOT NULL,
            PRIMARY KEY (tenant_id, image_id, position),
            CONSTRAINT region_lies_in_the_picture CHECK (x >= 0 AND y >= 0 AND w > 0 AND h > 0 AND x + w <= 1.0001 AND y + h <= 1.0001),
            CONSTRAINT label_is_short CHECK (length(label) <= 100),
            CONSTRAINT vector_has_length_one CHECK (l2_norm(embedding) BETWEEN 0.99 AND 1.01)
        ) WITH (autovacuum_vacuum_scale_factor = 0.1)', name, dimension);
    EXECUTE format('ALTER TABLE imgsearch.%I ALTER COLUMN embedding SET STORAGE PLAIN', name);
    EXECUTE format('COMMENT ON TABLE imgsearch.%I IS %L', name, format('Vectors of parts of pictures in space %s: as many as its shop asks for.', space));
    FOR said IN SELECT v.* FROM (VALUES ('tenant_id', 'Whose picture.'), ('image_id', 'Which picture.'), ('position', 'Which of its parts, from 1.'),
        ('sha256', 'The bytes this vector was made from.'), ('x', 'Where the part begins from the left, as a share of the picture as it is shown.'),
        ('y', 'Where it begins from the top.'), ('w', 'How wide it is.'), ('h', 'How high it is.'), ('label', 'What the detector calls it; null: nobody says.'),
        ('score', 'How sure the proposer is, from 0 to 1; null: it does not say.'), ('embedding', 'Vector of length one; cosine distance is <=>.')) v (name, about) LOOP
        EXECUTE format('COMMENT ON COLUMN imgsearch.%I.%I IS %L', name, said.name, said.about);
    END LOOP;
    EXECUTE format('CREATE INDEX %I ON imgsearch.%I (image_id)', name || '_by_id', name);
    IF imgsearch_internal.may_have_graph() THEN  -- the table is empty
        EXECUTE format('CREATE INDEX %I ON imgsearch.%I %s', name || '_hnsw', name, imgsearch_internal.graph_sql());
    END IF;
    PERFORM imgsearch.enable_rls(format('imgsearch.%I', name)::regclass);
    PERFORM imgsearch_internal.grant_rights(format('imgsearch.%I', name)::regclass);
END $$;
COMMENT ON FUNCTION imgsearch_internal.make_regions(integer, integer) IS 'Makes the table of the vectors of parts in a space, behind the walls between tenants, where it is not there; tie_regions() ties it to the pictures.';

-- Apart, since it locks the pictures: behind lock_briefly(), as tie_vectors() is.
CREATE OR REPLACE FUNCTION imgsearch_internal.tie_regions(space integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = to_regclass('imgsearch.region_' || space) AND k.contype = 'f') THEN
        EXECUTE format('ALTER TABLE imgsearch.%I ADD FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE', 'region_' || space);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.tie_regions(integer) IS 'Has the parts of a picture go with it, where that was not said yet.';

CREATE OR REPLACE FUNCTION imgsearch_internal.regions_view(space integer) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN space IS NULL
        THEN 'SELECT NULL::text AS tenant_id, NULL::bigint AS image_id, NULL::smallint AS position, NULL::bytea AS sha256, NULL::real AS x, NULL::real AS y, NULL::real AS w, NULL::real AS h,
              NULL::text AS label, NULL::real AS score, NULL::@extschema:vector@.halfvec AS embedding, NULL::integer AS space_id WHERE false'
        ELSE format('SELECT tenant_id, image_id, position, sha256, x, y, w, h, label, score, embedding::@extschema:vector@.halfvec AS embedding, %1$s AS space_id FROM imgsearch.region_%1$s', space) END
$$;
COMMENT ON FUNCTION imgsearch_internal.regions_view(integer) IS 'What the view regions reads for a space; null: before there is one.';

-- New settings of a shop have its pictures looked at anew: what they were looked at with stands beside each.
CREATE OR REPLACE FUNCTION imgsearch_internal.proposer_of(shop imgsearch.shop) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT (shop).region_proposer || ' ' || (shop).regions_per_picture
$$;
COMMENT ON FUNCTION imgsearch_internal.proposer_of(imgsearch.shop) IS 'Who proposes parts of a shop''s pictures, and how many at most: salient 5; null: nobody.';

CREATE OR REPLACE FUNCTION imgsearch.forget_regions(tenant text, size integer DEFAULT 500) RETURNS bigint LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    these bigint[];
    id    integer;
BEGIN
    PERFORM imgsearch_internal.require_between('size', size, 1, 100000);
    tenant := normalize(tenant, NFC);
    these := ARRAY(SELECT r.image_id FROM imgsearch.region_state r WHERE r.tenant_id = tenant
                   AND NOT EXISTS (SELECT 1 FROM imgsearch.shop s WHERE s.tenant_id = tenant AND s.region_proposer IS NOT NULL) LIMIT size);
    these := ARRAY(SELECT i.image_id FROM imgsearch.image i WHERE i.tenant_id = tenant AND i.image_id = ANY (these) ORDER BY i.image_id FOR NO KEY UPDATE SKIP LOCKED);
    FOR id IN SELECT s.space_id FROM imgsearch.space s ORDER BY 1 LOOP
        EXECUTE format('DELETE FROM imgsearch.region_%s r WHERE r.tenant_id = $1 AND r.image_id = ANY ($2)', id) USING tenant, these;
    END LOOP;
    PERFORM set_config('imgsearch.undescribe', 'on', true);
    UPDATE imgsearch.image i SET attributes = i.attributes - 'picture_things' WHERE i.tenant_id = tenant AND i.image_id = ANY (these) AND i.attributes ? 'picture_things';
    PERFORM set_config('imgsearch.undescribe', '', true);
    DELETE FROM imgsearch.region_state r WHERE r.tenant_id = tenant AND r.image_id = ANY (these);
    RETURN cardinality(these);
END $$;
COMMENT ON FUNCTION imgsearch.forget_regions(text, integer) IS 'Removes the parts of some pictures of a shop that asks for none any more; returns of how many: call it until it is 0, each time with a COMMIT. Workers do so, too.';

-- A picture that waits for its vector is yet to come; here are those that have one and lack their parts.
CREATE OR REPLACE FUNCTION imgsearch_internal.count_regions(space integer, tenant text DEFAULT NULL, OUT with_regions bigint, OUT regions_wait bigint, OUT regions_failed bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    with_regions := 0; regions_wait := 0; regions_failed := 0;
    IF space IS NOT NULL AND EXISTS (SELECT 1 FROM imgsearch.shop s WHERE s.region_proposer IS NOT NULL AND (count_regions.tenant IS NULL OR s.tenant_id = count_regions.tenant)) THEN
        EXECUTE format('SELECT count(*) FILTER (WHERE r.boxes IS NOT NULL), count(*) FILTER (WHERE r.image_id IS NULL OR r.boxes IS NULL AND r.due IS NOT NULL),
                count(*) FILTER (WHERE r.boxes IS NULL AND r.image_id IS NOT NULL AND r.due IS NULL)
            FROM imgsearch.shop s JOIN imgsearch.embedding_%1$s e ON e.tenant_id = s.tenant_id
            LEFT JOIN imgsearch.region_state r ON r.tenant_id = e.tenant_id AND r.image_id = e.image_id AND r.space_id = %1$s AND r.sha256 = e.sha256 AND r.proposer = imgsearch_internal.proposer_of(s)
            WHERE s.region_proposer IS NOT NULL AND ($1 IS NULL OR s.tenant_id = $1)', space) INTO with_regions, regions_wait, regions_failed USING tenant;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.count_regions(integer, text) IS 'How many pictures of shops that ask for it were looked at for their parts in a space, how many wait for it, and of how many it failed for good.';
