-- Which way to search: how many match, what each way costs, how wide to walk. search() and
-- nearest() share all of it.

-- The sampled images that match, as bits between each and the query. What is plain is written out:
-- planned once per session, and 512 times cheaper to ask than fields of a composite.
CREATE OR REPLACE FUNCTION imgsearch_internal.estimate(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text,
        bound imgsearch_internal.bound
) RETURNS imgsearch_internal.estimate LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    est    imgsearch_internal.estimate;
    f      CONSTANT imgsearch_internal.column_filter := made.columns;
    shop   CONSTANT text := f.shop;
    groups CONSTANT text[] := f.groups;
    low    CONSTANT double precision := f.low;
    high   CONSTANT double precision := f.high;
    stock  CONSTANT boolean := f.stock;
    code   CONSTANT bit varying := ctx.bits;
BEGIN
    est.access := CASE WHEN made.unpacked THEN 'row'
        WHEN coalesce(shop, groups[1], low::text, high::text) IS NULL THEN 'index'
            ELSE 'leading' END;
    IF made.condition = '' AND NOT row_security_active('imgsearch.image') THEN
        est.share := 1;
    ELSIF ctx.sampled > 0 AND made.plain AND NOT made.unpacked THEN
        -- Without the columns behind the price a row is taken apart in half the time.
        SELECT array_agg(i.bits::"bit" <~> code::"bit") INTO est.apart FROM imgsearch.image_sample i
        WHERE (shop IS NULL OR i.tenant_id = shop) AND (groups IS NULL OR i.category = ANY (groups))
          AND (low IS NULL OR i.price >= low) AND (high IS NULL OR i.price <= high)
          AND (stock IS NULL OR i.in_stock = stock);
    ELSIF ctx.sampled > 0 THEN
        -- Where an index answers all of it, what it hands out is what matches: not counted twice.
        EXECUTE format('SELECT array_agg(i.bits::"bit" <~> ($1).bits::"bit") FILTER (WHERE true%s),
            %s
            FROM imgsearch.image_sample i', made.condition,
            CASE WHEN made.indexed = made.condition THEN 'NULL'
                 ELSE 'count(*) FILTER (WHERE true' || made.indexed || ') / $3' END)
        INTO est.apart, est.reached USING bound, made.f, ctx.sampled;
        est.reached := coalesce(est.reached, coalesce(cardinality(est.apart), 0) / ctx.sampled);
    END IF;
    est.share := coalesce(est.share, coalesce(cardinality(est.apart), 0) / nullif(ctx.sampled, 0));
    IF made.plain AND made.unpacked THEN
        -- Categories: an index hands out what matches, and rows are read for it.
        est.reached := est.share;
    END IF;
    RETURN est;
END $$;
COMMENT ON FUNCTION imgsearch_internal.estimate(imgsearch_internal.search_context,
    imgsearch_internal.filter_text, imgsearch_internal.bound) IS
'How many images match, guessed from the sample; share is null where there is no sample.';

-- nearby: the share among those nearest to the query. A tie to the neighbourhood is stronger still
-- among the very nearest.
CREATE OR REPLACE FUNCTION imgsearch_internal.share_nearby(
    ctx imgsearch_internal.search_context, est imgsearch_internal.estimate, seen double precision
) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
    rule   CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    share  CONSTANT double precision := est.share;
    edge   double precision;
    nearby double precision;
BEGIN
    SELECT max(x.apart) INTO edge FROM (
        SELECT s.bits::"bit" <~> ctx.bits::"bit" AS apart FROM imgsearch.image_sample s
        WHERE ctx.tenant IS NULL OR s.tenant_id = ctx.tenant ORDER BY 1 LIMIT rule.near_samples) x;
    nearby := (SELECT count(*) FROM unnest(est.apart) a (apart) WHERE a.apart <= edge)
              / least(rule.near_samples, seen) * seen / ctx.sampled;
    RETURN CASE WHEN abs(nearby - share) > rule.many_times * sqrt(share * (
        1 - share) / rule.near_samples)
                THEN least(1, nearby * nearby / share) ELSE (nearby + share) / 2 END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.share_nearby IS
'The share of images near the query that matches, guessed from the sample.';

-- A walk is so wide that its believed part holds the page, or there is a reason why it is none:
-- 'rare', 'deep', 'absent', 'vain', 'dear' (reason_words() says each in words). Near the page's end
-- five times the page lies: one walk that wide costs less in all than a narrower one and often
-- another.
CREATE OR REPLACE FUNCTION imgsearch_internal.plan_search(
    ctx imgsearch_internal.search_context, est imgsearch_internal.estimate
) RETURNS imgsearch_internal.search_plan LANGUAGE plpgsql STABLE AS $$
DECLARE
    rule   CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    plan   imgsearch_internal.search_plan;
    seen   double precision := ctx.sampled;  -- sampled images that this role may see
    needed double precision;
    wide   integer;
BEGIN
    plan.source := 'bits'; plan.margin := ctx.margin; plan.restricted := false;
    plan.tenant := ctx.tenant;
    plan.pool := CASE WHEN ctx.page_end <= rule.deepest_page THEN ctx.pool END;
    plan.share := est.share; plan.nearby := est.share;
    plan.bits_ms := imgsearch_internal.bits_ms(ctx, est);
    IF est.share IS NULL OR plan.pool IS NULL THEN
        plan.reason := CASE WHEN plan.pool IS NULL THEN 'few' ELSE 'rare' END;
        RETURN plan;
    END IF;
    IF ctx.tenant IS NULL AND row_security_active('imgsearch.image') THEN
        SELECT count(*) INTO seen FROM imgsearch.image_sample;
        plan.restricted := seen < ctx.sampled;
    END IF;
    IF est.share > 0 AND est.share < 0.95 AND plan.bits_ms > 5 THEN
        plan.nearby := imgsearch_internal.share_nearby(ctx, est, seen);
    END IF;
    needed := ctx.trust_divisor * ctx.page_end * ctx.crowding / nullif(plan.nearby, 0);
    wide := least(rule.widest, ceil(greatest(
        ctx.ef, 1.1 * needed * greatest(1, 5.0 / ctx.trust_divisor),
        CASE WHEN ctx.crowding > rule.crowded THEN
            imgsearch_internal.crowded_ef(ctx, needed / ctx.trust_divisor) END)));
    plan.reason := CASE WHEN plan.nearby = 0 THEN 'rare' WHEN needed > rule.widest THEN 'deep'
        WHEN NOT ctx.indexed THEN 'absent'
                        WHEN ctx.ef = 0 THEN 'vain'
                        WHEN imgsearch_internal.walk_ms(ctx, wide) >= rule.walk_bonus * plan.bits_ms
                            THEN 'dear' END;
    IF plan.reason IS NULL THEN
        plan.source := 'hnsw'; plan.ef := wide;
    END IF;
    RETURN plan;
END $$;
COMMENT ON FUNCTION imgsearch_internal.plan_search(imgsearch_internal.search_context,
    imgsearch_internal.estimate) IS
'The first step of a search: a walk and how wide, or bits and why.';
