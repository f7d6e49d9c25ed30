-- The complete answer in one statement: the nearest images that match the filters.
-- find(): check → few? → context → estimate → plan → walk, wider walk, bits, exact. Each step is a function of its own.

-- What imgsearch index tune or recall measured of the searched space; imgsearch.search: what tune tries is not judged yet.
CREATE OR REPLACE FUNCTION imgsearch_internal.misses() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(nullif(current_setting('imgsearch.search', true), '')::jsonb, s.parameters -> 'search') ->> 'reached' = 'false'
            FROM imgsearch.space s WHERE s.state = 'active') IS TRUE;
END $$;
COMMENT ON FUNCTION imgsearch_internal.misses() IS 'Whether searches were measured to find less than the target: then no page is complete but one that was compared exactly.';

-- The rows of the page out of all that were ranked.
CREATE OR REPLACE FUNCTION imgsearch_internal.cut(answer imgsearch_internal.page, p imgsearch_internal.page_request) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    last integer := least(p.k + p.skip, CASE WHEN p.max_distance IS NULL THEN cardinality(answer.distances) ELSE width_bucket(p.max_distance, answer.distances) END);
BEGIN
    answer.complete := answer.strategy = 'exact' OR (last = p.k + p.skip OR answer.strategy = 'bits' AND p.max_distance IS NULL AND p.after_image IS NULL)
                       AND NOT imgsearch_internal.misses();
    answer.tenants := answer.tenants[p.skip + 1:last];
    answer.images := answer.images[p.skip + 1:last];
    answer.distances := answer.distances[p.skip + 1:last];
    answer.products := answer.products[p.skip + 1:last];
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.cut(imgsearch_internal.page, imgsearch_internal.page_request) IS 'A page out of what was ranked: behind skip, within max_distance, k rows.';

-- Walks once, and once more and wider where too few matched and that still costs less than bits. plan.ef and
-- plan.reason tell how it went; the page is null where a walk cannot be believed.
CREATE OR REPLACE FUNCTION imgsearch_internal.hnsw_page(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound,
    p imgsearch_internal.page_request, INOUT plan imgsearch_internal.walk_plan, OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    deep   CONSTANT boolean := p.after_image IS NOT NULL;
    wider  integer := plan.ef;
    passed bigint;
    sure   integer;
    page   imgsearch_internal.page;
BEGIN
    WHILE wider IS NOT NULL LOOP
        plan.ef := wider;
        EXECUTE 'SELECT array_agg(z.tenant_id), array_agg(z.image_id), array_agg(z.d) FROM (
            SELECT w.* FROM imgsearch_internal.hnsw_candidates($3, $4, $5) w'
            || CASE WHEN made.condition = '' THEN '' ELSE ' JOIN imgsearch.image i ON i.tenant_id = w.tenant_id AND i.image_id = w.image_id' END
            || ' WHERE true' || made.condition
            || CASE WHEN deep THEN ' AND (w.d, w.image_id) > (($1).after_distance, ($1).after_image)' ELSE '' END
            || ' ORDER BY w.d, w.image_id) z'
            INTO page.tenants, page.images, page.distances USING asked, made.f, ctx, plan.ef, plan.restricted;
        passed := coalesce(cardinality(page.distances), 0);
        sure := imgsearch_internal.sure(ctx, plan.share, plan.restricted, plan.ef, passed);
        IF imgsearch_internal.is_trusted(page.distances[1:sure], ctx.page_end, p.max_distance) THEN
            page.strategy := 'hnsw'; page.more := true;
            page.matches := least(passed, ctx.page_end); page.ranked := passed;
            plan.reason := NULL;
            answer := imgsearch_internal.cut(page, p);
            RETURN;
        END IF;
        wider := CASE WHEN plan.reason IS NULL AND NOT deep THEN imgsearch_internal.widen_ef(ctx, plan.ef, sure, plan.bits_ms) END;
        plan.reason := 'tried';
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.hnsw_page IS 'The page by a walk along the graph; null where it cannot be believed.';

-- Ranks by bits all that match and compares the best exactly. A page behind another grows its pool until enough of it
-- lies behind that page; null where comparing everything is as good.
CREATE OR REPLACE FUNCTION imgsearch_internal.bits_page(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound, p imgsearch_internal.page_request
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    answer  imgsearch_internal.page;
    usual  CONSTANT integer := ctx.pool;
    enough double precision;
    deepest integer;
    keys   bigint[];
BEGIN
    WHILE ctx.pool <= 20000 LOOP
        EXECUTE format('SELECT coalesce(array_agg(b.key), ''{}'') FROM (
                SELECT %1$s AS key FROM imgsearch.image i WHERE i.bits_%2$s IS NOT NULL%3$s ORDER BY 1 LIMIT $3) b',
            imgsearch_internal.key_sql(ctx.space_id), ctx.space_id, made.condition)
        INTO keys USING asked, made.f, ctx.pool + 1;
        answer.more := cardinality(keys) > ctx.pool;
        answer.matches := least(cardinality(keys), ctx.pool);
        SELECT r.* INTO answer.tenants, answer.images, answer.distances, answer.ranked, deepest
        FROM imgsearch_internal.rerank(ctx, keys, (made.f).tenant, p.after_distance, p.after_image) r;
        IF answer.more AND p.after_image IS NULL AND imgsearch_internal.is_pool_short(ctx, keys[ctx.page_end], keys[ctx.pool], deepest, answer.ranked) THEN
            -- 20,000 once more before everything is compared, as products do.
            ctx.pool := CASE WHEN ctx.pool BETWEEN 5001 AND 19999 THEN 20000 ELSE 4 * ctx.pool END; ctx.margin := ceil(1.5 * ctx.margin);
            CONTINUE;
        END IF;
        answer.strategy := CASE WHEN answer.ranked = answer.matches AND NOT answer.more THEN 'exact' ELSE 'bits' END;
        IF p.after_image IS NULL OR NOT answer.more THEN
            RETURN imgsearch_internal.cut(answer, p);
        END IF;
        enough := usual * sqrt((imgsearch_internal.passed_by(ctx, keys[1:ctx.pool], (made.f).tenant, p) + p.k) / ctx.page_end);
        IF cardinality(answer.images) >= p.k AND ctx.pool >= enough THEN
            RETURN imgsearch_internal.cut(answer, p);
        END IF;
        ctx.pool := greatest(4 * ctx.pool, ceil(enough)::integer);
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.bits_page(imgsearch_internal.search_context, imgsearch_internal.filter_text, imgsearch_internal.bound, imgsearch_internal.page_request) IS 'The page by ranking bits; null where comparing everything is as good.';

CREATE OR REPLACE FUNCTION imgsearch_internal.passed_by(ctx imgsearch_internal.search_context, keys bigint[], shop text, p imgsearch_internal.page_request) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM (SELECT imgsearch_internal.image_of(u.key) AS image_id FROM unnest(keys) u (key) OFFSET 0) u
    JOIN imgsearch.vectors v ON v.image_id = u.image_id
    WHERE (shop IS NULL OR v.tenant_id = shop) AND (v.embedding <=> (ctx).query, v.image_id) <= ((p).after_distance, (p).after_image)
$$;
COMMENT ON FUNCTION imgsearch_internal.passed_by(imgsearch_internal.search_context, bigint[], text, imgsearch_internal.page_request) IS 'How many of the keys lie on pages before this one.';

CREATE OR REPLACE FUNCTION imgsearch_internal.exact_page(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound, p imgsearch_internal.page_request
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    answer imgsearch_internal.page;
BEGIN
    EXECUTE 'WITH y AS MATERIALIZED (
            SELECT v.tenant_id, v.image_id, (v.embedding <=> $3) + 0 AS d FROM imgsearch.vectors v'
        || CASE WHEN made.condition = '' THEN '' ELSE ' JOIN imgsearch.image i ON i.tenant_id = v.tenant_id AND i.image_id = v.image_id WHERE true' || made.condition END || ')
        SELECT coalesce(array_agg(x.tenant_id), ''{}''), coalesce(array_agg(x.image_id), ''{}''), coalesce(array_agg(x.d), ''{}''), (SELECT count(*) FROM y)
        FROM (SELECT y.* FROM y
              WHERE (($1).after_image IS NULL OR (y.d, y.image_id) > (($1).after_distance, ($1).after_image)) AND ($4 IS NULL OR y.d <= $4)
              ORDER BY y.d, y.image_id LIMIT $5 OFFSET $6) x'
    INTO answer.tenants, answer.images, answer.distances, answer.matches USING asked, made.f, ctx.query, p.max_distance, p.k, p.skip;
    answer.strategy := 'exact'; answer.complete := true; answer.more := false; answer.ranked := answer.matches;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.exact_page(imgsearch_internal.search_context, imgsearch_internal.filter_text, imgsearch_internal.bound, imgsearch_internal.page_request) IS 'The page by comparing every image that matches.';
