-- Graphs of single tenants. A walk along the graph of all meets others' pictures for most of its way; a large tenant has
-- an HNSW of its own, a partial index beside the common one, and its searches walk that as if there were nobody else
-- (docs/decisions/0035-tenants.md).

-- By a digest: a tenant's name may be longer than an index's, and hold anything.
CREATE OR REPLACE FUNCTION imgsearch_internal.tenant_graph_name(space integer, tenant text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'embedding_' || space || '_hnsw_' || left(encode(sha256(convert_to(tenant, 'UTF8')), 'hex'), 16)
$$;
COMMENT ON FUNCTION imgsearch_internal.tenant_graph_name(integer, text) IS 'The name of the index that is a tenant''s own graph in a space.';

CREATE OR REPLACE FUNCTION imgsearch_internal.tenant_graphs_of(space integer) RETURNS TABLE (name text, relation text, how text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch_internal.tenant_graph_name(space, g.tenant_id), 'embedding_' || space,
           format('%s WHERE tenant_id = %L', imgsearch_internal.graph_sql(), g.tenant_id)
    FROM imgsearch.tenant_graph g WHERE g.wanted AND imgsearch_internal.may_have_graph()
$$;
COMMENT ON FUNCTION imgsearch_internal.tenant_graphs_of(integer) IS 'The graphs of single tenants that a space is to have, as indexes_of() tells of those it must have.';

CREATE OR REPLACE FUNCTION imgsearch_internal.index_state(name text) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT CASE WHEN x.indisvalid THEN 'valid' WHEN EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = x.indexrelid) THEN 'being built' ELSE 'invalid' END
                     FROM pg_index x WHERE x.indexrelid = to_regclass('imgsearch.' || quote_ident(name))), 'none')
$$;
COMMENT ON FUNCTION imgsearch_internal.index_state(text) IS 'How an index is: valid, being built, invalid or none.';

-- The one tenant whose rows this role sees, and no other's: only then may a search leave the others out. A policy beside
-- ours that holds for this role shows more.
CREATE OR REPLACE FUNCTION imgsearch_internal.walled_tenant() RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT row_security_active('imgsearch.image') OR EXISTS (
        SELECT 1 FROM pg_policy p, unnest(p.polroles) r (role)
        WHERE p.polrelid = 'imgsearch.image'::regclass AND p.polname <> 'one_tenant' AND (r.role = 0 OR pg_has_role(r.role, 'USAGE'))) THEN
        RETURN NULL;
    END IF;
    RETURN imgsearch.current_tenant();
END $$;
COMMENT ON FUNCTION imgsearch_internal.walled_tenant() IS 'The tenant that row-level security limits this role to; null where it does not.';

-- Then everything is counted within the tenant: its pictures are all there are, and of the sample only its own count.
CREATE OR REPLACE FUNCTION imgsearch_internal.within_tenant(ctx imgsearch_internal.search_context, shop text) RETURNS imgsearch_internal.search_context LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    pictures double precision;
BEGIN
    IF shop IS NULL THEN
        RETURN ctx;
    END IF;
    SELECT c.reltuples INTO pictures FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
    WHERE x.indexrelid = to_regclass('imgsearch.' || imgsearch_internal.tenant_graph_name(ctx.space_id, shop)) AND x.indisvalid;
    -- Of nearly all, the planner may take the graph of all, and then the walk is believed too far.
    IF pictures > 0 AND pictures <= 0.9 * ctx.pictures THEN
        ctx.tenant := shop; ctx.pictures := pictures; ctx.indexed := true;
        ctx.sampled := (SELECT count(*) FROM imgsearch.image_sample s WHERE s.tenant_id = shop);
        -- Nearly every search goes by it, those too that bits answered before, and many ask for what the tenant has little
        -- of: so it is wider than that of all. Less of it is not believed: a graph that does not reach a picture misses it
        -- whatever part is taken.
        ctx.ef := least(1000, ceil(1.3 * ctx.ef));
        ctx := imgsearch_internal.cautious(ctx);
    END IF;
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.within_tenant(imgsearch_internal.search_context, text) IS 'The context of a search of one tenant, which walks that one''s own graph where it has one; of null, or of one that has none, the same context.';

-- The rule, for the searched space. Below 30,000 pictures bits are as quick as any walk; of a tenant with half of all the
-- common graph is as good; below 7 % there would be too many, and each is one more that planning looks at. What was made is
-- dropped a little beyond these bounds, so that nothing is built and dropped in turn.
CREATE OR REPLACE FUNCTION imgsearch_internal.deserves_graph(pictures bigint, share double precision, has boolean, fewest bigint) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN has THEN pictures >= fewest * 2 / 3 AND share BETWEEN 0.05 AND 0.5 ELSE pictures >= fewest AND share BETWEEN 0.07 AND 0.4 END
$$;
COMMENT ON FUNCTION imgsearch_internal.deserves_graph(bigint, double precision, boolean, bigint) IS 'Whether a tenant with so many pictures, that share of all, is to have a graph of its own; has: it has one.';

CREATE OR REPLACE FUNCTION imgsearch_internal.tenant_graphs_due(fewest bigint DEFAULT NULL) RETURNS TABLE (tenant_id text, doing text, pictures bigint, share double precision) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    id    integer := (SELECT s.space_id FROM imgsearch.space s WHERE s.state = 'active');
    total double precision := (SELECT greatest(c.reltuples, 0) + imgsearch_internal.tail_rows(id) FROM pg_class c WHERE c.oid = to_regclass('imgsearch.embedding_' || id));
    one   record;
BEGIN
    fewest := coalesce(fewest, nullif(current_setting('imgsearch.large_tenant', true), '')::bigint, 30000);
    IF imgsearch_internal.index_state(format('embedding_%s_hnsw', id)) <> 'valid' OR NOT imgsearch_internal.may_have_graph() THEN
        RETURN;
    END IF;
    -- Counted are those that are large in the sample; of half as many as they should be, one may still be large enough.
    FOR one IN SELECT t.tenant_id, g.wanted, g.by_hand,
                      (SELECT array_agg(imgsearch_internal.index_state(imgsearch_internal.tenant_graph_name(s.space_id, t.tenant_id))) FROM imgsearch.space s
                       WHERE imgsearch_internal.index_state(format('embedding_%s_hnsw', s.space_id)) = 'valid') AS states
               FROM (SELECT i.tenant_id FROM imgsearch.image_sample i GROUP BY i.tenant_id HAVING count(*) >= 0.035 * (SELECT count(*) FROM imgsearch.image_sample)
                     UNION SELECT g.tenant_id FROM imgsearch.tenant_graph g) t
               LEFT JOIN imgsearch.tenant_graph g ON g.tenant_id = t.tenant_id ORDER BY t.tenant_id LOOP
        EXECUTE format('SELECT count(*) FROM imgsearch.embedding_%s e WHERE e.tenant_id = $1', id) INTO pictures USING one.tenant_id;
        tenant_id := one.tenant_id; share := pictures / greatest(total, pictures, 1);
        doing := CASE WHEN one.states && '{being built}' THEN NULL
                      WHEN CASE WHEN one.by_hand THEN one.wanted ELSE imgsearch_internal.deserves_graph(pictures, share, one.wanted IS NOT NULL, fewest) END
                      THEN CASE WHEN one.states && '{none,invalid}' OR one.wanted IS NULL THEN 'make' END
                      WHEN one.states && '{valid,invalid}' OR NOT one.by_hand THEN 'drop' END;
        IF doing IS NOT NULL THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.tenant_graphs_due(bigint) IS 'Which tenants are to get a graph of their own, or to lose it: what workers do when they are idle. fewest: pictures that a tenant must have; null: the setting imgsearch.large_tenant, else 30,000.';
