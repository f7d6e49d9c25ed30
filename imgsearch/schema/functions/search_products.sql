-- The same ways of searching as in search.sql, with one row per product: its nearest picture that matches.
-- A product is (tenant_id, product_id). Pictures are grouped before the cursor is applied, never after: behind the
-- cursor a product would come again by its second picture. Grouped by bytes (COLLATE "C"): a third of the time.

CREATE OR REPLACE FUNCTION imgsearch_internal.small_tenant_products(query halfvec, f imgsearch_internal.column_filter, p imgsearch_internal.page_request) RETURNS imgsearch_internal.page
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    answer imgsearch_internal.page;
    shop   CONSTANT text := f.shop;
    groups CONSTANT text[] := f.groups;
    low    CONSTANT double precision := f.low;
    high   CONSTANT double precision := f.high;
    stock  CONSTANT boolean := f.stock;
    here   CONSTANT double precision := p.after_distance;
    behind CONSTANT bigint := p.after_image;
BEGIN
    WITH y AS MATERIALIZED (
        -- The tenant as a range: see small_tenant_page(). Products come out of an index alone, and a sub-select looks each
        -- vector up: a join, planned without knowing the tenant, may read one side once for each row of the other.
        SELECT x.* FROM (
            SELECT i.tenant_id, i.image_id, i.product_id, (
                SELECT v.embedding <=> small_tenant_products.query FROM imgsearch.vectors v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id) AS d
            FROM imgsearch.image i
            WHERE i.tenant_id >= shop AND i.tenant_id <= shop
              AND (groups IS NULL OR i.category = ANY (groups) OR i.categories && groups) AND (low IS NULL OR i.price >= low)
              AND (high IS NULL OR i.price <= high) AND (stock IS NULL OR i.in_stock = stock) OFFSET 0) x
        WHERE x.d IS NOT NULL
    ), g AS MATERIALIZED (
        SELECT DISTINCT ON (y.product_id COLLATE "C") y.* FROM y ORDER BY y.product_id COLLATE "C", y.d, y.image_id
    )
    SELECT coalesce(array_agg(x.tenant_id), '{}'), coalesce(array_agg(x.image_id), '{}'), coalesce(array_agg(x.d), '{}'), coalesce(array_agg(x.product_id), '{}'),
           (SELECT count(*) FROM g), (SELECT count(*) FROM y)
    INTO answer.tenants, answer.images, answer.distances, answer.products, answer.matches, answer.pictures FROM (
        SELECT g.* FROM g
        WHERE (behind IS NULL OR (g.d, g.image_id) > (here, behind)) AND ((p).max_distance IS NULL OR g.d <= (p).max_distance)
        ORDER BY g.d, g.image_id LIMIT (p).k OFFSET (p).skip) x;
    answer.strategy := 'exact'; answer.complete := true; answer.more := false; answer.ranked := answer.pictures;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.small_tenant_products(halfvec, imgsearch_internal.column_filter, imgsearch_internal.page_request) IS 'The page of products of a tenant with few images, compared exactly.';

CREATE OR REPLACE FUNCTION imgsearch_internal.exact_products(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, asked imgsearch_internal.bound, p imgsearch_internal.page_request
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    answer imgsearch_internal.page;
BEGIN
    EXECUTE 'WITH y AS MATERIALIZED (
            SELECT v.tenant_id, v.image_id, i.product_id, (v.embedding <=> $3) + 0 AS d
            FROM imgsearch.vectors v JOIN imgsearch.image i ON i.tenant_id = v.tenant_id AND i.image_id = v.image_id WHERE true' || made.condition || '
        ), g AS MATERIALIZED (
            SELECT DISTINCT ON (y.tenant_id COLLATE "C", y.product_id COLLATE "C") y.* FROM y ORDER BY y.tenant_id COLLATE "C", y.product_id COLLATE "C", y.d, y.image_id
        )
        SELECT coalesce(array_agg(x.tenant_id), ''{}''), coalesce(array_agg(x.image_id), ''{}''), coalesce(array_agg(x.d), ''{}''), coalesce(array_agg(x.product_id), ''{}''),
               (SELECT count(*) FROM g), (SELECT count(*) FROM y)
        FROM (SELECT g.* FROM g
              WHERE (($1).after_image IS NULL OR (g.d, g.image_id) > (($1).after_distance, ($1).after_image)) AND ($4 IS NULL OR g.d <= $4)
              ORDER BY g.d, g.image_id LIMIT $5 OFFSET $6) x'
    INTO answer.tenants, answer.images, answer.distances, answer.products, answer.matches, answer.pictures USING asked, made.f, ctx.query, p.max_distance, p.k, p.skip;
    answer.strategy := 'exact'; answer.complete := true; answer.more := false; answer.ranked := answer.pictures;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.exact_products(imgsearch_internal.search_context, imgsearch_internal.filter_text, imgsearch_internal.bound, imgsearch_internal.page_request) IS 'The page of products by comparing every image that matches.';

-- Near the query, how many pictures a walk meets until it has met another product. Of a product's n pictures only some
-- are among the nearest: n ^ 0.65 was measured (docs/decisions/0013-products.md). A guess, where a walk begins.
CREATE OR REPLACE FUNCTION imgsearch_internal.crowding(ctx imgsearch_internal.search_context) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted CONSTANT bit varying := ctx.bits;
    shop   CONSTANT text := ctx.tenant;
BEGIN
    RETURN (SELECT 1 / avg(greatest(1, x.many) ^ -0.65)
            FROM (SELECT s.tenant_id, s.product_id FROM imgsearch.image_sample s WHERE shop IS NULL OR s.tenant_id = shop ORDER BY s.bits::"bit" <~> wanted::"bit" LIMIT 16) s,
                 LATERAL (SELECT count(*) AS many FROM (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = s.tenant_id AND i.product_id = s.product_id LIMIT 100) i) x);
END $$;
COMMENT ON FUNCTION imgsearch_internal.crowding(imgsearch_internal.search_context) IS 'How many pictures there are for each product near the query, guessed from the sample; null where there is none.';

-- A guess for the choice between a walk and bits, and for the width of a pool. Where bits cost less than any walk it is
-- dearer than a pool somewhat too wide, and where all match a walk for a page costs least and finds out by itself; one for
-- the hundreds of a window is often lost.
CREATE OR REPLACE FUNCTION imgsearch_internal.with_crowding(ctx imgsearch_internal.search_context, est imgsearch_internal.estimate) RETURNS imgsearch_internal.search_context
LANGUAGE plpgsql STABLE AS $$
BEGIN
    ctx := imgsearch_internal.cautious(ctx);
    ctx.crowding := CASE WHEN imgsearch_internal.bits_cost_ms(ctx.pictures, est) <= 6 THEN 3
                         WHEN est.share >= 0.95 AND ctx.indexed AND ctx.pictures > 50000 AND ctx.page_end <= 50 THEN 1
                         ELSE coalesce(imgsearch_internal.crowding(ctx), 1) END;
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_crowding(imgsearch_internal.search_context, imgsearch_internal.estimate) IS 'What is known before a search for products: also how crowded it is near the query.';
