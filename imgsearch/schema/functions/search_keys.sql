-- The other source of candidates: the bits of what matches, read by the filter. The best by their
-- bits are compared exactly, and the pool grows until it shows that it reaches far enough; in the
-- end it is all that matches.

-- Bits apart and image_id in one number: it sorts faster than a row, and equal distances come out
-- by image_id. image.image_id_leaves_room keeps ids below 2^51. & is not leakproof, so behind a
-- wall these go into a sub-select of their own (OFFSET 0): a join on them would wait until every
-- vector there was read.
CREATE OR REPLACE FUNCTION imgsearch_internal.pack_key(apart double precision, image_id bigint)
    RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT $1::bigint << 51 | $2';
COMMENT ON FUNCTION imgsearch_internal.pack_key(double precision, bigint) IS
'Bits apart and image_id as one number that sorts by both.';

-- By the sample, four times the pool lie within `reach` bits: sorting copies each row, so what lies
-- beyond is left out before. Eight sampled images at least; where fewer come than the pool holds,
-- all are read again. The key is written out: a call that the planner inlines costs it 25 µs each
-- time.
CREATE OR REPLACE FUNCTION imgsearch_internal.scan_keys(
    ctx imgsearch_internal.search_context, plan imgsearch_internal.search_plan,
    est imgsearch_internal.estimate, made imgsearch_internal.filter_text,
    bound imgsearch_internal.bound
) RETURNS imgsearch_internal.candidates LANGUAGE plpgsql STABLE AS $$
DECLARE
    c        imgsearch_internal.candidates;
    labelled CONSTANT boolean := ctx.per IS NOT NULL;
    of_all   CONSTANT boolean := labelled AND (made.f).tenant IS NULL;  -- else all are one tenant's
    place    CONSTANT integer :=
        greatest(8, ceil(4.0 * plan.pool * ctx.sampled / greatest(ctx.pictures, 1)));
    reach    integer := CASE WHEN place * 2 <= cardinality(est.apart) THEN (
        SELECT a.apart FROM unnest(est.apart) a (apart) ORDER BY 1 OFFSET place - 1 LIMIT 1) END;
BEGIN
    LOOP
        EXECUTE format('SELECT coalesce(array_agg(b.key), ''{}''), %2$s, %3$s FROM (
            SELECT (i.bits_%1$s <~> ($1).bits::"bit")::bigint << 51 | i.image_id AS key %4$s
            FROM imgsearch.image i WHERE i.bits_%1$s IS NOT NULL%5$s%6$s ORDER BY 1 LIMIT $3) b',
            ctx.space_id, CASE WHEN labelled THEN 'array_agg(b.product_id)' ELSE 'NULL' END,
            CASE WHEN of_all THEN 'array_agg(b.tenant_id)' ELSE 'NULL' END,
            CASE WHEN of_all THEN ', i.product_id, i.tenant_id'
                 WHEN labelled THEN ', i.product_id' END,
            CASE WHEN reach IS NOT NULL THEN
                format(' AND i.bits_%s <~> ($1).bits::"bit" <= $4', ctx.space_id) END,
            made.condition)
        INTO c.keys, c.labels, c.tenants USING bound, made.f, plan.pool + 1, reach;
        EXIT WHEN reach IS NULL OR cardinality(c.keys) > plan.pool;
        reach := NULL;
    END LOOP;
    RETURN c;
END $$;
COMMENT ON FUNCTION imgsearch_internal.scan_keys IS
'The keys of the images that match, ascending: one more than the pool holds.';

-- `most`: how many images are needed of it; null: all.
CREATE OR REPLACE FUNCTION imgsearch_internal.compare_keys(
    ctx imgsearch_internal.search_context, keys bigint[], labels text[], shop text, most integer
) RETURNS imgsearch_internal.candidates LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    query halfvec := ctx.query;
    c     imgsearch_internal.candidates;
BEGIN
    SELECT array_agg(r.tenant_id), array_agg(r.image_id), array_agg(r.d), array_agg(r.label),
        array_agg(r.n)
    INTO c.tenants, c.images, c.distances, c.labels, c.places FROM (
        -- + 0: ordered by the distance itself, the planner may walk the HNSW for this and find but
        -- a part of them.
        SELECT v.tenant_id, v.image_id, (v.embedding <=> query) + 0 AS d, u.label, u.n::integer AS n
        FROM (SELECT u.key & 2251799813685247 AS image_id, u.label, u.n
              FROM unnest(compare_keys.keys, compare_keys.labels)
                  WITH ORDINALITY u (key, label, n) OFFSET 0) u
        JOIN imgsearch.vectors v ON v.image_id = u.image_id
        WHERE shop IS NULL OR v.tenant_id = shop
        ORDER BY d, v.image_id LIMIT most) r;
    RETURN c;
END $$;
COMMENT ON FUNCTION imgsearch_internal.compare_keys IS
'The images of keys, nearest first by their vectors.';

-- The page's last row by bits is at `edge`. Rows of the page may lie behind the pool where that
-- ends close behind the edge, or where the last row of the page stood deep in what was compared:
-- then bits tell little here.
CREATE OR REPLACE FUNCTION imgsearch_internal.settle_keys(
    INOUT ctx imgsearch_internal.search_context, INOUT plan imgsearch_internal.search_plan,
    c imgsearch_internal.candidates, p imgsearch_internal.page_request, shop text,
    OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    rule   CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    more   CONSTANT boolean := coalesce(cardinality(c.keys) > plan.pool, false);
    many   CONSTANT integer := coalesce(least(cardinality(c.keys), plan.pool), 0);
    firsts integer[];
    edge   bigint;
    ranked integer := many;
    page   record;
BEGIN
    IF more THEN
        c.keys := c.keys[1:many]; c.labels := c.labels[1:many]; c.tenants := c.tenants[1:many];
    END IF;
    IF ctx.per IS NOT NULL AND (more OR many > rule.few_keys) THEN
        firsts := imgsearch_internal.first_places(
            ctx, c.tenants, c.labels, CASE WHEN more THEN ctx.page_end END);
    END IF;
    edge := c.keys[CASE WHEN ctx.per IS NULL THEN ctx.page_end ELSE firsts[ctx.page_end] END];
    IF more AND coalesce(
        (c.keys[many] >> 51) - (edge >> 51) < rule.gap * sqrt(length(ctx.bits)), true) THEN
        plan := imgsearch_internal.widen_pool(plan);
        RETURN;
    ELSIF edge IS NOT NULL AND NOT ctx.rough AND (more OR many > rule.few_keys) THEN
        ranked := width_bucket((least(4095, (edge >> 51) + plan.margin + 1) << 51) - 1, c.keys);
    END IF;
    page := imgsearch_internal.rows_of(ctx, imgsearch_internal.compare_keys(
        ctx, c.keys[1:ranked], c.labels[1:ranked], shop,
        CASE WHEN ctx.per IS NULL THEN ctx.page_end END), p);
    IF ranked < many AND page.before + p.k + p.skip > ctx.page_end THEN
        -- More lie up to the cursor than was known: others write, or it was written by hand.
        ctx.page_end := greatest(page.before + p.k + p.skip,
            CASE WHEN p.passed IS NULL THEN 2 ELSE 1.2 END * ctx.page_end);
        IF ctx.page_end > rule.deepest_page THEN
            plan.pool := NULL;
        END IF;
    ELSIF more AND page.deepest > ranked / 2 THEN
        plan := imgsearch_internal.widen_pool(plan);
    ELSE
        answer := page.answer;
        answer.strategy := CASE WHEN ranked = many AND NOT more THEN 'exact' ELSE 'bits' END;
        answer.more := more; answer.ranked := ranked;
        answer.matches := CASE WHEN ctx.per IS NULL THEN many
            ELSE coalesce(cardinality(firsts), page.rows) END;
        answer.pictures := CASE WHEN ctx.per IS NOT NULL THEN many END;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.settle_keys IS
'The page out of a pool of keys; strategy is null where another step is to be made.';

CREATE OR REPLACE FUNCTION imgsearch_internal.widen_pool(plan imgsearch_internal.search_plan)
RETURNS imgsearch_internal.search_plan LANGUAGE plpgsql STABLE AS $$
DECLARE
    most CONSTANT integer := (imgsearch_internal.policy()).largest_pool;
BEGIN
    -- The largest once more before everything is compared: that costs ten times as much.
    plan.pool := CASE WHEN plan.pool < most THEN least(most, 4 * plan.pool) END;
    plan.margin := ceil(1.5 * plan.margin);
    RETURN plan;
END $$;
COMMENT ON FUNCTION imgsearch_internal.widen_pool IS
'The step after a pool that was too small: a larger one, in the end all that match.';
