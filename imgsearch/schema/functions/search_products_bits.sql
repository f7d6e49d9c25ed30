-- One row per product by bits: the nearest pictures by their bits, of those the products, of those the best compared.

-- Of keys (ascending) and whose they are (tenants: null where one was asked for): the key where the rank-th product
-- begins. It lies near the beginning, so only as much of the list is grouped as it takes; many: the products in that part.
CREATE OR REPLACE FUNCTION imgsearch_internal.product_edge(keys bigint[], tenants text[], products text[], rank integer, OUT many bigint, OUT edge bigint) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    part integer := 4 * rank;
BEGIN
    LOOP
        SELECT count(*), (array_agg(x.first ORDER BY x.first))[rank] INTO many, edge
        FROM (SELECT min(u.key) AS first FROM unnest(keys[1:part], tenants[1:part], products[1:part]) u (key, tenant, product)
              GROUP BY u.tenant COLLATE "C", u.product COLLATE "C") x;
        EXIT WHEN edge IS NOT NULL OR part >= cardinality(keys);
        part := 4 * part;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.product_edge(bigint[], text[], text[], integer) IS 'Where a list of keys reaches a rank of products; null: nowhere, and then many says how many products it holds.';

CREATE OR REPLACE FUNCTION imgsearch_internal.count_products(tenants text[], products text[]) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF tenants IS NULL THEN
        RETURN (SELECT count(*) FROM (SELECT 1 FROM unnest(products) u (product) GROUP BY u.product COLLATE "C") x);
    END IF;
    RETURN (SELECT count(*) FROM (SELECT 1 FROM unnest(tenants, products) u (tenant, product) GROUP BY u.tenant COLLATE "C", u.product COLLATE "C") x);
END $$;
COMMENT ON FUNCTION imgsearch_internal.count_products(text[], text[]) IS 'How many products there are in a list of whose pictures are.';

-- The page out of the first `ranked` keys, compared exactly; before: the products up to the cursor. Eight pictures for each
-- product are grouped, and all of them only where those are of too few: sorting texts costs more than comparing vectors.
CREATE OR REPLACE FUNCTION imgsearch_internal.rerank_products(
    ctx imgsearch_internal.search_context, keys bigint[], products text[], shop text, p imgsearch_internal.page_request,
    OUT answer imgsearch_internal.page, OUT before integer, OUT deepest integer
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    query  halfvec := ctx.query;
    wanted CONSTANT integer := ctx.page_end;
    here   CONSTANT double precision := p.after_distance;
    behind CONSTANT bigint := p.after_image;
BEGIN
    WITH y AS MATERIALIZED (
        SELECT v.tenant_id, v.image_id, u.n, (v.embedding <=> query) + 0 AS d
        -- In the order of the table: the thousands of look-ups of a window cost a tenth less.
        FROM (SELECT imgsearch_internal.image_of(u.key) AS image_id, u.n FROM unnest(rerank_products.keys) WITH ORDINALITY u (key, n) ORDER BY 1) u
        JOIN imgsearch.vectors v ON v.image_id = u.image_id
        WHERE shop IS NULL OR v.tenant_id = shop
    ), near AS MATERIALIZED (
        SELECT y.tenant_id, y.image_id, y.d, y.n, rerank_products.products[y.n] AS product_id FROM (SELECT y.* FROM y ORDER BY y.d, y.image_id LIMIT 8 * wanted) y
    ), first AS MATERIALIZED (
        SELECT DISTINCT ON (n.tenant_id COLLATE "C", n.product_id COLLATE "C") n.* FROM near n ORDER BY n.tenant_id COLLATE "C", n.product_id COLLATE "C", n.d, n.image_id
    ), few AS MATERIALIZED (
        SELECT (SELECT count(*) FROM first f WHERE behind IS NULL OR (f.d, f.image_id) > (here, behind)) < (p).k + (p).skip AS few
    ), g AS MATERIALIZED (
        SELECT f.* FROM first f WHERE NOT (SELECT few.few FROM few)
        UNION ALL (SELECT DISTINCT ON (y.tenant_id COLLATE "C", y.product_id COLLATE "C") y.*
                   FROM (SELECT y.tenant_id, y.image_id, y.d, y.n, rerank_products.products[y.n] AS product_id FROM y WHERE (SELECT few.few FROM few)) y
                   ORDER BY y.tenant_id COLLATE "C", y.product_id COLLATE "C", y.d, y.image_id)
    )
    SELECT coalesce(array_agg(x.tenant_id), '{}'), coalesce(array_agg(x.image_id), '{}'), coalesce(array_agg(x.d), '{}'), coalesce(array_agg(x.product_id), '{}'),
           (SELECT count(*) FROM g WHERE (g.d, g.image_id) <= (here, behind)), max(x.n)
    INTO answer.tenants, answer.images, answer.distances, answer.products, before, deepest FROM (
        SELECT g.* FROM g WHERE behind IS NULL OR (g.d, g.image_id) > (here, behind) ORDER BY g.d, g.image_id LIMIT (p).k + (p).skip) x;
    answer.ranked := cardinality(rerank_products.keys);
END $$;
COMMENT ON FUNCTION imgsearch_internal.rerank_products(imgsearch_internal.search_context, bigint[], text[], text, imgsearch_internal.page_request) IS 'The nearest products of a list of keys, by their vectors.';

-- The page out of a pool of keys; strategy is null where the pool ends before the page may: before its last product by
-- bits and the margin, unless it holds so many products that it was wide enough for as many single pictures. `more`:
-- more pictures match than are in the pool. ctx.page_end: the products up to the cursor, as far as known, and the page's.
CREATE OR REPLACE FUNCTION imgsearch_internal.products_of(
    INOUT ctx imgsearch_internal.search_context, keys bigint[], tenants text[], products text[], more boolean, shop text, p imgsearch_internal.page_request, enough integer,
    OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted CONSTANT integer := p.k + p.skip;
    pool   CONSTANT integer := cardinality(keys);
    ranked integer;
    at_    record;
    best   record;
BEGIN
    LOOP
        at_ := imgsearch_internal.product_edge(keys, tenants, products, ctx.page_end);
        ranked := CASE WHEN at_.edge IS NULL OR ctx.rough OR NOT more AND imgsearch_internal.are_few(pool) THEN pool ELSE imgsearch_internal.keys_within(keys, at_.edge, ctx.margin) END;
        IF more AND (at_.edge IS NULL OR ranked >= pool AND NOT ctx.rough AND imgsearch_internal.count_products(tenants, products) < enough) THEN
            RETURN;
        END IF;
        best := imgsearch_internal.rerank_products(ctx, keys[1:ranked], products[1:ranked], shop, p);
        EXIT WHEN ranked = pool OR cardinality((best.answer).images) = wanted AND best.before + wanted <= 1.1 * ctx.page_end;
        -- More lie up to the cursor than was known: others write, or it was written by hand.
        ctx.page_end := greatest(best.before + wanted, ceil(CASE WHEN p.passed IS NULL THEN 2 ELSE 1.2 END * ctx.page_end));
    END LOOP;
    IF more AND (cardinality((best.answer).images) < wanted OR best.before + wanted > 1.1 * ctx.page_end) THEN
        ctx.page_end := greatest(ctx.page_end, best.before + wanted);
        RETURN;
    ELSIF more AND p.after_image IS NULL AND imgsearch_internal.is_pool_short(ctx, at_.edge, keys[pool], best.deepest, ranked) THEN
        ctx.margin := ceil(1.5 * ctx.margin);
        RETURN;
    END IF;
    answer := best.answer;
    answer.more := more; answer.pictures := pool;
    answer.strategy := CASE WHEN ranked = pool AND NOT more THEN 'exact' ELSE 'bits' END;
    -- Where more match than the pool holds, a floor will do.
    answer.matches := CASE WHEN more THEN at_.many ELSE imgsearch_internal.count_products(tenants, products) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.products_of IS 'The page of products out of a pool of keys; strategy is null where the pool ends too early.';

-- Sorting copies each row with its product, so what lies far beyond the pool is left out before: by the sample, four
-- times the pool lie within this many bits (eight sampled pictures at least: fewer in truth than the pool is one search in
-- a thousand, which then reads again). Null: not worth it, or not known.
CREATE OR REPLACE FUNCTION imgsearch_internal.pool_reach(ctx imgsearch_internal.search_context, est imgsearch_internal.estimate, condition text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted CONSTANT bit varying := ctx.bits;
    place  integer;
BEGIN
    IF est.apart IS NULL AND condition = '' THEN
        SELECT array_agg(s.bits::"bit" <~> wanted::"bit") INTO est.apart FROM imgsearch.image_sample s;
    END IF;
    place := greatest(8, ceil(4.0 * ctx.pool * ctx.sampled / greatest(ctx.pictures, 1)));
    RETURN CASE WHEN place * 2 <= cardinality(est.apart) THEN (SELECT a.apart FROM unnest(est.apart) a (apart) ORDER BY 1 OFFSET place - 1 LIMIT 1) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.pool_reach(imgsearch_internal.search_context, imgsearch_internal.estimate, text) IS 'Within how many bits of the query about four times the pool match, guessed from the sample.';

CREATE OR REPLACE FUNCTION imgsearch_internal.bits_products(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound, p imgsearch_internal.page_request, est imgsearch_internal.estimate
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    keys     bigint[];
    tenants  text[];
    products text[];
    reach    integer;
    more     boolean;
    tried    record;
    enough   CONSTANT integer := ctx.pool / 2;
BEGIN
    ctx.pool := least(20000, ceil(ctx.pool * least(3, sqrt(ctx.crowding))));
    reach := imgsearch_internal.pool_reach(ctx, est, made.condition);
    WHILE ctx.pool <= 20000 LOOP
        EXECUTE format('SELECT coalesce(array_agg(b.key), ''{}''), coalesce(array_agg(b.product_id), ''{}''), %4$s FROM (
                SELECT %1$s AS key, i.product_id, i.tenant_id FROM imgsearch.image i WHERE i.bits_%2$s IS NOT NULL%5$s%3$s ORDER BY 1 LIMIT $3) b',
            imgsearch_internal.key_sql(ctx.space_id), ctx.space_id, made.condition, CASE WHEN (made.f).tenant IS NULL THEN 'array_agg(b.tenant_id)' ELSE 'NULL' END,
            CASE WHEN reach IS NULL THEN '' ELSE format(' AND i.bits_%s <~> ($1).bits::"bit" <= $4', ctx.space_id) END)
        INTO keys, products, tenants USING asked, made.f, ctx.pool + 1, reach;
        more := cardinality(keys) > ctx.pool;
        IF reach IS NOT NULL AND NOT more THEN
            reach := NULL;
            CONTINUE;
        END IF;
        tried := imgsearch_internal.products_of(ctx, keys[1:ctx.pool], tenants[1:ctx.pool], products[1:ctx.pool], more, (made.f).tenant, p, enough);
        IF (tried.answer).strategy IS NOT NULL THEN
            RETURN imgsearch_internal.cut(tried.answer, p);
        END IF;
        ctx := tried.ctx;
        -- 20,000 once more before everything is compared: that costs ten times as much.
        ctx.pool := CASE WHEN ctx.pool BETWEEN 5001 AND 19999 THEN 20000 ELSE 4 * ctx.pool END; reach := NULL;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.bits_products(imgsearch_internal.search_context, imgsearch_internal.filter_text, imgsearch_internal.bound, imgsearch_internal.page_request, imgsearch_internal.estimate) IS 'The page of products by ranking bits; null where comparing everything is as good.';
