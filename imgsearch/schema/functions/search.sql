-- The complete answer in one statement: find(): few? → context → estimate → plan → steps. A step
-- draws candidates from a walk or by bits and settles them; the last one compares everything, so no
-- page can be short.

CREATE OR REPLACE FUNCTION imgsearch_internal.find(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request,
    OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.search_plan
) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
-- The few static statements keep one plan; the dynamic ones are planned for their values each time.
SET plan_cache_mode = force_generic_plan
SET jit = off
SET max_parallel_workers_per_gather = 0 AS $$
#variable_conflict use_variable
DECLARE
    per   CONSTANT text := CASE WHEN p.per_product THEN 'product' END;
    made  imgsearch_internal.filter_text;
    ctx   imgsearch_internal.search_context;
    est   imgsearch_internal.estimate;
    bound imgsearch_internal.bound;
    c     imgsearch_internal.candidates;
    few   boolean;
    step  record;
BEGIN
    PERFORM imgsearch_internal.check_page(p);
    made := imgsearch_internal.filter_sql(f);
    IF p.regions IS NULL AND f.tenant IS NOT NULL AND made.plain THEN
        answer := imgsearch_internal.small_tenant_page(query, made.columns, p, per);
        IF answer.strategy IS NOT NULL THEN
            plan.reason := 'few'; plan.share := 1;
            RETURN;
        END IF;
    END IF;
    ctx := imgsearch_internal.search_context(query, p.k + p.skip + coalesce(p.passed, 0), p.space,
        per);
    bound := ROW(made.names, made.vals, ctx.bits, p.after_distance, p.after_image);
    IF p.regions IS NOT NULL THEN
        step := imgsearch_internal.find_by_regions(ctx, made, bound, p);
        answer := step.answer; plan := step.plan;
        RETURN;
    END IF;
    plan := ROW('bits', NULL, ctx.pool, ctx.margin, NULL, NULL, NULL, false, 'few', NULL);
    c := imgsearch_internal.few_keys(ctx, made);
    few := c.keys IS NOT NULL;
    IF NOT few THEN
        ctx := imgsearch_internal.within_tenant(ctx, coalesce(f.tenant,
            imgsearch_internal.walled_tenant()));
        est := imgsearch_internal.estimate(ctx, made, bound);
        plan := imgsearch_internal.plan_search(ctx, est);
    END IF;
    LOOP
        IF plan.pool IS NULL THEN
            answer := imgsearch_internal.exact_page(ctx, made, bound, p, NULL);
            RETURN;
        ELSIF plan.source = 'hnsw' THEN
            c := imgsearch_internal.walk(ctx, plan, made, bound);
        ELSIF NOT few THEN
            c := imgsearch_internal.scan_keys(ctx, plan, est, made, bound);
        END IF;
        step := imgsearch_internal.settle(ctx, plan, c, p, f.tenant);
        ctx := step.ctx; plan := step.plan; answer := step.answer;
        EXIT WHEN answer.strategy IS NOT NULL;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.find(halfvec, imgsearch.filters,
    imgsearch_internal.page_request) IS
'One page of nearest images as arrays, and how it was found, in one row.';

-- named: only these images; null: all that match.
CREATE OR REPLACE FUNCTION imgsearch_internal.exact_page(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text,
        bound imgsearch_internal.bound,
    p imgsearch_internal.page_request, named imgsearch_internal.candidates
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    answer imgsearch_internal.page;
BEGIN
    EXECUTE format('WITH y AS MATERIALIZED (
            SELECT i.tenant_id, i.image_id, i.product_id, (%1$s) + 0 AS d
            FROM %2$s imgsearch.image i %3$s
            JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
                WHERE true%4$s
        ), g AS MATERIALIZED (
            SELECT %5$s y.* FROM y ORDER BY %6$s y.d, y.image_id
        )
        SELECT coalesce(array_agg(x.tenant_id), ''{}''), coalesce(array_agg(x.image_id), ''{}''),
               coalesce(array_agg(x.d), ''{}''), coalesce(array_agg(x.product_id), ''{}''),
               (SELECT count(*) FROM g), (SELECT count(*) FROM y)
        FROM (SELECT g.* FROM g WHERE ($4).after_image IS NULL
            OR (g.d, g.image_id) > (($4).after_distance, ($4).after_image)
              ORDER BY g.d, g.image_id LIMIT ($4).k + ($4).skip) x
        WHERE ($4).max_distance IS NULL OR x.d <= ($4).max_distance',
        imgsearch_internal.distance_sql(p, '$3', '($4).regions'),
        CASE WHEN named IS NOT NULL THEN '(SELECT DISTINCT u.*
            FROM unnest($5, $6) u (tenant_id, image_id)) u JOIN' END,
        CASE WHEN named IS NOT NULL THEN 'ON i.tenant_id = u.tenant_id
            AND i.image_id = u.image_id' END,
        made.condition,
        CASE WHEN p.per_product THEN 'DISTINCT ON (y.tenant_id COLLATE "C",
            y.product_id COLLATE "C")' END,
        CASE WHEN p.per_product THEN 'y.tenant_id COLLATE "C", y.product_id COLLATE "C",' END)
    INTO answer.tenants, answer.images, answer.distances, answer.products, answer.matches,
        answer.pictures
    USING bound, made.f, ctx.query, p, (named).tenants, (named).images;
    answer.ranked := answer.pictures; answer.more := false; answer.strategy := 'exact';
    IF NOT p.per_product THEN
        answer.products := NULL; answer.pictures := NULL;
    END IF;
    RETURN imgsearch_internal.cut(answer, p);
END $$;
COMMENT ON FUNCTION imgsearch_internal.exact_page IS
'The page by comparing every image that matches, and all of its regions where they weigh.';

CREATE OR REPLACE FUNCTION imgsearch_internal.exact_distances(
    query halfvec, f imgsearch.filters, k integer, per_product boolean DEFAULT false
) RETURNS double precision[] LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    p     imgsearch_internal.page_request := imgsearch_internal.page_of(k);
BEGIN
    p.per_product := per_product;
    RETURN (imgsearch_internal.exact_page(imgsearch_internal.search_context(query, k, NULL, NULL),
        made,
        ROW(made.names, made.vals, NULL, NULL, NULL), p, NULL)).distances;
END $$;
COMMENT ON FUNCTION imgsearch_internal.exact_distances(halfvec, imgsearch.filters, integer,
    boolean) IS
'The distances of the k nearest that match, all compared: what recall is measured against.';
