-- What the statement of nearest() (db/sql/nearest.sql) asks of the database; the steps it shares
-- with search().

-- A tenant that the caller's own WHERE names is not known here; one that a wall names is.
CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_context(query halfvec, page_end integer,
    space integer, per text)
RETURNS imgsearch_internal.search_context LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN imgsearch_internal.within_tenant(
        imgsearch_internal.search_context(query, page_end, space, per),
            imgsearch_internal.walled_tenant());
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_context(halfvec, integer, integer, text) IS
'The search_context() of nearest(), behind a wall within that tenant; per: label for groups.';

CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_plan(
    ctx imgsearch_internal.search_context, apart double precision[], access text
) RETURNS imgsearch_internal.search_plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    est imgsearch_internal.estimate := ROW(cardinality(apart) / nullif(ctx.sampled, 0), 1, apart,
        access);
BEGIN
    RETURN imgsearch_internal.plan_search(ctx, est);
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_plan(imgsearch_internal.search_context,
    double precision[], text) IS
'apart: bits between the query and the sampled candidates; access: how their bits are read.';

CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_step(
    INOUT ctx imgsearch_internal.search_context, INOUT plan imgsearch_internal.search_plan,
    tenants text[], images bigint[], distances double precision[], keys bigint[], labels text[],
    max_distance double precision, k integer, OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    p    imgsearch_internal.page_request := imgsearch_internal.page_of(k, 0, NULL, max_distance);
    c    imgsearch_internal.candidates := ROW(tenants, images, distances, labels, keys, NULL);
    step record := imgsearch_internal.settle(ctx, plan, c, p, NULL);
BEGIN
    ctx := step.ctx; plan := step.plan; answer := step.answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_step IS
'settle( ) for the candidates that the statement drew.';
