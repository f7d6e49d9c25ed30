-- One row per product by a walk along the graph. How many pictures lie near the query for each product only the walk
-- itself tells, so it goes on from where it stopped (hnsw.iterative_scan) until it was wide enough: in steps it finds the
-- same as at once, and costs the same (docs/decisions/0013-products.md).

CREATE OR REPLACE FUNCTION imgsearch_internal.open_walk(query halfvec) RETURNS refcursor LANGUAGE plpgsql STABLE
SET max_parallel_workers_per_gather = 0
SET enable_sort = off AS $$
DECLARE
    walk refcursor;
BEGIN
    IF EXISTS (SELECT 1 FROM imgsearch.tail_vectors) THEN  -- merged with the order of what waits outside the graph
        OPEN walk FOR SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.vectors v ORDER BY v.embedding <=> query;
    ELSE
        OPEN walk FOR SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.graph_vectors v ORDER BY v.embedding <=> query;
    END IF;
    RETURN walk;
END $$;
COMMENT ON FUNCTION imgsearch_internal.open_walk(halfvec) IS 'A cursor over all images along the graph, which compares only as many as are fetched; nearest first within each step.';

-- Planned for that tenant, each time: a plan for any tenant walks the graph of all.
CREATE OR REPLACE FUNCTION imgsearch_internal.open_tenant_walk(query halfvec, shop text) RETURNS refcursor LANGUAGE plpgsql STABLE
SET max_parallel_workers_per_gather = 0
SET plan_cache_mode = force_custom_plan
SET enable_sort = off AS $$
DECLARE
    walk refcursor;
BEGIN
    IF EXISTS (SELECT 1 FROM imgsearch.tail_vectors v WHERE v.tenant_id = shop) THEN
        OPEN walk FOR SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.vectors v WHERE v.tenant_id = shop ORDER BY v.embedding <=> query;
    ELSE
        OPEN walk FOR SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.graph_vectors v WHERE v.tenant_id = shop ORDER BY v.embedding <=> query;
    END IF;
    RETURN walk;
END $$;
COMMENT ON FUNCTION imgsearch_internal.open_tenant_walk(halfvec, text) IS 'As open_walk(), over one tenant''s images along its own graph.';

CREATE OR REPLACE FUNCTION imgsearch_internal.walk_further(
    walk refcursor, upto integer, INOUT tenants text[], INOUT images bigint[], INOUT distances double precision[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    tenant   text;
    image    bigint;
    distance double precision;
BEGIN
    FOR n IN coalesce(cardinality(images), 0) + 1 .. upto LOOP
        FETCH walk INTO tenant, image, distance;
        EXIT WHEN NOT FOUND;
        tenants := tenants || tenant; images := images || image; distances := distances || distance;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_further(refcursor, integer, text[], bigint[], double precision[]) IS 'What a walk has met, up to so many images.';

-- The first `most` of what a walk met are believed: of those, the products that lie behind the cursor. before: products up
-- to the cursor; farthest: the last of those pictures that matches.
CREATE OR REPLACE FUNCTION imgsearch_internal.walked_products(
    made imgsearch_internal.filter_text, asked imgsearch_internal.bound, tenants text[], images bigint[], distances double precision[], most integer,
    OUT answer imgsearch_internal.page, OUT before integer, OUT farthest double precision
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    EXECUTE 'WITH y AS MATERIALIZED (
            SELECT w.tenant_id, w.image_id, i.product_id, w.d
            FROM (SELECT u.* FROM unnest($3, $4, $5) u (tenant_id, image_id, d) ORDER BY u.d, u.image_id LIMIT $6) w
            JOIN imgsearch.image i ON i.tenant_id = w.tenant_id AND i.image_id = w.image_id WHERE true' || made.condition || '
        ), g AS MATERIALIZED (
            SELECT DISTINCT ON (y.tenant_id COLLATE "C", y.product_id COLLATE "C") y.* FROM y ORDER BY y.tenant_id COLLATE "C", y.product_id COLLATE "C", y.d, y.image_id
        )
        SELECT array_agg(x.tenant_id), array_agg(x.image_id), array_agg(x.d), array_agg(x.product_id), (SELECT count(*) FROM g), (SELECT count(*) FROM y), (SELECT max(y.d) FROM y)
        FROM (SELECT g.* FROM g WHERE ($1).after_image IS NULL OR (g.d, g.image_id) > (($1).after_distance, ($1).after_image) ORDER BY g.d, g.image_id) x'
    INTO answer.tenants, answer.images, answer.distances, answer.products, answer.matches, answer.pictures, farthest USING asked, made.f, tenants, images, distances, most;
    before := answer.matches - coalesce(cardinality(answer.products), 0);
END $$;
COMMENT ON FUNCTION imgsearch_internal.walked_products IS 'The products in the believed part of a walk.';

-- Near-alike pictures fill each other's lists of neighbours, so among them a walk misses more, whatever part of it is
-- believed: deep, the pictures up to the page's last product, ask for so wide a walk.
CREATE OR REPLACE FUNCTION imgsearch_internal.crowded_ef(ctx imgsearch_internal.search_context, deep double precision) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN greatest(8.5 * deep, 0.3 * least(400, ctx.ef) * sqrt(deep) * least(2, (greatest(200000, ctx.pictures) / 200000) ^ 0.4) ^ 0.5);
END $$;
COMMENT ON FUNCTION imgsearch_internal.crowded_ef(imgsearch_internal.search_context, double precision) IS 'How wide a walk must be among near-alike images.';

-- held: the page's products were met, but the walk was narrower than `crowded`. Fewer pictures of each product lie farther
-- out, hence the power.
CREATE OR REPLACE FUNCTION imgsearch_internal.widen_products_ef(ctx imgsearch_internal.search_context, plan imgsearch_internal.walk_plan, passed bigint, held boolean, crowded double precision)
RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    wide CONSTANT double precision := CASE WHEN held THEN greatest(1.15 * plan.ef, 1.1 * crowded)
                                           ELSE greatest(1.3 * plan.ef, least(2.5 * plan.ef, greatest(0.9 * crowded, 1.1 * plan.ef * ((ctx.page_end + 1) / greatest(passed, 0.5)) ^ 0.8))) END;
BEGIN
    IF plan.restricted THEN  -- walked anew each time, and at most 1,000 wide
        RETURN CASE WHEN plan.ef < 1000 AND wide <= 1600 AND imgsearch_internal.walk_cost_ms(least(1000, wide)) < 0.8 * plan.bits_ms THEN least(1000, wide) END;
    END IF;
    RETURN CASE WHEN wide <= 4000 AND imgsearch_internal.walk_cost_ms(wide) < 0.8 * plan.bits_ms THEN wide END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.widen_products_ef IS 'How wide to go on walking for products; null where bits cost less.';

-- One step of a walk, from plan.ef images to `wider`. Of the first step only what is believed is read. Behind a wall
-- only one tenant's images come back, and a cursor would walk on until enough of those came: walked anew.
CREATE OR REPLACE FUNCTION imgsearch_internal.walk_step(
    ctx imgsearch_internal.search_context, plan imgsearch_internal.walk_plan, walk refcursor, wider integer, first boolean,
    INOUT tenants text[], INOUT images bigint[], INOUT distances double precision[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    met record;
BEGIN
    IF plan.restricted THEN
        SELECT array_agg(w.tenant_id), array_agg(w.image_id), array_agg(w.d) INTO tenants, images, distances FROM imgsearch_internal.hnsw_candidates(ctx, wider, true) w;
        RETURN;
    ELSIF first THEN
        PERFORM set_config('hnsw.ef_search', wider::text, true);
        met := imgsearch_internal.walk_further(walk, wider / ctx.trust_divisor, tenants, images, distances);
    ELSE
        met := imgsearch_internal.walk_further(walk, plan.ef, tenants, images, distances);
        PERFORM set_config('hnsw.ef_search', least(1000, wider - plan.ef)::text, true);
        met := imgsearch_internal.walk_further(walk, wider, met.tenants, met.images, met.distances);
    END IF;
    tenants := met.tenants; images := met.images; distances := met.distances;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_step IS 'What a walk has met that was so much widened.';

-- As hnsw_page(). Any picture behind the page's last product will do to believe it, if the walk was as wide as it must be
-- where it is so crowded. Null where bits cost less; then ctx knows how crowded it is.
CREATE OR REPLACE FUNCTION imgsearch_internal.hnsw_products(
    INOUT ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound,
    p imgsearch_internal.page_request, INOUT plan imgsearch_internal.walk_plan, OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE
SET hnsw.iterative_scan = relaxed_order
SET hnsw.max_scan_tuples = 1000000
SET hnsw.scan_mem_multiplier = 16
SET hnsw.ef_search = 200 AS $$
DECLARE
    wanted  CONSTANT integer := p.k + p.skip;
    wider   integer := least(1000, greatest(ctx.ef, plan.ef / ctx.crowding));
    walk    refcursor := CASE WHEN ctx.tenant IS NOT NULL THEN imgsearch_internal.open_tenant_walk(ctx.query, ctx.tenant)
                                  WHEN NOT plan.restricted THEN imgsearch_internal.open_walk(ctx.query) END;
    first   boolean := true;
    met     record;
    walked  record;
    page    imgsearch_internal.page;
    crowded double precision;
    held    boolean;
BEGIN
    SELECT NULL::text[] AS tenants, NULL::bigint[] AS images, NULL::double precision[] AS distances INTO met;
    WHILE wider IS NOT NULL LOOP
        met := imgsearch_internal.walk_step(ctx, plan, walk, wider, first, met.tenants, met.images, met.distances);
        plan.ef := wider; first := false;
        walked := imgsearch_internal.walked_products(made, asked, met.tenants, met.images, met.distances, plan.ef / ctx.trust_divisor);
        page := walked.answer;
        held := coalesce(walked.farthest > page.distances[wanted] OR walked.farthest > p.max_distance, false);
        crowded := CASE WHEN page.pictures > 1.2 * page.matches
                        THEN imgsearch_internal.crowded_ef(ctx, ctx.page_end * plan.ef / ctx.trust_divisor / page.matches::double precision) ELSE 0 END;
        IF held AND plan.ef >= 0.95 * crowded THEN
            page.strategy := 'hnsw'; page.more := true; page.ranked := page.pictures;
            page.matches := least(page.matches, ctx.page_end);
            answer := imgsearch_internal.cut(page, p);
            EXIT;
        END IF;
        ctx.page_end := walked.before + wanted;
        ctx.crowding := greatest(1, page.pictures / greatest(1.0, page.matches));
        wider := imgsearch_internal.widen_products_ef(ctx, plan, page.matches, held, crowded);
    END LOOP;
    plan.reason := CASE WHEN answer.strategy IS NULL THEN 'tried' END;
    IF walk IS NOT NULL THEN
        CLOSE walk;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.hnsw_products IS 'The page of products by a walk along the graph; null where it cannot be believed.';
