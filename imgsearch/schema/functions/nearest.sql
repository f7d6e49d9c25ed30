-- What the statement of nearest() (db/sql/nearest.sql) asks of the database; the rest it shares with search().

-- A tenant that the caller's own WHERE names is not known here; one that a wall names is.
CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_context(query halfvec, page_end integer, space integer) RETURNS imgsearch_internal.search_context
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN imgsearch_internal.within_tenant(imgsearch_internal.search_context(query, page_end, space), imgsearch_internal.walled_tenant());
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_context(halfvec, integer, integer) IS 'The search_context() of nearest(), behind a wall within that tenant.';

CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_plan(ctx imgsearch_internal.search_context, apart double precision[], access text) RETURNS imgsearch_internal.walk_plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    est imgsearch_internal.estimate := ROW(cardinality(apart) / nullif(ctx.sampled, 0), 1, apart, access);
BEGIN
    RETURN imgsearch_internal.plan_walk(ctx, est);
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_plan(imgsearch_internal.search_context, double precision[], text) IS
'apart: how far the sampled images among the candidates are from the query, in bits; access: how their bits are read.';

-- What a round of ranking by bits compares: four times as many as the one before, and farther behind the page's last.
CREATE OR REPLACE FUNCTION imgsearch_internal.pool_of_round(ctx imgsearch_internal.search_context, round integer) RETURNS imgsearch_internal.search_context LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF round > 0 THEN
        ctx.pool := least(20000, ctx.pool * 4 ^ round); ctx.margin := ceil(ctx.margin * 1.5 ^ round);
    END IF;
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.pool_of_round(imgsearch_internal.search_context, integer) IS 'The context of a round, from 0, with its pool and margin.';

-- The best of the keys, compared exactly; strategy is null where rows may be missing and a wider round can be made.
CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_by_bits(ctx imgsearch_internal.search_context, round integer, keys bigint[]) RETURNS imgsearch_internal.page
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    answer  imgsearch_internal.page;
    deepest integer;
BEGIN
    ctx := imgsearch_internal.pool_of_round(ctx, round); keys := coalesce(keys, '{}');
    SELECT r.tenants, r.images, r.distances, r.ranked, r.deepest INTO answer.tenants, answer.images, answer.distances, answer.ranked, deepest
    FROM imgsearch_internal.rerank(ctx, keys, NULL, NULL, NULL) r;
    IF ctx.pool >= 20000 OR cardinality(keys) <= ctx.pool OR NOT imgsearch_internal.is_pool_short(ctx, keys[ctx.page_end], keys[ctx.pool], deepest, answer.ranked) THEN
        answer.strategy := CASE WHEN answer.ranked = cardinality(keys) THEN 'exact' ELSE 'bits' END;
    END IF;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_by_bits(imgsearch_internal.search_context, integer, bigint[]) IS 'The nearest of the ascending keys of a round; strategy is null where another is to be made.';

-- The page: the walk's images where they are believed, else what bits found.
CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_page(
    ctx imgsearch_internal.search_context, tenants text[], images bigint[], distances double precision[], by_bits imgsearch_internal.page, max_distance double precision
) RETURNS TABLE (tenant_id text, image_id bigint, distance double precision, strategy text, complete boolean)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    answer imgsearch_internal.page := by_bits;
    p     imgsearch_internal.page_request := ROW(ctx.page_end, 0, NULL, NULL, max_distance, NULL, false, NULL, NULL, NULL, NULL, NULL);
BEGIN
    IF images IS NOT NULL THEN
        answer.tenants := tenants; answer.images := images; answer.distances := distances; answer.strategy := 'hnsw';
    END IF;
    answer := imgsearch_internal.cut(answer, p);
    RETURN QUERY SELECT x.*, answer.strategy, answer.complete FROM unnest(answer.tenants, answer.images, answer.distances) x;
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_page(imgsearch_internal.search_context, text[], bigint[], double precision[], imgsearch_internal.page, double precision) IS 'The page of nearest(), found by the walk, or, where that gave nothing, by bits.';
