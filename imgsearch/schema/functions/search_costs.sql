-- What a way of searching costs: counted in nodes of a walk and keys out of an index, whose prices
-- are measured where they arise. What each kind of reading is in keys stands in policy.sql, as
-- bench.costs measures it.

CREATE OR REPLACE FUNCTION imgsearch_internal.walk_ms(
    ctx imgsearch_internal.search_context, ef double precision
) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rule CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
BEGIN
    RETURN ctx.walk_us / 1000 * (rule.start_nodes + ef);
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_ms(imgsearch_internal.search_context,
    double precision) IS
'ms that a walk of that width takes: the nodes it compares lie all over the memory.';

-- In keys out of an index that begins with what is filtered by. One that only holds it is read
-- through; rows are read where no index holds all of it: those that none ruled out before
-- (reached), or the whole table; a join is the caller's. And the best are compared exactly, more of
-- them where many match.
CREATE OR REPLACE FUNCTION imgsearch_internal.bits_ms(
    ctx imgsearch_internal.search_context, e imgsearch_internal.estimate
) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rule    CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    reached CONSTANT double precision := coalesce(e.reached, 1);
    matches CONSTANT double precision := ctx.pictures * e.share;
BEGIN
    RETURN ctx.key_us / 1000 * (
        least(rule.most_compared, rule.least_compared + rule.compared * matches)
        + matches * CASE e.access WHEN 'join' THEN rule.join_keys WHEN 'row' THEN rule.row_keys
                                  WHEN 'index' THEN 1 - rule.skipped_keys ELSE 1 END
        + ctx.pictures * CASE e.access WHEN 'index' THEN rule.skipped_keys
              WHEN 'row' THEN least(rule.table_keys,
                  rule.reached_keys * reached + rule.page_keys * least(0.05, reached))
              ELSE 0 END);
END $$;
COMMENT ON FUNCTION imgsearch_internal.bits_ms(imgsearch_internal.search_context,
    imgsearch_internal.estimate) IS
'ms that ranking all that match by their bits takes.';

-- Both ways are gone as find() goes them, for stored vectors and a filter that some ten thousand
-- match: there one is about as quick as the other. Of each question the quicker try counts, since
-- what others do meanwhile only makes a try slower. In a small collection every way is quick, and
-- nothing is measured.
CREATE OR REPLACE FUNCTION imgsearch_internal.measure_costs() RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan
SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
    rule     CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    p        CONSTANT imgsearch_internal.page_request := imgsearch_internal.page_of(10);
    f        imgsearch.filters;
    made     imgsearch_internal.filter_text;
    bound    imgsearch_internal.bound;
    ctx      imgsearch_internal.search_context;
    est      imgsearch_internal.estimate;
    plan     imgsearch_internal.search_plan;
    question record;
    settled  record;
    began    timestamptz;
    took     double precision;
    quickest double precision[];  -- of a question: of its walks, of its scans
    walks    double precision[];
    scans    double precision[];
BEGIN
    FOR question IN
        SELECT v.embedding FROM imgsearch.image_sample s
        JOIN imgsearch.vectors v ON v.tenant_id = s.tenant_id AND v.image_id = s.image_id
        LIMIT rule.tries
    LOOP
        ctx := imgsearch_internal.search_context(question.embedding, p.k, NULL, NULL);
        IF ctx.pictures < rule.fewest_measured OR NOT ctx.indexed OR ctx.ef = 0 THEN
            RETURN;
        END IF;
        f.max_price := (SELECT percentile_disc(least(1, rule.fewest_measured / ctx.pictures))
                            WITHIN GROUP (ORDER BY s.price) FROM imgsearch.image_sample s);
        f.in_stock := CASE WHEN f.max_price IS NULL THEN true END;
        made := imgsearch_internal.filter_sql(f); bound := ROW('{}', '{}', ctx.bits, NULL, NULL);
        est := imgsearch_internal.estimate(ctx, made, bound);
        plan.pool := ctx.pictures;
        est.share := cardinality(
            (imgsearch_internal.scan_keys(ctx, plan, est, made, bound)).keys) / ctx.pictures;
        ctx.key_us := 1000; quickest := array_fill('Infinity'::double precision, ARRAY[2]);
        FOREACH plan.source IN ARRAY '{hnsw,bits,hnsw,bits}'::text[] LOOP
            plan := ROW(plan.source, ctx.ef, ctx.pool, ctx.margin, est.share,
                est.share, 0, false, NULL, NULL);
            began := clock_timestamp();
            settled := imgsearch_internal.settle(ctx, plan, CASE plan.source
                WHEN 'hnsw' THEN imgsearch_internal.walk(ctx, plan, made, bound)
                ELSE imgsearch_internal.scan_keys(ctx, plan, est, made, bound) END, p, NULL);
            took := extract(epoch FROM clock_timestamp() - began) * 1000000;
            IF plan.source = 'hnsw' THEN
                quickest[1] := least(quickest[1], took / (rule.start_nodes + ctx.ef));
            ELSE
                quickest[2] := least(quickest[2], took / imgsearch_internal.bits_ms(ctx, est));
            END IF;
        END LOOP;
        walks := walks || quickest[1]; scans := scans || quickest[2];
    END LOOP;
    UPDATE imgsearch.space s
    SET parameters = s.parameters || jsonb_build_object('costs', jsonb_build_object(
        'at', now(), 'walk_us', (SELECT avg(u) FROM unnest(walks) u),
        'key_us', (SELECT avg(u) FROM unnest(scans) u)))
    WHERE s.space_id = ctx.space_id AND scans IS NOT NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.measure_costs() IS
'Measures what a node of a walk and a key take here, and keeps it with the searched space.';
