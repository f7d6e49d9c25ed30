-- One source of candidates: a walk along an HNSW graph. Of what it meets the first part (1 /
-- trust_divisor) is believed: towards its edge a graph misses more.

-- A walk wider than hnsw.ef_search can be goes on from where it stopped (an iterative scan): in
-- steps it finds what it finds at once, and costs the same. enable_sort is off: this function is a
-- walk, whatever the planner thinks of it.
CREATE OR REPLACE FUNCTION imgsearch_internal.walk_graph(
    ctx imgsearch_internal.search_context, ef integer, restricted boolean,
        of_regions boolean DEFAULT false
) RETURNS TABLE (tenant_id text, image_id bigint, d double precision)
    LANGUAGE plpgsql STABLE ROWS 40
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0
SET enable_sort = off
SET hnsw.iterative_scan = off
SET hnsw.max_scan_tuples = 1000000
SET hnsw.scan_mem_multiplier = 16
SET hnsw.ef_search = 200 AS $$
#variable_conflict use_column
DECLARE
    query   halfvec := ctx.query;
    widest  CONSTANT integer := (imgsearch_internal.policy()).widest;
    most    CONSTANT integer := ceil(ef / ctx.trust_divisor::double precision);
    walked  CONSTANT integer := CASE WHEN ef > widest THEN ef ELSE most END;
BEGIN
    PERFORM set_config('hnsw.ef_search', least(widest, ef)::text, true),
            set_config('hnsw.iterative_scan', CASE WHEN ef > widest AND NOT restricted
                THEN 'relaxed_order' ELSE 'off' END, true);
    IF restricted THEN  -- one tenant's part of the walk comes back: of that, the first part
        RETURN QUERY EXECUTE format('SELECT w.tenant_id, w.image_id, w.d
            FROM (SELECT w.*, row_number() OVER (ORDER BY w.d) AS place, count(*) OVER () AS walked
                  FROM (SELECT v.tenant_id, v.image_id, v.embedding <=> $1 AS d FROM %s v
                        ORDER BY v.embedding <=> $1 LIMIT 1000) w) w
            WHERE w.place <= w.walked / $2', CASE WHEN of_regions THEN 'imgsearch.regions'
                ELSE 'imgsearch.graph_vectors' END)
            USING query, greatest(ctx.trust_divisor,
                imgsearch_internal.cautious_divisor(ctx.page_end, ctx.pictures));
    ELSIF of_regions OR ctx.tenant IS NOT NULL THEN  -- planned for it: so its own graph answers
        RETURN QUERY EXECUTE format('SELECT w.* FROM (
            SELECT v.tenant_id, v.image_id, v.embedding <=> $1 AS d FROM %s v
            %s ORDER BY v.embedding <=> $1 LIMIT $2) w ORDER BY w.d LIMIT $3',
            CASE WHEN of_regions THEN 'imgsearch.regions' ELSE 'imgsearch.graph_vectors' END,
            CASE WHEN of_regions THEN '' ELSE 'WHERE v.tenant_id = $4' END)
                USING query, walked, most, ctx.tenant;
    ELSE
        RETURN QUERY SELECT w.* FROM (
            SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d
                FROM imgsearch.graph_vectors v
            ORDER BY v.embedding <=> query LIMIT walked) w ORDER BY w.d LIMIT most;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_graph(imgsearch_internal.search_context, integer,
    boolean, boolean) IS
'The images (or regions) nearest to a query by a graph, those that are believed.';

CREATE OR REPLACE FUNCTION imgsearch_internal.hnsw_candidates(
    ctx imgsearch_internal.search_context, ef integer, restricted boolean
) RETURNS TABLE (tenant_id text, image_id bigint, d double precision)
    LANGUAGE plpgsql STABLE ROWS 40
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    query halfvec := ctx.query;
    shop  text := ctx.tenant;
    met   record;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM imgsearch.tail_vectors) THEN
        RETURN QUERY SELECT w.* FROM imgsearch_internal.walk_graph(ctx, ef, restricted) w;
        RETURN;
    END IF;
    SELECT array_agg(w.tenant_id) AS tenants, array_agg(w.image_id) AS images,
        array_agg(w.d) AS distances, max(w.d) AS edge
    INTO met FROM imgsearch_internal.walk_graph(ctx, ef, restricted) w;
    RETURN QUERY SELECT u.* FROM unnest(met.tenants, met.images, met.distances) u
        -- What waits outside the graph is compared whole; farther out than the walk is believed,
        -- nothing is.
        UNION ALL SELECT t.* FROM (
            SELECT v.tenant_id, v.image_id, (v.embedding <=> query) + 0 AS d
                FROM imgsearch.tail_vectors v
            WHERE shop IS NULL OR v.tenant_id = shop) t
        WHERE t.d <= met.edge;
END $$;
COMMENT ON FUNCTION imgsearch_internal.hnsw_candidates(imgsearch_internal.search_context,
    integer, boolean) IS
'The images nearest to a query by the graph, and as near ones that are not in it yet.';

CREATE OR REPLACE FUNCTION imgsearch_internal.walk(
    ctx imgsearch_internal.search_context, plan imgsearch_internal.search_plan,
    made imgsearch_internal.filter_text, bound imgsearch_internal.bound
) RETURNS imgsearch_internal.candidates LANGUAGE plpgsql STABLE AS $$
DECLARE
    c imgsearch_internal.candidates;
BEGIN
    EXECUTE format('SELECT array_agg(z.tenant_id), array_agg(z.image_id), array_agg(z.d),
        array_agg(z.label)
        FROM (SELECT w.*, %s AS label FROM imgsearch_internal.hnsw_candidates($3, $4, $5) w %s
              WHERE true%s ORDER BY w.d, w.image_id) z',
        CASE WHEN ctx.per IS NULL THEN 'NULL::text' ELSE 'i.product_id' END,
        CASE WHEN ctx.per IS NULL AND made.condition = '' THEN ''
             ELSE 'JOIN imgsearch.image i ON i.tenant_id = w.tenant_id
                 AND i.image_id = w.image_id' END,
        made.condition)
    INTO c.tenants, c.images, c.distances, c.labels
        USING bound, made.f, ctx, plan.ef, plan.restricted;
    RETURN c;
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk IS
'What a walk is believed to have met of what matches.';

-- What matches here less often than in all lies apart from the query, and there the graph misses
-- more. Where more than the cautious part is believed, that is taken back as far as it is rare
-- here: more must match than the page.
CREATE OR REPLACE FUNCTION imgsearch_internal.sure(
    ctx imgsearch_internal.search_context, plan imgsearch_internal.search_plan, passed integer
) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bolder CONSTANT double precision :=
        imgsearch_internal.cautious_divisor(ctx.page_end,
            ctx.pictures) / ctx.trust_divisor::double precision;
BEGIN
    IF plan.restricted OR bolder <= 1 THEN
        RETURN passed;
    END IF;
    RETURN floor(passed / greatest(1, least(bolder,
        sqrt(plan.share * plan.ef / ctx.trust_divisor / greatest(passed, 0.5)))));
END $$;
COMMENT ON FUNCTION imgsearch_internal.sure(imgsearch_internal.search_context,
    imgsearch_internal.search_plan, integer) IS
'How many of those that `passed` the filter in the believed part of a walk are believed.';

-- Near-alike images fill each other's lists of neighbours, so among them a walk must be wider,
-- whatever part of it is believed. deep: images up to the page's last row.
CREATE OR REPLACE FUNCTION imgsearch_internal.crowded_ef(
    ctx imgsearch_internal.search_context, deep double precision
) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (imgsearch_internal.policy()).crowded_ef
        * sqrt(deep * imgsearch_internal.growth(ctx.pictures));
END $$;
COMMENT ON FUNCTION imgsearch_internal.crowded_ef(imgsearch_internal.search_context,
    double precision) IS
'How wide a walk must be among near-alike images.';

-- A row behind the page must be farther away: rows as far as its last one may be missing.
CREATE OR REPLACE FUNCTION imgsearch_internal.settle_walk(
    INOUT ctx imgsearch_internal.search_context, INOUT plan imgsearch_internal.search_plan,
    c imgsearch_internal.candidates, p imgsearch_internal.page_request,
        OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    rule   CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    passed CONSTANT integer := coalesce(cardinality(c.images), 0);
    edge   double precision := c.distances[imgsearch_internal.sure(ctx, plan, passed)];
    page   record := imgsearch_internal.rows_of(ctx, c, p);
    needed double precision := 0;
    wide   double precision;
    most   integer;
    held   boolean;
BEGIN
    IF passed > rule.crowded * page.rows THEN
        needed := imgsearch_internal.crowded_ef(
            ctx, ctx.page_end * plan.ef / ctx.trust_divisor / page.rows::double precision);
    END IF;
    held := coalesce(page.before + p.k + p.skip <= ctx.page_end AND edge > page.last
        OR edge > p.max_distance, false);
    IF held AND plan.ef >= 0.95 * needed THEN
        plan.reason := NULL;
        answer := page.answer;
        answer.strategy := 'hnsw'; answer.more := true; answer.ranked := passed;
        answer.matches := least(page.rows, ctx.page_end);
        answer.pictures := CASE WHEN ctx.per IS NOT NULL THEN passed END;
        RETURN;
    END IF;
    ctx.page_end := greatest(ctx.page_end, page.before + p.k + p.skip);
    -- Once more, as wide as the first one tells that it must be, where that costs less than bits.
    wide := greatest(1.2 * needed, CASE WHEN NOT held THEN
        greatest(1.5 * plan.ef, 1.2 * plan.ef * (ctx.page_end + 1) / greatest(0.5, page.rows)) END);
    most := CASE WHEN ctx.per IS NULL OR plan.restricted THEN rule.widest
                 ELSE rule.widest_grouped END;
    IF plan.reason IS NULL AND plan.ef < most AND wide <= 1.6 * most
       AND imgsearch_internal.walk_ms(ctx, least(most, wide)) < rule.walk_bonus * plan.bits_ms THEN
        plan.ef := least(most, wide);
    ELSE
        plan.source := 'bits';
    END IF;
    plan.reason := 'tried';
END $$;
COMMENT ON FUNCTION imgsearch_internal.settle_walk IS
'The page out of a walk; strategy is null where it cannot be believed.';
