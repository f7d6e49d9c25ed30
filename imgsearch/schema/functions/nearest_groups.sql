-- The same with a row per group: what nearest(…, per=…) asks of the database. Groups come as text, in any number of rows.

-- How crowded the query's neighbourhood is is guessed for products; of other groups the first walk and pool tell more.
CREATE OR REPLACE FUNCTION imgsearch_internal.groups_context(query halfvec, page_end integer, space integer) RETURNS imgsearch_internal.search_context
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ctx imgsearch_internal.search_context := imgsearch_internal.nearest_context(query, page_end, space);
BEGIN
    ctx.crowding := coalesce(imgsearch_internal.crowding(ctx), 1);
    ctx := imgsearch_internal.cautious(ctx);
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.groups_context(halfvec, integer, integer) IS 'The nearest_context() of a page of groups.';

-- 1,000 pictures may be of one group, so the pool is widened, and the fourth time it is all that matches: still bits, of
-- which nearest_groups() compares few exactly.
CREATE OR REPLACE FUNCTION imgsearch_internal.pool_of_groups(ctx imgsearch_internal.search_context, round integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN round < 3 THEN ctx.pool * least(3, sqrt(ctx.crowding)) * 4 ^ round END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.pool_of_groups(imgsearch_internal.search_context, integer) IS 'How many keys to take in a round, from 0; null: all.';

-- A pool must hold the page's groups and reach as far behind the last as bits may err. Not for ever: the k-th group
-- stands where the n-th picture does, and four times the pool of a page of n pictures is enough; where all of it is
-- compared anyhow, three quarters are.
CREATE OR REPLACE FUNCTION imgsearch_internal.groups_within(ctx imgsearch_internal.search_context, keys bigint[], groups text[], size bigint) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    many   CONSTANT integer := coalesce(cardinality(keys), 0);
    most   CONSTANT integer := ctx.page_end;
    within integer;
    edge   bigint;
    usual  double precision;
BEGIN
    SELECT x.first INTO edge FROM (SELECT min(u.key) AS first FROM unnest(keys, groups) u (key, label) GROUP BY u.label) x ORDER BY 1 OFFSET most - 1 LIMIT 1;
    IF edge IS NULL THEN
        RETURN CASE WHEN coalesce(many <= size, true) THEN many END;
    END IF;
    within := CASE WHEN ctx.rough OR imgsearch_internal.are_few(many) AND coalesce(many <= size, true) THEN many ELSE imgsearch_internal.keys_within(keys, edge, ctx.margin) END;
    usual := ctx.pool * sqrt(width_bucket(edge, keys)::double precision / most);
    RETURN CASE WHEN within < many OR coalesce(many <= size, true) THEN within WHEN size >= CASE WHEN ctx.rough THEN 0.75 ELSE 4 END * usual THEN size END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.groups_within(imgsearch_internal.search_context, bigint[], text[], bigint) IS
'How many of the ascending keys to compare exactly for a page of groups; null where the `size` that were asked for are too few.';

-- Of a pool that was widened far, each key once, and of each group those within the margin of its own best.
CREATE OR REPLACE FUNCTION imgsearch_internal.thin_groups(ctx imgsearch_internal.search_context, INOUT keys bigint[], INOUT groups text[]) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    SELECT array_agg(y.key), array_agg(y.label) INTO keys, groups FROM (
        SELECT DISTINCT x.key, x.label FROM (
            SELECT u.key, u.label, min(u.key) OVER (PARTITION BY u.label COLLATE "C") AS first FROM unnest(keys, groups) u (key, label)) x
        WHERE ctx.rough OR x.key >> 51 <= (x.first >> 51) + ctx.margin) y;
END $$;
COMMENT ON FUNCTION imgsearch_internal.thin_groups(imgsearch_internal.search_context, bigint[], text[]) IS 'The keys that may be the nearest of their group.';

CREATE OR REPLACE FUNCTION imgsearch_internal.rerank_groups(
    ctx imgsearch_internal.search_context, keys bigint[], INOUT groups text[], OUT tenants text[], OUT images bigint[], OUT distances double precision[]
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    query halfvec := ctx.query;
    most  integer := ctx.page_end;
BEGIN
    SELECT array_agg(r.label), array_agg(r.tenant_id), array_agg(r.image_id), array_agg(r.d) INTO groups, tenants, images, distances FROM (
        SELECT y.* FROM (
            SELECT DISTINCT ON (x.label) x.* FROM (
                -- + 0: see rerank()
                SELECT v.tenant_id, v.image_id, (v.embedding <=> query) + 0 AS d, u.label
                FROM (SELECT imgsearch_internal.image_of(u.key) AS image_id, u.label COLLATE "C" AS label FROM unnest(keys, groups) u (key, label) OFFSET 0) u
                JOIN imgsearch.vectors v ON v.image_id = u.image_id) x
            ORDER BY x.label, x.d, x.image_id) y
        ORDER BY y.d, y.image_id, y.label LIMIT most) r;
END $$;
COMMENT ON FUNCTION imgsearch_internal.rerank_groups(imgsearch_internal.search_context, bigint[], text[]) IS 'The nearest groups among keys, each with its nearest image, by their vectors.';

-- keys and enough are those of the pool; they are null where a walk is believed, which brings tenants, images and distances.
CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_groups(
    ctx imgsearch_internal.search_context, tenants text[], images bigint[], distances double precision[], groups text[],
    keys bigint[], enough integer, max_distance double precision
) RETURNS TABLE (tenant_id text, image_id bigint, distance double precision, strategy text, complete boolean, label text)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    answer imgsearch_internal.page;
    p      imgsearch_internal.page_request := ROW(ctx.page_end, 0, NULL, NULL, max_distance, NULL, true, NULL, NULL, NULL, NULL, NULL);
BEGIN
    answer.tenants := tenants; answer.images := images; answer.distances := distances; answer.strategy := 'hnsw';
    IF enough IS NOT NULL THEN
        answer.strategy := CASE WHEN enough < cardinality(keys) OR enough > 2 * ctx.pool THEN 'bits' ELSE 'exact' END;
        keys := keys[1:enough]; groups := groups[1:enough];
        IF enough > 2 * ctx.pool THEN
            SELECT x.keys, x.groups INTO keys, groups FROM imgsearch_internal.thin_groups(ctx, keys, groups) x;
        END IF;
        SELECT x.groups, coalesce(x.tenants, '{}'), coalesce(x.images, '{}'), coalesce(x.distances, '{}') INTO groups, answer.tenants, answer.images, answer.distances
        FROM imgsearch_internal.rerank_groups(ctx, keys, groups) x;
    END IF;
    answer := imgsearch_internal.cut(answer, p);
    RETURN QUERY SELECT x.tenant_id, x.image_id, x.distance, answer.strategy, answer.complete, x.label
    FROM unnest(answer.tenants, answer.images, answer.distances, groups[1:cardinality(answer.images)]) x (tenant_id, image_id, distance, label);
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_groups(imgsearch_internal.search_context, text[], bigint[], double precision[], text[], bigint[], integer, double precision) IS
'The page of nearest(…, per=…): out of the groups that a walk found, or, where that gave nothing, of the keys.';
