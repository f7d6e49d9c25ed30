-- find(): the nearest that match, by the way that suits them. answer.sql ranks, cuts and pages what it finds.

CREATE OR REPLACE FUNCTION imgsearch_internal.find(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.walk_plan
) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- The few static statements keep one plan; the dynamic ones are planned for their values each time.
SET plan_cache_mode = force_generic_plan
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_variable
DECLARE
    ctx   imgsearch_internal.search_context;
    made  imgsearch_internal.filter_text;
    asked imgsearch_internal.bound;
    est   imgsearch_internal.estimate;
    walked record;
BEGIN
    PERFORM imgsearch_internal.check_page(p);
    IF p.regions IS NOT NULL THEN
        walked := imgsearch_internal.find_by_regions(query, f, p);
        answer := walked.answer; plan := walked.plan; RETURN;
    END IF;
    made := imgsearch_internal.filter_sql(f); plan.reason := 'few';
    IF f.tenant IS NOT NULL AND made.plain THEN
        answer := imgsearch_internal.small_tenant_page(query, made.columns, p); plan.share := CASE WHEN answer.strategy IS NOT NULL THEN 1 END;
    END IF;
    IF answer.strategy IS NULL THEN
        ctx := imgsearch_internal.search_context(query, p.k + p.skip + CASE WHEN p.per_product THEN coalesce(p.passed, 0) ELSE 0 END, p.space);
        answer := imgsearch_internal.few_page(ctx, made, p);
    END IF;
    IF answer.strategy IS NOT NULL THEN
        RETURN;
    END IF;
    ctx := imgsearch_internal.within_tenant(ctx, coalesce(f.tenant, imgsearch_internal.walled_tenant()));
    IF p.after_image IS NOT NULL AND (p.passed IS NULL OR NOT p.per_product) THEN
        ctx.ef := least(1000, 1000 * ctx.ef);  -- the rows of earlier pages are walked past
    END IF;
    asked := ROW(made.names, made.vals, ctx.bits, p.after_distance, p.after_image);
    IF p.skip <= 1000 THEN
        est := imgsearch_internal.estimate(ctx, made, asked);
        IF p.per_product THEN
            ctx := imgsearch_internal.with_crowding(ctx, est);
        END IF;
        plan := imgsearch_internal.plan_walk(ctx, est);
        IF plan.ef IS NOT NULL THEN
            IF p.per_product THEN
                walked := imgsearch_internal.hnsw_products(ctx, made, asked, p, plan); ctx := walked.ctx;
            ELSE
                walked := imgsearch_internal.hnsw_page(ctx, made, asked, p, plan);
            END IF;
            plan := walked.plan; answer := walked.answer;
        END IF;
        IF answer.strategy IS NULL THEN
            answer := CASE WHEN p.per_product THEN imgsearch_internal.bits_products(ctx, made, asked, p, est) ELSE imgsearch_internal.bits_page(ctx, made, asked, p) END;
        END IF;
    END IF;
    IF answer.strategy IS NULL THEN
        answer := CASE WHEN p.per_product THEN imgsearch_internal.exact_products(ctx, made, asked, p) ELSE imgsearch_internal.exact_page(ctx, made, asked, p) END;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.find(halfvec, imgsearch.filters, imgsearch_internal.page_request) IS 'One page of nearest images as arrays, and how it was found, in one row.';

CREATE OR REPLACE FUNCTION imgsearch_internal.exact_distances(query halfvec, f imgsearch.filters, k integer, per_product boolean DEFAULT false) RETURNS double precision[] LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ctx   imgsearch_internal.search_context := imgsearch_internal.search_context(query, k);
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
BEGIN
    IF per_product THEN
        RETURN (imgsearch_internal.exact_products(ctx, made, asked, imgsearch_internal.page_of(k))).distances;
    END IF;
    RETURN (imgsearch_internal.exact_page(ctx, made, asked, imgsearch_internal.page_of(k))).distances;
END $$;
COMMENT ON FUNCTION imgsearch_internal.exact_distances(halfvec, imgsearch.filters, integer, boolean) IS 'The distances of the k nearest that match, images or one of each product, by comparing every one of them: what recall is measured against.';
