-- What so few match that all of them are compared: read out of one index, with nothing guessed and nothing planned anew.

-- A tenant of at most 500 images is compared exactly, out of the primary key: planned once per session.
CREATE OR REPLACE FUNCTION imgsearch_internal.small_tenant_page(query halfvec, f imgsearch_internal.column_filter, p imgsearch_internal.page_request) RETURNS imgsearch_internal.page
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    answer  imgsearch_internal.page;
    shop   CONSTANT text := f.shop;
    groups CONSTANT text[] := f.groups;
    low    CONSTANT double precision := f.low;
    high   CONSTANT double precision := f.high;
    stock  CONSTANT boolean := f.stock;
    every  CONSTANT boolean := coalesce(groups[1], low::text, high::text, stock::text) IS NULL AND groups IS NULL;
    here   CONSTANT double precision := p.after_distance;
    behind CONSTANT bigint := p.after_image;
BEGIN
    -- A range, though of one value: planned without knowing it, and still out of the primary key for sure.
    SELECT count(*) INTO answer.matches FROM (SELECT 1 FROM imgsearch.vectors v WHERE v.tenant_id >= shop AND v.tenant_id <= shop
                                             ORDER BY v.tenant_id, v.image_id LIMIT 501) x;
    IF answer.matches > 500 OR NOT EXISTS (
        SELECT 1 FROM imgsearch.space s WHERE s.state = 'active' AND s.space_id = imgsearch_internal.searched_space() AND s.dimension = vector_dims(small_tenant_page.query)
          AND s.space_id = coalesce((p).space, s.space_id)) OR l2_norm(query) = 0 THEN
        RETURN NULL;
    ELSIF p.per_product THEN
        RETURN imgsearch_internal.small_tenant_products(query, f, p);
    END IF;
    WITH y AS MATERIALIZED (
        SELECT v.tenant_id, v.image_id, (v.embedding <=> small_tenant_page.query) + 0 AS d FROM imgsearch.vectors v
        WHERE v.tenant_id >= shop AND v.tenant_id <= shop
          AND (every OR EXISTS (
            SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = v.tenant_id AND i.image_id = v.image_id
              AND (groups IS NULL OR i.category = ANY (groups) OR i.categories && groups) AND (low IS NULL OR i.price >= low)
              AND (high IS NULL OR i.price <= high) AND (stock IS NULL OR i.in_stock = stock)))
    )
    SELECT coalesce(array_agg(x.tenant_id), '{}'), coalesce(array_agg(x.image_id), '{}'), coalesce(array_agg(x.d), '{}'), (SELECT count(*) FROM y)
    INTO answer.tenants, answer.images, answer.distances, answer.matches FROM (
        SELECT y.* FROM y
        WHERE (behind IS NULL OR (y.d, y.image_id) > (here, behind)) AND ((p).max_distance IS NULL OR y.d <= (p).max_distance)
        ORDER BY y.d, y.image_id LIMIT (p).k OFFSET (p).skip) x;
    answer.strategy := 'exact'; answer.complete := true; answer.more := false; answer.ranked := answer.matches;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.small_tenant_page(halfvec, imgsearch_internal.column_filter, imgsearch_internal.page_request) IS 'The page of one tenant with few images, compared exactly; null where it has many.';

-- Of the indexes that hold the bits, the one that begins with what was asked and serves it best, whatever the values are.
-- Null: what is best depends on them, or only one tenant's rows are seen: then an index is read until enough of its own were met.
CREATE OR REPLACE FUNCTION imgsearch_internal.leading_column(f imgsearch_internal.column_filter) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN CASE WHEN cardinality(f.groups) > 1 THEN NULL
                WHEN f.shop IS NOT NULL AND f.groups IS NOT NULL THEN 'tenant'
                WHEN f.groups IS NULL AND f.low IS NULL AND f.high IS NULL OR row_security_active('imgsearch.image') THEN NULL
                WHEN f.groups IS NOT NULL THEN 'category' ELSE 'price' END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.leading_column(imgsearch_internal.column_filter) IS 'The column by which few_page() reads: tenant (with a category), category or price; null where none is sure to be the best.';

-- How many entries an index has of what it is read by, as far as 321. One of the three is read, the others are left out before they
-- begin; an index's order and the limit are part of each, so that a plan made for any value is right: planned once per session.
CREATE OR REPLACE FUNCTION imgsearch_internal.count_entries(lead text, shop text, kind text, low double precision, high double precision) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT count(*) FROM (
        (SELECT 1 FROM imgsearch.image i WHERE lead = 'tenant' AND i.tenant_id = shop AND i.category = kind ORDER BY i.tenant_id, i.category, i.price LIMIT 321)
        UNION ALL
        (SELECT 1 FROM imgsearch.image i WHERE lead = 'category' AND i.category >= kind AND i.category <= kind ORDER BY i.category, i.price LIMIT 321)
        UNION ALL
        (SELECT 1 FROM imgsearch.image i WHERE lead = 'price' AND i.price >= low AND i.price <= high ORDER BY i.price LIMIT 321)) x);
END $$;
COMMENT ON FUNCTION imgsearch_internal.count_entries(text, text, text, double precision, double precision) IS 'How many pictures are of a category, a range of prices or a category of a tenant; 321: that many or more.';

-- The keys of those that match, ascending, and whose they are. Planned once per session, as above. Of many it would be dearer
-- than a plan for that one: whose they are is sorted with them.
CREATE OR REPLACE FUNCTION imgsearch_internal.few_keys(
    ctx imgsearch_internal.search_context, f imgsearch_internal.column_filter, lead text, OUT keys bigint[], OUT tenants text[], OUT products text[]
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    wanted CONSTANT bit varying := ctx.bits;
    shop   CONSTANT text := f.shop;
    kind   CONSTANT text := f.groups[1];
    low    CONSTANT double precision := coalesce(f.low, 0);
    high   CONSTANT double precision := coalesce(f.high, 'Infinity');
    any_   CONSTANT boolean := f.low IS NULL AND f.high IS NULL;
    stock  CONSTANT boolean := f.stock;
BEGIN
    IF imgsearch_internal.count_entries(lead, shop, kind, low, high) > 320 THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(b.key), '{}'), array_agg(b.tenant_id), array_agg(b.product_id) INTO keys, tenants, products FROM (
        SELECT imgsearch_internal.pack_key(a.bits::"bit" <~> wanted::"bit", a.image_id) AS key, a.tenant_id, a.product_id
        FROM ((SELECT i.tenant_id, i.image_id, i.product_id, i.price, i.in_stock, imgsearch_internal.bits_of(i) AS bits FROM imgsearch.image i
               WHERE lead = 'tenant' AND i.tenant_id = shop AND i.category = kind ORDER BY i.tenant_id, i.category, i.price LIMIT 321)
              UNION ALL
              (SELECT i.tenant_id, i.image_id, i.product_id, i.price, i.in_stock, imgsearch_internal.bits_of(i) FROM imgsearch.image i
               WHERE lead = 'category' AND i.category >= kind AND i.category <= kind ORDER BY i.category, i.price LIMIT 321)
              UNION ALL
              (SELECT i.tenant_id, i.image_id, i.product_id, i.price, i.in_stock, imgsearch_internal.bits_of(i) FROM imgsearch.image i
               WHERE lead = 'price' AND i.price >= low AND i.price <= high ORDER BY i.price LIMIT 321)) a
        WHERE a.bits IS NOT NULL AND (shop IS NULL OR a.tenant_id = shop) AND (any_ OR a.price >= low AND a.price <= high) AND (stock IS NULL OR a.in_stock = stock)
        ORDER BY 1) b;
END $$;
COMMENT ON FUNCTION imgsearch_internal.few_keys(imgsearch_internal.search_context, imgsearch_internal.column_filter, text) IS 'The keys of what matches, where few do; else null.';

-- Where many match, looking costs 0.03 ms; where few do it spares the sample, the choice and the planning: half of a search.
CREATE OR REPLACE FUNCTION imgsearch_internal.few_page(ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text, p imgsearch_internal.page_request) RETURNS imgsearch_internal.page
LANGUAGE plpgsql STABLE AS $$
DECLARE
    f      CONSTANT imgsearch_internal.column_filter := made.columns;
    lead   CONSTANT text := CASE WHEN made.plain AND NOT made.unpacked AND p.skip <= 1000 THEN imgsearch_internal.leading_column(f) END;
    few    record;
    answer imgsearch_internal.page;
BEGIN
    IF lead IS NULL THEN
        RETURN NULL;
    END IF;
    few := imgsearch_internal.few_keys(ctx, f, lead);
    IF few.keys IS NULL THEN
        RETURN NULL;
    END IF;
    ctx.pool := greatest(ctx.pool, 320);
    IF p.per_product THEN
        RETURN imgsearch_internal.cut((imgsearch_internal.products_of(ctx, few.keys, few.tenants, few.products, false, f.shop, p, 0)).answer, p);
    END IF;
    answer.more := false; answer.matches := cardinality(few.keys);
    SELECT r.tenants, r.images, r.distances, r.ranked INTO answer.tenants, answer.images, answer.distances, answer.ranked FROM imgsearch_internal.rerank(ctx, few.keys, f.shop, p.after_distance, p.after_image) r;
    answer.strategy := CASE WHEN answer.ranked = answer.matches THEN 'exact' ELSE 'bits' END;
    RETURN imgsearch_internal.cut(answer, p);
END $$;
COMMENT ON FUNCTION imgsearch_internal.few_page(imgsearch_internal.search_context, imgsearch_internal.filter_text, imgsearch_internal.page_request) IS 'The page where an index holds at most 320 of a category, a range of prices or a category of a tenant; null where it holds more, or something else was asked.';
