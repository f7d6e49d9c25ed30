-- Searching by parts: a picture lies as near as the mean of its whole and the nearest of its
-- regions, weighed:
--
--   distance = (1 - w) * whole + w * least(whole, best region)
--
-- Two graphs are walked, one of pictures and one of regions. A picture that neither met lies
-- farther than both edges, so its distance is above the same mean of them: what lies below that is
-- all there is (the threshold algorithm of Fagin, Lotem and Naor, 2001). What was met is compared
-- exactly, and both go on until the page lies below. Where that costs more than comparing all that
-- match, all of it is compared.

-- Without a region it is the distance of the whole to the last bit.
CREATE OR REPLACE FUNCTION imgsearch_internal.regional(
    whole double precision, region double precision, weight double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT whole - weight * (whole - least(whole, region))
$$;
COMMENT ON FUNCTION imgsearch_internal.regional(double precision, double precision,
    double precision) IS
'The distance of a picture by its whole and the nearest of its regions (null: it has none).';

-- Looked for in the order of the primary key: one entry is read, whoever has regions and however
-- many.
CREATE OR REPLACE FUNCTION imgsearch_internal.regions_weight(r imgsearch.ranking,
    f imgsearch.filters)
RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
    walled CONSTANT boolean := row_security_active('imgsearch.image');
    shop   CONSTANT text := coalesce(f.tenant, CASE WHEN walled
        THEN coalesce(imgsearch.current_tenant(), '') END);
BEGIN
    IF shop IS NULL THEN
        RETURN CASE WHEN (SELECT x.tenant_id FROM imgsearch.regions x
                          ORDER BY x.tenant_id, x.image_id, x.position LIMIT 1) IS NOT NULL
                              THEN r.regions END;
    END IF;
    RETURN CASE WHEN (SELECT x.tenant_id FROM imgsearch.regions x WHERE x.tenant_id >= shop
        AND x.tenant_id <= shop
                      ORDER BY x.tenant_id, x.image_id, x.position LIMIT 1) IS NOT NULL
                          THEN r.regions END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.regions_weight(imgsearch.ranking, imgsearch.filters) IS
'How much regions weigh; null: nobody asked for them, or there are none where it searches.';

CREATE OR REPLACE FUNCTION imgsearch_internal.distance_sql(p imgsearch_internal.page_request,
    query text, weight text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p.regions IS NULL THEN format('v.embedding <=> %s', query) ELSE
        format('imgsearch_internal.regional(v.embedding <=> %1$s, (SELECT min(r.embedding <=> %1$s)
            FROM imgsearch.regions r
                WHERE r.tenant_id = v.tenant_id AND r.image_id = v.image_id), %2$s)', query,
                    weight) END
$$;
COMMENT ON FUNCTION imgsearch_internal.distance_sql(imgsearch_internal.page_request, text, text) IS
'The distance of a vector v in a dynamic statement: of its whole picture, or by parts.';

-- The graph of regions is larger, so its walks are wider and believed less.
CREATE OR REPLACE FUNCTION imgsearch_internal.regions_context(ctx imgsearch_internal.search_context)
RETURNS imgsearch_internal.search_context LANGUAGE plpgsql STABLE AS $$
DECLARE
    here   record;
    larger double precision;
BEGIN
    SELECT greatest(0, c.reltuples) AS regions,
           EXISTS (SELECT 1 FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class g
               ON g.oid = x.indexrelid
                   JOIN pg_catalog.pg_am a ON a.oid = g.relam
                   WHERE x.indrelid = c.oid AND a.amname = 'hnsw' AND x.indisvalid) AS indexed
    INTO here FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(
        'imgsearch.region_' || ctx.space_id);
    larger := imgsearch_internal.growth(here.regions) / imgsearch_internal.growth(ctx.pictures);
    ctx.ef := least((imgsearch_internal.policy()).widest, ctx.ef * larger);
    ctx.trust_divisor := round(ctx.trust_divisor * larger);
    ctx.pictures := here.regions; ctx.indexed := ctx.indexed AND here.indexed;
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.regions_context(imgsearch_internal.search_context) IS
'What is known of how to search the regions; pictures: how many there are.';

-- edge: how far what is believed of a walk reaches; 9 (farther than any) where there was no more to
-- meet.
CREATE OR REPLACE FUNCTION imgsearch_internal.walk_regions(
    ctx imgsearch_internal.search_context, wide integer, restricted boolean, of_regions boolean,
    OUT tenants text[], OUT images bigint[], OUT edge double precision
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF of_regions THEN
        SELECT array_agg(w.tenant_id), array_agg(w.image_id), max(w.d) INTO tenants, images, edge
        FROM imgsearch_internal.walk_graph(ctx, wide, restricted, true) w;
    ELSE
        SELECT array_agg(w.tenant_id), array_agg(w.image_id), max(w.d) INTO tenants, images, edge
        FROM imgsearch_internal.hnsw_candidates(ctx, wide, restricted) w;
    END IF;
    IF NOT restricted AND coalesce(cardinality(images), 0) < wide / ctx.trust_divisor THEN
        edge := 9;
    END IF;
    edge := coalesce(edge, 0);
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_regions IS
'A walk for pictures or for regions: what is believed of it.';

-- plan.bits_ms: what comparing all that match costs, with all of their regions.
CREATE OR REPLACE FUNCTION imgsearch_internal.find_by_regions(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text,
        bound imgsearch_internal.bound,
    p imgsearch_internal.page_request, OUT answer imgsearch_internal.page,
        OUT plan imgsearch_internal.search_plan
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    rule   CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    parts  imgsearch_internal.search_context;
    whole  record;
    part   record;
    rows_  integer;
    wide   double precision;
    most   integer;
    named  imgsearch_internal.candidates;
BEGIN
    ctx := imgsearch_internal.cautious(ctx); parts := imgsearch_internal.regions_context(ctx);
    plan := imgsearch_internal.plan_search(ctx, imgsearch_internal.estimate(ctx, made, bound));
    plan.bits_ms := ctx.key_us / 1000 * rule.part_keys * coalesce(plan.share,
        1) * (4 * ctx.pictures + parts.pictures);
    most := CASE WHEN plan.restricted THEN rule.widest
        ELSE rule.largest_pool END;  -- behind a wall ef_search bounds it
    wide := least(rule.widest, greatest(parts.ef, 1.1 * parts.trust_divisor * ctx.page_end / nullif(
        plan.nearby, 0)));
    plan.reason := CASE WHEN plan.pool IS NULL THEN 'few' WHEN coalesce(plan.share, 0) = 0
        OR plan.nearby = 0 THEN 'rare'
                        WHEN NOT parts.indexed THEN 'absent' WHEN ctx.ef = 0 THEN 'vain' END;
    plan.ef := NULL;
    WHILE plan.reason IS NULL OR plan.reason = 'tried' LOOP
        IF wide > most OR 2 * imgsearch_internal.walk_ms(ctx,
            wide) >= rule.walk_bonus * plan.bits_ms THEN
            plan.reason := coalesce(plan.reason, 'dear');
            EXIT;
        END IF;
        plan.ef := wide;
        whole := imgsearch_internal.walk_regions(ctx, greatest(ctx.ef, plan.ef), plan.restricted,
            false);
        part := imgsearch_internal.walk_regions(parts, plan.ef, plan.restricted, true);
        named.tenants := whole.tenants || part.tenants; named.images := whole.images || part.images;
        answer := imgsearch_internal.exact_page(ctx, made, bound, p, named);
        rows_ := cardinality(answer.images);
        IF (CASE WHEN rows_ < p.k THEN p.max_distance ELSE answer.distances[p.k] END)
           < imgsearch_internal.regional(whole.edge, part.edge, p.regions) THEN
            answer.strategy := 'hnsw'; answer.more := true;
            answer.matches := least(answer.matches, ctx.page_end);
            plan.reason := NULL; plan.source := 'hnsw';
            RETURN;
        END IF;
        plan.reason := 'tried';
        wide := wide * CASE WHEN rows_ < p.k THEN 3 ELSE 2 END;
    END LOOP;
    answer := imgsearch_internal.exact_page(ctx, made, bound, p, NULL);
END $$;
COMMENT ON FUNCTION imgsearch_internal.find_by_regions IS
'What find() finds where regions weigh: by two walks, or by comparing all that match.';

-- Where the whole is as near as its best region, the picture is what matched. Planned once.
CREATE OR REPLACE FUNCTION imgsearch_internal.parts_of(images bigint[], query halfvec)
    RETURNS jsonb[] LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN ARRAY(
        SELECT (SELECT jsonb_build_object('box', jsonb_build_array(r.x, r.y, r.w, r.h), 'label',
            r.label)
                FROM imgsearch.regions r LEFT JOIN imgsearch.vectors v ON v.tenant_id = r.tenant_id
                    AND v.image_id = r.image_id
                WHERE r.image_id = u.image_id AND r.embedding <=> query < v.embedding <=> query
                -- + 0: in the order of the distance itself the planner may walk the graph for this.
                ORDER BY (r.embedding <=> query) + 0, r.position LIMIT 1)
        FROM unnest(images) WITH ORDINALITY u (image_id, place) ORDER BY u.place);
END $$;
COMMENT ON FUNCTION imgsearch_internal.parts_of(bigint[], halfvec) IS
'Of each picture the region nearer than the whole: {"box": [x, y, w, h], "label": …}, or null.';

CREATE OR REPLACE FUNCTION imgsearch_internal.box_of(part jsonb) RETURNS real[]
    LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN part IS NOT NULL THEN ARRAY(
        SELECT e::real FROM jsonb_array_elements_text(part -> 'box') WITH ORDINALITY b (e, n)
            ORDER BY n) END
$$;
COMMENT ON FUNCTION imgsearch_internal.box_of(jsonb) IS
'The box (x, y, w, h) of a part, in shares of the picture''s sides.';
