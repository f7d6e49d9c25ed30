-- What a search draws its page from: a walk along the graph, bits, or every vector. search() and nearest() share all of it.

-- Bits apart and image_id in one number: it sorts faster than a row, and equal distances come out by image_id.
-- image.image_id_leaves_room keeps ids below 2^51. & is not leakproof, so behind a wall these go into a sub-select of
-- their own (OFFSET 0): a join on them would wait until every vector there was read.
CREATE OR REPLACE FUNCTION imgsearch_internal.pack_key(apart double precision, image_id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT $1::bigint << 51 | $2';
COMMENT ON FUNCTION imgsearch_internal.pack_key(double precision, bigint) IS 'Bits apart and image_id as one number that sorts by both.';
-- The same as text: a call that the planner inlines costs it 25 µs each time, and dynamic statements are planned each time.
CREATE OR REPLACE FUNCTION imgsearch_internal.key_sql(space integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT format('(i.bits_%s <~> ($1).bits::"bit")::bigint << 51 | i.image_id', space)
$$;
COMMENT ON FUNCTION imgsearch_internal.key_sql(integer) IS 'The key of an image i of that space, for dynamic statements.';
CREATE OR REPLACE FUNCTION imgsearch_internal.image_of(key bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT $1 & 2251799813685247';
COMMENT ON FUNCTION imgsearch_internal.image_of(bigint) IS 'The image_id of a key.';
CREATE OR REPLACE FUNCTION imgsearch_internal.keys_within(keys bigint[], key bigint, margin integer) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT width_bucket((least(4095, (key >> 51) + margin + 1) << 51) - 1, keys)
$$;
COMMENT ON FUNCTION imgsearch_internal.keys_within(bigint[], bigint, integer) IS 'How many of the ascending keys are at most `margin` bits farther apart than `key`.';

-- enable_sort is off: this function is a walk, whatever the planner thinks of it.
CREATE OR REPLACE FUNCTION imgsearch_internal.walk_graph(ctx imgsearch_internal.search_context, ef integer, restricted boolean)
RETURNS TABLE (tenant_id text, image_id bigint, d double precision) LANGUAGE plpgsql STABLE ROWS 40
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0
SET enable_sort = off
SET hnsw.iterative_scan = off
SET hnsw.ef_search = 200
AS $$
#variable_conflict use_column
DECLARE
    query halfvec := ctx.query;
    most  integer := walk_graph.ef / ctx.trust_divisor;
BEGIN
    PERFORM set_config('hnsw.ef_search', walk_graph.ef::text, true);
    IF ctx.tenant IS NOT NULL THEN  -- planned for that one: so its own graph answers
        RETURN QUERY EXECUTE 'SELECT w.* FROM (
            SELECT v.tenant_id, v.image_id, v.embedding <=> $1 AS d FROM imgsearch.graph_vectors v WHERE v.tenant_id = $2 ORDER BY v.embedding <=> $1 LIMIT 1000) w
        LIMIT $3' USING query, ctx.tenant, most;
    ELSIF restricted THEN
        -- Only one tenant's part of the walk comes back: of that, the first part.
        RETURN QUERY SELECT w.tenant_id, w.image_id, w.d
            FROM (SELECT w.*, row_number() OVER (ORDER BY w.d) AS place, count(*) OVER () AS walked
                  FROM (SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.graph_vectors v ORDER BY v.embedding <=> query LIMIT 1000) w) w
            WHERE w.place <= w.walked / greatest(ctx.trust_divisor, imgsearch_internal.cautious_divisor(ctx.page_end, ctx.pictures));
    ELSE
        RETURN QUERY SELECT w.* FROM (
            SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.graph_vectors v ORDER BY v.embedding <=> query LIMIT 1000) w
        LIMIT most;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_graph(imgsearch_internal.search_context, integer, boolean) IS 'The images nearest to a query by the graph, or by that of one tenant, those that are believed.';

CREATE OR REPLACE FUNCTION imgsearch_internal.hnsw_candidates(ctx imgsearch_internal.search_context, ef integer, restricted boolean)
RETURNS TABLE (tenant_id text, image_id bigint, d double precision) LANGUAGE plpgsql STABLE ROWS 40
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    query halfvec := ctx.query;
    shop  text := ctx.tenant;
    met   record;
BEGIN
    IF ef IS NULL THEN
        RETURN;
    ELSIF NOT EXISTS (SELECT 1 FROM imgsearch.tail_vectors) THEN
        RETURN QUERY SELECT w.* FROM imgsearch_internal.walk_graph(ctx, ef, restricted) w;
        RETURN;
    END IF;
    SELECT array_agg(w.tenant_id) AS tenants, array_agg(w.image_id) AS images, array_agg(w.d) AS distances, max(w.d) AS edge INTO met
    FROM imgsearch_internal.walk_graph(ctx, ef, restricted) w;
    RETURN QUERY SELECT u.* FROM unnest(met.tenants, met.images, met.distances) u
        -- What waits outside the graph is compared whole; farther out than the walk is believed, nothing is.
        UNION ALL SELECT t.* FROM (SELECT v.tenant_id, v.image_id, (v.embedding <=> query) + 0 AS d FROM imgsearch.tail_vectors v WHERE shop IS NULL OR v.tenant_id = shop) t WHERE t.d <= met.edge;
END $$;
COMMENT ON FUNCTION imgsearch_internal.hnsw_candidates(imgsearch_internal.search_context, integer, boolean) IS 'The images nearest to a query by the graph, those that are believed, and as near ones that are not in it yet; none where ef is null.';

-- plpgsql, though one expression: inlined into the statement of nearest() it would cost planning more than a call costs.
CREATE OR REPLACE FUNCTION imgsearch_internal.is_trusted(distances double precision[], page_end integer, max_distance double precision) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    -- A row behind the page must be farther away: rows as far as its last one may be missing.
    RETURN coalesce(cardinality(distances) > page_end AND distances[cardinality(distances)] > distances[page_end]
                    OR distances[cardinality(distances)] > max_distance, false);
END $$;
COMMENT ON FUNCTION imgsearch_internal.is_trusted(double precision[], integer, double precision) IS 'Whether what matches in the believed part of a walk, ascending, holds the whole page.';

-- No pool holds fewer, so a list that is no longer holds all that matches.
CREATE OR REPLACE FUNCTION imgsearch_internal.are_few(many integer) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT many <= 1000';
COMMENT ON FUNCTION imgsearch_internal.are_few(integer) IS 'Whether so few match that all of them are compared exactly, whatever their bits say: 1 to 3 ms.';

-- The best of the keys, compared exactly: all where they are few, else those within the margin of the page's last one. Where the query's bits are
-- rough, or a page continues behind another, all of them.
CREATE OR REPLACE FUNCTION imgsearch_internal.rerank(
    ctx imgsearch_internal.search_context, keys bigint[], shop text, after_distance double precision, after_image bigint,
    OUT tenants text[], OUT images bigint[], OUT distances double precision[], OUT ranked integer, OUT deepest integer
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    query halfvec := ctx.query;
    most  integer := ctx.page_end;
BEGIN
    ranked := least(cardinality(keys), ctx.pool);
    IF NOT ctx.rough AND after_image IS NULL AND ranked > most AND NOT imgsearch_internal.are_few(cardinality(keys)) THEN
        ranked := imgsearch_internal.keys_within(keys[1:ranked], keys[most], ctx.margin);
    END IF;
    SELECT coalesce(array_agg(r.tenant_id), '{}'), coalesce(array_agg(r.image_id), '{}'), coalesce(array_agg(r.d), '{}'), max(r.n) INTO tenants, images, distances, deepest FROM (
        -- + 0: ordered by the distance itself, the planner may walk the HNSW for this and find but a part of them.
        SELECT v.tenant_id, v.image_id, (v.embedding <=> query) + 0 AS d, u.n
        FROM (SELECT imgsearch_internal.image_of(u.key) AS image_id, u.n FROM unnest(keys[1:ranked]) WITH ORDINALITY u (key, n) OFFSET 0) u
        JOIN imgsearch.vectors v ON v.image_id = u.image_id
        WHERE (shop IS NULL OR v.tenant_id = shop) AND (after_image IS NULL OR (v.embedding <=> query, v.image_id) > (after_distance, after_image))
        ORDER BY d, v.image_id LIMIT most) r;
END $$;
COMMENT ON FUNCTION imgsearch_internal.rerank(imgsearch_internal.search_context, bigint[], text, double precision, bigint) IS 'The nearest of an ascending list of keys, by their vectors; deepest: where in the list the last of them stood.';

-- Bits tell little where all that matches lies about as far: then what is as near as the page may lie behind the pool. It shows
-- in where the page's rows stood among what was compared (deepest), and in how little farther by bits the pool's last key
-- lies than the page's (edge). docs/decisions/0039-structures.md.
CREATE OR REPLACE FUNCTION imgsearch_internal.is_pool_short(ctx imgsearch_internal.search_context, edge bigint, last bigint, deepest integer, ranked bigint) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN deepest > ranked / 2 OR (last >> 51) - (edge >> 51) < 1.3 * sqrt(length(ctx.bits));
END $$;
COMMENT ON FUNCTION imgsearch_internal.is_pool_short(imgsearch_internal.search_context, bigint, bigint, integer, bigint) IS 'Whether a pool that does not hold all that matches may lack rows of the page.';
