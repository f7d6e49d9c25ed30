-- One row per product by bits: the nearest pictures by their bits, of those the products, of those the best compared.

-- Of keys (ascending) and whose they are (tenants: null where one was asked for): how many products, and the key where
-- the rank-th of them begins.
CREATE OR REPLACE FUNCTION imgsearch_internal.product_edge(keys bigint[], tenants text[], products text[], rank integer, OUT many bigint, OUT edge bigint) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    SELECT count(*), (array_agg(x.first ORDER BY x.first))[rank] INTO many, edge
    FROM (SELECT min(u.key) AS first FROM unnest(keys, tenants, products) u (key, tenant, product) GROUP BY u.tenant COLLATE "C", u.product COLLATE "C") x;
END $$;
COMMENT ON FUNCTION imgsearch_internal.product_edge(bigint[], text[], text[], integer) IS 'How many products a list of keys holds, and where a rank is reached; null: nowhere.';

-- The page out of the first `ranked` keys, compared exactly. `matches`: the products among them; before: those of them up to the cursor.
CREATE OR REPLACE FUNCTION imgsearch_internal.rerank_products(
    ctx imgsearch_internal.search_context, keys bigint[], products text[], shop text, p imgsearch_internal.page_request,
    OUT answer imgsearch_internal.page, OUT before integer
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    query  halfvec := ctx.query;
    here   CONSTANT double precision := p.after_distance;
    behind CONSTANT bigint := p.after_image;
BEGIN
    WITH y AS MATERIALIZED (
        SELECT v.tenant_id, v.image_id, u.product_id, (v.embedding <=> query) + 0 AS d
        FROM (SELECT imgsearch_internal.image_of(u.key) AS image_id, u.product_id FROM unnest(rerank_products.keys, rerank_products.products) u (key, product_id) OFFSET 0) u
        JOIN imgsearch.vectors v ON v.image_id = u.image_id
        WHERE shop IS NULL OR v.tenant_id = shop
    ), g AS MATERIALIZED (
        SELECT DISTINCT ON (y.tenant_id COLLATE "C", y.product_id COLLATE "C") y.* FROM y ORDER BY y.tenant_id COLLATE "C", y.product_id COLLATE "C", y.d, y.image_id
    )
    SELECT coalesce(array_agg(x.tenant_id), '{}'), coalesce(array_agg(x.image_id), '{}'), coalesce(array_agg(x.d), '{}'), coalesce(array_agg(x.product_id), '{}'),
           (SELECT count(*) FROM g), (SELECT count(*) FROM g WHERE (g.d, g.image_id) <= (here, behind))
    INTO answer.tenants, answer.images, answer.distances, answer.products, answer.matches, before FROM (
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
        ranked := CASE WHEN at_.edge IS NULL OR ctx.rough THEN pool ELSE imgsearch_internal.keys_within(keys, at_.edge, ctx.margin) END;
        IF more AND (at_.edge IS NULL OR ranked >= pool AND NOT ctx.rough AND at_.many < enough) THEN
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
    END IF;
    answer := best.answer;
    answer.more := more; answer.pictures := pool;
    answer.strategy := CASE WHEN ranked = pool AND NOT more THEN 'exact' ELSE 'bits' END;
    IF answer.strategy = 'bits' THEN
        answer.matches := at_.many;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.products_of IS 'The page of products out of a pool of keys; strategy is null where the pool ends too early.';

CREATE OR REPLACE FUNCTION imgsearch_internal.bits_products(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound, p imgsearch_internal.page_request
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    keys     bigint[];
    tenants  text[];
    products text[];
    more     boolean;
    tried    record;
    enough   CONSTANT integer := ctx.pool / 2;
BEGIN
    ctx.pool := least(20000, ceil(ctx.pool * least(3, sqrt(ctx.crowding))));
    WHILE ctx.pool <= 20000 LOOP
        EXECUTE format('SELECT coalesce(array_agg(b.key), ''{}''), coalesce(array_agg(b.product_id), ''{}''), array_agg(b.tenant_id) FROM (
                SELECT %1$s AS key, i.product_id, %4$s AS tenant_id FROM imgsearch.image i WHERE i.bits_%2$s IS NOT NULL%3$s ORDER BY 1 LIMIT $3) b',
            imgsearch_internal.key_sql(ctx.space_id), ctx.space_id, made.condition, CASE WHEN (made.f).tenant IS NULL THEN 'i.tenant_id' ELSE 'NULL::text' END)
        INTO keys, products, tenants USING asked, made.f, ctx.pool + 1;
        more := cardinality(keys) > ctx.pool;
        tried := imgsearch_internal.products_of(ctx, keys[1:ctx.pool], tenants[1:ctx.pool], products[1:ctx.pool], more, (made.f).tenant, p, enough);
        IF (tried.answer).strategy IS NOT NULL THEN
            RETURN imgsearch_internal.cut(tried.answer, p);
        END IF;
        ctx := tried.ctx;
        ctx.pool := 4 * ctx.pool;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.bits_products(imgsearch_internal.search_context, imgsearch_internal.filter_text, imgsearch_internal.bound, imgsearch_internal.page_request) IS 'The page of products by ranking bits; null where comparing everything is as good.';
