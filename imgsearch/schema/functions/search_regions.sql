-- Searching by parts: a picture lies as near as the mean of its whole and the nearest of its regions, weighed:
--
--   distance = (1 - w) * whole + w * least(whole, best region)
--
-- Two graphs are walked, one of pictures and one of regions. A picture that neither met lies farther than both edges,
-- so its distance is above the same mean of them: what lies below that is all there is (the threshold algorithm of
-- Fagin, Lotem and Naor, 2001). What was met is compared exactly, and both go on until the page lies below. Where that
-- costs more than comparing all that match, all of it is compared.

-- Without a region it is the distance of the whole to the last bit.
CREATE OR REPLACE FUNCTION imgsearch_internal.regional(whole double precision, region double precision, weight double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT whole - weight * (whole - least(whole, region))
$$;
COMMENT ON FUNCTION imgsearch_internal.regional(double precision, double precision, double precision) IS 'The distance of a picture by its whole and the nearest of its regions (null: it has none).';

-- Looked for in the order of the primary key: one entry is read, whoever has regions and however many.
CREATE OR REPLACE FUNCTION imgsearch_internal.regions_weight(r imgsearch.ranking, f imgsearch.filters) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
    walled CONSTANT boolean := row_security_active('imgsearch.image');
    shop   CONSTANT text := coalesce(f.tenant, CASE WHEN walled THEN coalesce(imgsearch.current_tenant(), '') END);
BEGIN
    IF shop IS NULL THEN
        RETURN CASE WHEN (SELECT x.tenant_id FROM imgsearch.regions x ORDER BY x.tenant_id, x.image_id, x.position LIMIT 1) IS NOT NULL THEN r.regions END;
    END IF;
    RETURN CASE WHEN (SELECT x.tenant_id FROM imgsearch.regions x WHERE x.tenant_id >= shop AND x.tenant_id <= shop ORDER BY x.tenant_id, x.image_id, x.position LIMIT 1) IS NOT NULL THEN r.regions END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.regions_weight(imgsearch.ranking, imgsearch.filters) IS 'How much regions weigh in a search; null: nobody asked for them, or there are none where it searches.';

-- As text, for dynamic statements that bind the query as $8 and the weight as $11.
CREATE OR REPLACE FUNCTION imgsearch_internal.distance_sql(p imgsearch_internal.page_request) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p.regions IS NULL THEN 'v.embedding <=> $8' ELSE
        'imgsearch_internal.regional(v.embedding <=> $8, (SELECT min(r.embedding <=> $8) FROM imgsearch.regions r WHERE r.tenant_id = v.tenant_id AND r.image_id = v.image_id), $11)' END
$$;
COMMENT ON FUNCTION imgsearch_internal.distance_sql(imgsearch_internal.page_request) IS 'The distance of a vector v: of its whole picture, or where regions weigh, by parts.';

-- A page of the pictures that are named, or of all that match: each compared whole and by all of its regions.
CREATE OR REPLACE FUNCTION imgsearch_internal.compared_regions(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound, p imgsearch_internal.page_request, tenants text[], images bigint[]
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    answer imgsearch_internal.page;
BEGIN
    EXECUTE 'WITH y AS MATERIALIZED (
            SELECT z.tenant_id, z.image_id, z.product_id, imgsearch_internal.regional(z.whole, z.region, ($4).regions) AS d
            FROM (SELECT i.tenant_id, i.image_id, i.product_id, v.embedding <=> $3 AS whole,
                         (SELECT min(r.embedding <=> $3) FROM imgsearch.regions r WHERE r.tenant_id = i.tenant_id AND r.image_id = i.image_id) AS region
                  FROM ' || CASE WHEN images IS NULL THEN '' ELSE '(SELECT DISTINCT u.* FROM unnest($5, $6) u (tenant_id, image_id)) u JOIN ' END || 'imgsearch.image i '
        || CASE WHEN images IS NULL THEN '' ELSE 'ON i.tenant_id = u.tenant_id AND i.image_id = u.image_id ' END || '
                  JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id WHERE true' || made.condition || ' OFFSET 0) z
        ), g AS MATERIALIZED (' || CASE WHEN p.per_product
            THEN 'SELECT DISTINCT ON (y.tenant_id COLLATE "C", y.product_id COLLATE "C") y.* FROM y ORDER BY y.tenant_id COLLATE "C", y.product_id COLLATE "C", y.d, y.image_id'
            ELSE 'SELECT y.* FROM y' END || ')
        SELECT coalesce(array_agg(x.tenant_id), ''{}''), coalesce(array_agg(x.image_id), ''{}''), coalesce(array_agg(x.d), ''{}''), coalesce(array_agg(x.product_id), ''{}''),
               (SELECT count(*) FROM g), (SELECT count(*) FROM y)
        FROM (SELECT g.* FROM g
              WHERE (($1).after_image IS NULL OR (g.d, g.image_id) > (($1).after_distance, ($1).after_image)) AND (($4).max_distance IS NULL OR g.d <= ($4).max_distance)
              ORDER BY g.d, g.image_id LIMIT ($4).k OFFSET ($4).skip) x'
    INTO answer.tenants, answer.images, answer.distances, answer.products, answer.matches, answer.pictures USING asked, made.f, ctx.query, p, tenants, images;
    answer.products := CASE WHEN p.per_product THEN answer.products END;
    answer.strategy := 'exact'; answer.complete := true; answer.more := false; answer.ranked := answer.pictures;
    answer.pictures := CASE WHEN p.per_product THEN answer.pictures END;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.compared_regions IS 'The page by comparing pictures and their regions: those named, or (null) all that match.';

-- The graph of regions is larger, so its walks are wider and believed less: as search_context() does for pictures.
CREATE OR REPLACE FUNCTION imgsearch_internal.regions_context(ctx imgsearch_internal.search_context) RETURNS imgsearch_internal.search_context LANGUAGE plpgsql STABLE AS $$
DECLARE
    here record;
    was  CONSTANT double precision := least(2, (greatest(200000, ctx.pictures) / 200000) ^ 0.4);
    now_ double precision;
BEGIN
    SELECT greatest(0, c.reltuples) AS regions,
           EXISTS (SELECT 1 FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class g ON g.oid = x.indexrelid JOIN pg_catalog.pg_am a ON a.oid = g.relam
                   WHERE x.indrelid = c.oid AND a.amname = 'hnsw' AND x.indisvalid) AS indexed
    INTO here FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('imgsearch.region_' || ctx.space_id);
    now_ := least(2, (greatest(200000, here.regions) / 200000) ^ 0.4);
    ctx.ef := least(1000, ctx.ef * now_ / was); ctx.trust_divisor := round(ctx.trust_divisor * now_ / was);
    ctx.pictures := here.regions; ctx.indexed := ctx.indexed AND here.indexed;
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.regions_context(imgsearch_internal.search_context) IS 'What is known of how to search the regions; pictures: how many there are.';

-- plan.bits_ms: what comparing all that match costs, 6 µs a picture and 1.5 µs each of its regions.
CREATE OR REPLACE FUNCTION imgsearch_internal.plan_regions(
    ctx imgsearch_internal.search_context, parts imgsearch_internal.search_context, est imgsearch_internal.estimate
) RETURNS imgsearch_internal.walk_plan LANGUAGE plpgsql STABLE AS $$
DECLARE
    plan imgsearch_internal.walk_plan := imgsearch_internal.plan_walk(ctx, est);
    wide integer;
BEGIN
    plan.bits_ms := 0.5 + coalesce(plan.share, 1) * (0.006 * ctx.pictures + 0.0015 * parts.pictures);
    wide := least(1000, greatest(parts.ef, 1.1 * parts.trust_divisor * ctx.page_end / nullif(plan.nearby, 0)));
    plan.reason := CASE WHEN coalesce(plan.share, 0) = 0 OR plan.nearby = 0 THEN 'rare' WHEN NOT parts.indexed THEN 'absent' WHEN ctx.ef = 0 THEN 'vain'
                        WHEN imgsearch_internal.walk_cost_ms(ctx.ef) + imgsearch_internal.walk_cost_ms(wide) >= 0.8 * plan.bits_ms THEN 'dear' END;
    plan.ef := CASE WHEN plan.reason IS NULL THEN wide END;
    RETURN plan;
END $$;
COMMENT ON FUNCTION imgsearch_internal.plan_regions IS 'How wide to walk the graph of regions, or why everything is compared.';

CREATE OR REPLACE FUNCTION imgsearch_internal.find_by_regions(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.walk_plan
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    ctx   imgsearch_internal.search_context := imgsearch_internal.cautious(imgsearch_internal.search_context(query, p.k + p.skip + coalesce(p.passed, 0), p.space));
    parts imgsearch_internal.search_context := imgsearch_internal.regions_context(ctx);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, ctx.bits, p.after_distance, p.after_image);
    walked record;
BEGIN
    plan.reason := 'few';
    IF p.skip <= 1000 THEN
        plan := imgsearch_internal.plan_regions(ctx, parts, imgsearch_internal.estimate(ctx, made, asked));
        IF plan.ef IS NOT NULL THEN
            walked := imgsearch_internal.walked_regions(ctx, parts, made, asked, p, plan);
            plan := walked.plan; answer := walked.answer;
        END IF;
    END IF;
    IF answer.strategy IS NULL THEN
        answer := imgsearch_internal.compared_regions(ctx, made, asked, p, NULL, NULL);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.find_by_regions(halfvec, imgsearch.filters, imgsearch_internal.page_request) IS 'What find() finds, where regions weigh: by two walks, or by comparing all that match.';

-- Where the whole is as near as its best region, the picture is what matched. Planned once.
CREATE OR REPLACE FUNCTION imgsearch_internal.parts_of(images bigint[], query halfvec) RETURNS jsonb[] LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN ARRAY(
        SELECT (SELECT jsonb_build_object('box', jsonb_build_array(r.x, r.y, r.w, r.h), 'label', r.label)
                FROM imgsearch.regions r LEFT JOIN imgsearch.vectors v ON v.tenant_id = r.tenant_id AND v.image_id = r.image_id
                WHERE r.image_id = u.image_id AND r.embedding <=> query < v.embedding <=> query
                -- + 0: in the order of the distance itself the planner may walk the graph for this.
                ORDER BY (r.embedding <=> query) + 0, r.position LIMIT 1)
        FROM unnest(images) WITH ORDINALITY u (image_id, place) ORDER BY u.place);
END $$;
COMMENT ON FUNCTION imgsearch_internal.parts_of(bigint[], halfvec) IS 'For each picture its region that lies nearer than the whole, {"box": [x, y, w, h], "label": …}; null: none does.';

CREATE OR REPLACE FUNCTION imgsearch_internal.with_parts(answer imgsearch_internal.page, query halfvec) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
BEGIN
    answer.parts := imgsearch_internal.parts_of(answer.images, query);
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_parts(imgsearch_internal.page, halfvec) IS 'A page with the region of each of its pictures that lies nearer than the whole; see parts_of().';

CREATE OR REPLACE FUNCTION imgsearch_internal.box_of(part jsonb) RETURNS real[] LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN part IS NOT NULL THEN ARRAY(SELECT e::real FROM jsonb_array_elements_text(part -> 'box') WITH ORDINALITY b (e, n) ORDER BY n) END
$$;
COMMENT ON FUNCTION imgsearch_internal.box_of(jsonb) IS 'The box (x, y, w, h) of a part, in shares of the picture''s sides.';
