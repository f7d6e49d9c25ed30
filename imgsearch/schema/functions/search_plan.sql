-- Which way to search: how many match, what each way costs, how wide to walk. search() and nearest() share all of it.

CREATE OR REPLACE FUNCTION imgsearch_internal.walk_cost_ms(ef double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 1.2 + 0.029 * ef';
COMMENT ON FUNCTION imgsearch_internal.walk_cost_ms(double precision) IS 'ms that a walk of that hnsw.ef_search takes: the nodes it compares lie all over the memory.';

-- access: how the bits of what matches are read.
--   leading  out of an index that begins with what was asked: 0.185 µs for each that matches
--   index    out of an index that only holds it: 0.1 µs, and 0.085 µs for each there is, to look whether it matches
--   row      out of the table: 0.2 µs, and for each that no index ruled out before (reached) 0.35 µs and 0.7 for its page,
--            of which there are a twentieth; no more than 0.22 µs for each there is, where the table is read through
--   join     out of the caller's join: 2.5 µs
-- And 1 to 4.5 ms to compare the best exactly. Measured by bench/costs.py.
CREATE OR REPLACE FUNCTION imgsearch_internal.bits_cost_ms(pictures double precision, e imgsearch_internal.estimate) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT least(4.5, 1 + 0.00035 * pictures * e.share) + pictures * (
        e.share * CASE e.access WHEN 'join' THEN 0.0025 WHEN 'row' THEN 0.0002 WHEN 'index' THEN 0.0001 ELSE 0.000185 END
        + CASE e.access WHEN 'row' THEN least(0.00022, 0.00035 * coalesce(e.reached, 1) + 0.0007 * least(0.05, coalesce(e.reached, 1)))
                        WHEN 'index' THEN 0.000085 ELSE 0 END)
$$;
COMMENT ON FUNCTION imgsearch_internal.bits_cost_ms(double precision, imgsearch_internal.estimate) IS 'ms that ranking all that match by their bits takes.';

-- The sampled images that match, as bits between each and the query. What is plain is written out: planned once per
-- session, and 512 times cheaper to ask than fields of a composite.
CREATE OR REPLACE FUNCTION imgsearch_internal.estimate(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound
) RETURNS imgsearch_internal.estimate LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    est      imgsearch_internal.estimate;
    f        CONSTANT imgsearch_internal.column_filter := made.columns;
    shop     CONSTANT text := f.shop;
    groups   CONSTANT text[] := f.groups;
    low      CONSTANT double precision := f.low;
    high     CONSTANT double precision := f.high;
    stock    CONSTANT boolean := f.stock;
    wanted   CONSTANT bit varying := ctx.bits;
BEGIN
    est.access := CASE WHEN made.unpacked THEN 'row' WHEN coalesce(shop, groups[1], low::text, high::text) IS NULL THEN 'index' ELSE 'leading' END;
    IF made.condition = '' AND NOT row_security_active('imgsearch.image') THEN
        est.share := 1;
    ELSIF ctx.sampled > 0 AND made.plain AND NOT made.unpacked THEN
        -- Without the columns behind the price a row is taken apart in half the time.
        SELECT array_agg(i.bits::"bit" <~> wanted::"bit") INTO est.apart FROM imgsearch.image_sample i
        WHERE (shop IS NULL OR i.tenant_id = shop) AND (groups IS NULL OR i.category = ANY (groups))
          AND (low IS NULL OR i.price >= low) AND (high IS NULL OR i.price <= high) AND (stock IS NULL OR i.in_stock = stock);
    ELSIF ctx.sampled > 0 THEN
        -- Where an index answers all of it, what it hands out is what matches: not asked twice.
        EXECUTE 'SELECT array_agg(i.bits::"bit" <~> ($1).bits::"bit") FILTER (WHERE true' || made.condition || ')'
            || CASE WHEN made.indexed = made.condition THEN ', NULL' ELSE ', count(*) FILTER (WHERE true' || made.indexed || ') / $3' END
            || ' FROM imgsearch.image_sample i' INTO est.apart, est.reached USING asked, made.f, ctx.sampled;
        est.reached := coalesce(est.reached, coalesce(cardinality(est.apart), 0) / ctx.sampled);
    END IF;
    est.share := coalesce(est.share, coalesce(cardinality(est.apart), 0) / nullif(ctx.sampled, 0));
    IF made.plain AND made.unpacked THEN
        est.reached := est.share;  -- categories: an index hands out what matches, and rows are read for it
    END IF;
    RETURN est;
END $$;
COMMENT ON FUNCTION imgsearch_internal.estimate(imgsearch_internal.search_context, imgsearch_internal.filter_text, imgsearch_internal.bound) IS 'How many images match, guessed from the sample; share is null where there is no sample.';

-- Of pages up to 50 the first sixth, of deeper ones a quarter; above 200,000 images less. Single images
-- are believed to a third or a half (search_context).
CREATE OR REPLACE FUNCTION imgsearch_internal.cautious_divisor(page_end integer, pictures double precision) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT round(CASE WHEN page_end > 50 THEN 4 ELSE 6 END * least(2, (greatest(200000, pictures) / 200000) ^ 0.4))::integer
$$;
COMMENT ON FUNCTION imgsearch_internal.cautious_divisor(integer, double precision) IS '1 / the part of a walk that is believed where nobody measured that more can be.';

CREATE OR REPLACE FUNCTION imgsearch_internal.cautious(ctx imgsearch_internal.search_context) RETURNS imgsearch_internal.search_context LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    ctx.trust_divisor := greatest(ctx.trust_divisor, imgsearch_internal.cautious_divisor(ctx.page_end, ctx.pictures));
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.cautious(imgsearch_internal.search_context) IS 'The context of a walk of which no more is believed than that, whatever was tuned for single images.';

-- What matches here less often than in all lies apart from the query, and there the graph misses more. Where more than the
-- cautious part is believed (tuned), that is taken back as far as it is rare here: more must match than the page.
CREATE OR REPLACE FUNCTION imgsearch_internal.sure(ctx imgsearch_internal.search_context, share double precision, restricted boolean, ef integer, passed bigint) RETURNS integer
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bolder CONSTANT double precision := imgsearch_internal.cautious_divisor(ctx.page_end, ctx.pictures) / ctx.trust_divisor::double precision;
BEGIN
    IF restricted OR bolder <= 1 THEN
        RETURN passed;
    END IF;
    RETURN floor(passed / greatest(1, least(bolder, sqrt(share * ef / ctx.trust_divisor / greatest(passed, 0.5)))));
END $$;
COMMENT ON FUNCTION imgsearch_internal.sure(imgsearch_internal.search_context, double precision, boolean, integer, bigint) IS 'How many of those that `passed` in the believed part of a walk of ef are believed, where that share of all matches.';

-- share: of the images that matches; nearby: the same among those nearest to the query. Of ef images a walk holds it
-- misses few among the nearest, more towards the edge, so that only the first part (1 / trust_divisor) is believed:
-- docs/decisions/0002-search-statement.md.
CREATE OR REPLACE FUNCTION imgsearch_internal.choose_ef(
    ctx imgsearch_internal.search_context, share double precision, nearby double precision, bits_ms double precision, OUT ef integer, OUT reason text
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    needed double precision;
    wide   double precision;
BEGIN
    -- A tie to the neighbourhood is stronger still among the very nearest.
    nearby := CASE WHEN share >= 0.95 OR share = 0 THEN share
                   WHEN abs(nearby - share) > 2 * sqrt(share * (1 - share) / 32) THEN least(1, nearby * nearby / share)
                   ELSE (nearby + share) / 2 END;
    needed := ctx.trust_divisor * ctx.page_end * ctx.crowding / nullif(nearby, 0);  -- then as many match as are wanted, on average
    -- Where more is believed (tuned), one walk to five times the place costs less in all than a narrower one and often another.
    wide := least(1000, greatest(ctx.ef, ceil(1.1 * needed * greatest(1, 5.0 / ctx.trust_divisor))));
    IF ctx.crowding > 1 THEN
        -- Where many are alike the graph misses more, and only a wider walk finds it: docs/decisions/0013-products.md.
        wide := least(1000, greatest(wide, ceil(0.25 * ctx.ef * sqrt(ctx.page_end * ctx.crowding / nullif(nearby, 0)))));
    END IF;
    reason := CASE WHEN nearby = 0 THEN 'rare' WHEN needed > 1000 THEN 'deep' WHEN NOT ctx.indexed THEN 'absent' WHEN ctx.ef = 0 THEN 'vain'
                   WHEN imgsearch_internal.walk_cost_ms(wide) >= 0.75 * bits_ms THEN 'dear' END;
    IF reason IS NULL THEN
        ef := wide;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.choose_ef(imgsearch_internal.search_context, double precision, double precision, double precision) IS 'The hnsw.ef_search for a search of which that share matches; null, and why, where the graph does not help.';

CREATE OR REPLACE FUNCTION imgsearch_internal.plan_walk(ctx imgsearch_internal.search_context, est imgsearch_internal.estimate) RETURNS imgsearch_internal.walk_plan
LANGUAGE plpgsql STABLE AS $$
DECLARE
    plan imgsearch_internal.walk_plan;
    seen double precision := ctx.sampled;  -- sampled images that this role may see
    edge double precision;
BEGIN
    plan.share := est.share; plan.nearby := est.share;
    plan.bits_ms := imgsearch_internal.bits_cost_ms(ctx.pictures, est);
    plan.restricted := false; plan.tenant := ctx.tenant;
    IF est.share IS NULL THEN
        plan.reason := 'rare';
        RETURN plan;
    END IF;
    IF ctx.tenant IS NULL AND row_security_active('imgsearch.image') THEN
        SELECT count(*) INTO seen FROM imgsearch.image_sample;
        plan.restricted := seen < ctx.sampled;
    END IF;
    IF est.share > 0 AND est.share < 0.95 AND plan.bits_ms > 5 THEN
        SELECT max(x.apart) INTO edge FROM (SELECT s.bits::"bit" <~> ctx.bits::"bit" AS apart FROM imgsearch.image_sample s
                                      WHERE ctx.tenant IS NULL OR s.tenant_id = ctx.tenant ORDER BY 1 LIMIT 32) x;
        SELECT count(*) / least(32, seen) * seen / ctx.sampled INTO plan.nearby FROM unnest(est.apart) a (apart) WHERE a.apart <= edge;
    END IF;
    SELECT c.ef, c.reason INTO plan.ef, plan.reason FROM imgsearch_internal.choose_ef(ctx, plan.share, plan.nearby, plan.bits_ms) c;
    RETURN plan;
END $$;
COMMENT ON FUNCTION imgsearch_internal.plan_walk(imgsearch_internal.search_context, imgsearch_internal.estimate) IS 'How wide to walk the graph, or why bits are quicker.';

CREATE OR REPLACE FUNCTION imgsearch_internal.widen_ef(ctx imgsearch_internal.search_context, ef integer, passed bigint, bits_ms double precision) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    wide double precision := greatest(1.5 * ef, 1.2 * ef * (ctx.page_end + 1) / greatest(passed, 0.5));
BEGIN
    RETURN CASE WHEN ef < 1000 AND wide <= 1600 AND imgsearch_internal.walk_cost_ms(least(1000, wide)) < 0.75 * bits_ms THEN least(1000, wide) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.widen_ef(imgsearch_internal.search_context, integer, bigint, double precision) IS 'How wide to walk once more after a walk of `ef` in whose believed part only `passed` matched; null where bits cost less.';
