-- The two walks of a search by parts: see search_regions.sql.

CREATE OR REPLACE FUNCTION imgsearch_internal.open_regions_walk(query halfvec) RETURNS refcursor LANGUAGE plpgsql STABLE
SET max_parallel_workers_per_gather = 0
SET enable_sort = off AS $$
DECLARE
    walk refcursor;
BEGIN
    OPEN walk FOR SELECT r.tenant_id, r.image_id, r.embedding <=> query AS d FROM imgsearch.regions r ORDER BY r.embedding <=> query;
    RETURN walk;
END $$;
COMMENT ON FUNCTION imgsearch_internal.open_regions_walk(halfvec) IS 'A cursor over all regions along the graph, as open_walk() is over all images.';

-- Behind a wall only one tenant's part of the walk comes back: of that, the first part is believed.
CREATE OR REPLACE FUNCTION imgsearch_internal.walled_regions(ctx imgsearch_internal.search_context, ef integer)
RETURNS TABLE (tenant_id text, image_id bigint, d double precision) LANGUAGE plpgsql STABLE ROWS 40
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0
SET enable_sort = off
SET hnsw.iterative_scan = off
SET hnsw.ef_search = 200 AS $$
#variable_conflict use_column
DECLARE
    query halfvec := ctx.query;
BEGIN
    PERFORM set_config('hnsw.ef_search', walled_regions.ef::text, true);
    RETURN QUERY SELECT w.tenant_id, w.image_id, w.d
        FROM (SELECT w.*, row_number() OVER (ORDER BY w.d) AS place, count(*) OVER () AS walked
              FROM (SELECT r.tenant_id, r.image_id, r.embedding <=> query AS d FROM imgsearch.regions r ORDER BY r.embedding <=> query LIMIT 1000) w) w
        WHERE w.place <= w.walked / ctx.trust_divisor;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walled_regions(imgsearch_internal.search_context, integer) IS 'The regions of one tenant that are nearest by the graph, those that are believed.';

-- The believed part of a walk: its pictures, and the distance of its edge (null: nothing is believed).
CREATE OR REPLACE FUNCTION imgsearch_internal.believed(tenants text[], images bigint[], distances double precision[], most integer, OUT near_tenants text[], OUT near_images bigint[], OUT edge double precision)
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(w.tenant_id), '{}'), coalesce(array_agg(w.image_id), '{}'), max(w.d)
    FROM (SELECT u.* FROM unnest(tenants, images, distances) u (tenant_id, image_id, d) ORDER BY u.d LIMIT most) w
$$;
COMMENT ON FUNCTION imgsearch_internal.believed(text[], bigint[], double precision[], integer) IS 'The first of what a walk met, and how far they reach.';

-- One of the two walks, as far as it went: near and edge are what is believed of it, all where there was no more to meet.
CREATE OR REPLACE FUNCTION imgsearch_internal.walk_either(
    ctx imgsearch_internal.search_context, plan imgsearch_internal.walk_plan, of_regions boolean, before integer, wider integer,
    INOUT walk refcursor, INOUT tenants text[], INOUT images bigint[], INOUT distances double precision[],
    OUT near_tenants text[], OUT near_images bigint[], OUT edge double precision
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    met   record;
    ended boolean;
BEGIN
    plan.ef := before;
    IF plan.restricted AND of_regions THEN
        SELECT array_agg(w.tenant_id) AS tenants, array_agg(w.image_id) AS images, array_agg(w.d) AS distances INTO met FROM imgsearch_internal.walled_regions(ctx, wider) w;
    ELSE
        IF walk IS NULL AND NOT plan.restricted THEN
            walk := CASE WHEN of_regions THEN imgsearch_internal.open_regions_walk(ctx.query) ELSE imgsearch_internal.open_walk(ctx.query) END;
        END IF;
        met := imgsearch_internal.walk_step(ctx, plan, walk, wider, before IS NULL, tenants, images, distances);
    END IF;
    tenants := met.tenants; images := met.images; distances := met.distances;
    ended := NOT plan.restricted AND wider < 20000 AND coalesce(cardinality(images), 0) < CASE WHEN before IS NULL THEN wider / ctx.trust_divisor ELSE wider END;
    met := imgsearch_internal.believed(tenants, images, distances, CASE WHEN plan.restricted OR ended THEN 20000 ELSE wider / ctx.trust_divisor END);
    near_tenants := met.near_tenants; near_images := met.near_images;
    edge := CASE WHEN ended THEN 9 ELSE coalesce(met.edge, 0) END;  -- 9: farther than any
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_either IS 'A walk for pictures or for regions, so much widened, and the part of it that is believed.';

CREATE OR REPLACE FUNCTION imgsearch_internal.first_widths(
    ctx imgsearch_internal.search_context, parts imgsearch_internal.search_context, plan imgsearch_internal.walk_plan
) RETURNS integer[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN ARRAY[least(1000, greatest(ctx.ef, plan.ef * ctx.trust_divisor / parts.trust_divisor)), plan.ef];
END $$;
COMMENT ON FUNCTION imgsearch_internal.first_widths IS 'How wide to begin: the walk for pictures, and that for regions.';

-- plan.ef: how wide regions were walked at last. Which walk goes on: the one whose edge keeps the page from being believed.
CREATE OR REPLACE FUNCTION imgsearch_internal.walked_regions(
    ctx imgsearch_internal.search_context, parts imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound,
    p imgsearch_internal.page_request, INOUT plan imgsearch_internal.walk_plan, OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE
SET hnsw.iterative_scan = relaxed_order
SET hnsw.max_scan_tuples = 1000000
SET hnsw.scan_mem_multiplier = 16
SET hnsw.ef_search = 200 AS $$
DECLARE
    wide   integer[] := imgsearch_internal.first_widths(ctx, parts, plan);
    before integer[] := ARRAY[NULL, NULL]::integer[];
    whole  record;
    part   record;
    page   imgsearch_internal.page;
    bound  double precision;
    short  boolean;
    of_wholes refcursor;
    of_parts  refcursor;
BEGIN
    SELECT NULL::refcursor AS walk, NULL::text[] AS tenants, NULL::bigint[] AS images, NULL::double precision[] AS distances INTO whole;
    part := whole;
    LOOP
        IF wide[1] IS DISTINCT FROM before[1] THEN
            whole := imgsearch_internal.walk_either(ctx, plan, false, before[1], wide[1], whole.walk, whole.tenants, whole.images, whole.distances);
        END IF;
        IF wide[2] IS DISTINCT FROM before[2] THEN
            part := imgsearch_internal.walk_either(parts, plan, true, before[2], wide[2], part.walk, part.tenants, part.images, part.distances);
        END IF;
        page := imgsearch_internal.compared_regions(ctx, made, asked, p, whole.near_tenants || part.near_tenants, whole.near_images || part.near_images);
        bound := imgsearch_internal.regional(whole.edge, part.edge, p.regions);
        short := cardinality(page.images) < p.k;
        IF (CASE WHEN short THEN p.max_distance ELSE page.distances[p.k] END) < bound THEN
            page.strategy := 'hnsw'; page.more := true; page.matches := least(page.matches, ctx.page_end);
            answer := page;
            EXIT;
        END IF;
        before := wide;
        wide := imgsearch_internal.wider_regions(plan, wide, ctx.page_end / greatest(0.5, page.matches), short, whole.edge, part.edge, p.regions);
        EXIT WHEN wide IS NULL;
    END LOOP;
    plan.ef := before[2]; plan.reason := CASE WHEN answer.strategy IS NULL THEN 'tried' END;
    IF NOT plan.restricted THEN
        of_wholes := whole.walk; of_parts := part.walk;
        CLOSE of_wholes;
        CLOSE of_parts;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walked_regions IS 'The page by two walks along the graphs; null where it cannot be believed for less than comparing everything costs.';

CREATE OR REPLACE FUNCTION imgsearch_internal.wider_regions(
    plan imgsearch_internal.walk_plan, wide integer[], lacking double precision, short boolean, whole double precision, part double precision, weight double precision
) RETURNS integer[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    by_  CONSTANT double precision := CASE WHEN short THEN greatest(1.5, least(4, 1.2 * lacking)) ELSE 1.7 END;
    most CONSTANT integer := CASE WHEN plan.restricted THEN 1000 ELSE 1000000 END;  -- behind a wall each is walked anew
    next integer[] := ARRAY[CASE WHEN short OR whole <= part OR weight < 1 THEN least(most, by_ * wide[1]) ELSE wide[1] END,
                            CASE WHEN short OR part < whole THEN least(most, by_ * wide[2]) ELSE wide[2] END];
BEGIN
    RETURN CASE WHEN next <> wide AND imgsearch_internal.walk_cost_ms(next[1]) + imgsearch_internal.walk_cost_ms(next[2]) < 0.8 * plan.bits_ms THEN next END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.wider_regions IS 'How wide to walk on for pictures and for regions; null where comparing everything costs less.';
