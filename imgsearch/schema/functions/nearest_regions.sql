-- What the statement of nearest(…, regions => …) asks of the database (db/sql/nearest_regions.sql). The walks, how wide they
-- go and when a page is believed are those of search(): see search_regions.sql. Only who the candidates are is the caller's.

CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_regions_context(query halfvec, page_end integer, space integer) RETURNS imgsearch_internal.search_context
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN imgsearch_internal.cautious(imgsearch_internal.search_context(query, page_end, space));
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_regions_context(halfvec, integer, integer) IS 'The search_context() of a page that is ranked by parts of pictures.';

CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_regions_plan(ctx imgsearch_internal.search_context, apart double precision[], access text) RETURNS imgsearch_internal.walk_plan
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    est imgsearch_internal.estimate := ROW(cardinality(apart) / nullif(ctx.sampled, 0), 1, apart, access);
BEGIN
    RETURN imgsearch_internal.plan_regions(ctx, imgsearch_internal.regions_context(ctx), est);
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_regions_plan(imgsearch_internal.search_context, double precision[], text) IS
'As nearest_plan(), where regions weigh.';

-- A statement keeps no cursor open from round to round, so each walks from the start. Rounds grow: all of them together
-- cost at most three times the last.
CREATE OR REPLACE FUNCTION imgsearch_internal.walk_from_start(
    ctx imgsearch_internal.search_context, plan imgsearch_internal.walk_plan, of_regions boolean, wide integer,
    OUT near_tenants text[], OUT near_images bigint[], OUT edge double precision
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    met  record;
    walk refcursor;
BEGIN
    met := imgsearch_internal.walk_either(ctx, plan, of_regions, NULL, least(1000, wide), NULL, NULL, NULL, NULL);
    IF wide > 1000 THEN
        met := imgsearch_internal.walk_either(ctx, plan, of_regions, 1000, wide, met.walk, met.tenants, met.images, met.distances);
    END IF;
    near_tenants := met.near_tenants; near_images := met.near_images; edge := met.edge;
    walk := met.walk;
    IF walk IS NOT NULL THEN
        CLOSE walk;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_from_start(imgsearch_internal.search_context, imgsearch_internal.walk_plan, boolean, integer) IS
'What is believed of a walk for pictures or for regions of that width, and how far it reaches.';

-- wide, edges and distances are those of the round before, null in the first; wide becomes null where walking on would cost
-- more than comparing everything.
CREATE OR REPLACE FUNCTION imgsearch_internal.walk_regions_round(
    ctx imgsearch_internal.search_context, plan imgsearch_internal.walk_plan, INOUT wide integer[], INOUT edges double precision[], distances double precision[],
    max_distance double precision, weight double precision, OUT tenants text[], OUT images bigint[]
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET hnsw.iterative_scan = relaxed_order
SET hnsw.max_scan_tuples = 1000000
SET hnsw.scan_mem_multiplier = 16
SET hnsw.ef_search = 200 AS $$
DECLARE
    parts imgsearch_internal.search_context := imgsearch_internal.regions_context(ctx);
    many  CONSTANT integer := coalesce(cardinality(distances), 0);
    short CONSTANT boolean := many < ctx.page_end OR coalesce(distances[ctx.page_end] > max_distance, false);
    whole record;
    part  record;
BEGIN
    wide := CASE WHEN wide IS NULL THEN imgsearch_internal.first_widths(ctx, parts, plan)
                 ELSE imgsearch_internal.wider_regions(plan, wide, ctx.page_end / greatest(0.5, many), short, edges[1], edges[2], weight) END;
    IF wide IS NOT NULL THEN
        whole := imgsearch_internal.walk_from_start(ctx, plan, false, wide[1]);
        part := imgsearch_internal.walk_from_start(parts, plan, true, wide[2]);
        edges := ARRAY[whole.edge, part.edge];
        tenants := whole.near_tenants || part.near_tenants; images := whole.near_images || part.near_images;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_regions_round IS 'The pictures that both walks met, for pictures and for regions, wider than in the round before; and how far each reaches.';
