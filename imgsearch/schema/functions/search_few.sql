-- What so few match that all of them are compared: read out of one index, with nothing guessed and
-- nothing planned anew.

-- A tenant of few images is compared exactly. It is sought as a range, though of one value: planned
-- without knowing it, and still out of the primary key for sure. A sub-select looks each row up:
-- a join, planned without knowing the tenant, may read one side once for each row of the other.
CREATE OR REPLACE FUNCTION imgsearch_internal.small_tenant_page(
    query halfvec, f imgsearch_internal.column_filter, p imgsearch_internal.page_request, per text
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    shop   CONSTANT text := f.shop;
    groups CONSTANT text[] := f.groups;
    low    CONSTANT double precision := f.low;
    high   CONSTANT double precision := f.high;
    stock  CONSTANT boolean := f.stock;
    every  CONSTANT boolean :=
        groups IS NULL AND coalesce(low::text, high::text, stock::text) IS NULL;
    most   CONSTANT integer := (imgsearch_internal.policy()).few_images;
    ctx    imgsearch_internal.search_context;
    c      imgsearch_internal.candidates;
    page   record;
    answer imgsearch_internal.page;
BEGIN
    IF (SELECT count(*) FROM (
            SELECT 1 FROM imgsearch.vectors v WHERE v.tenant_id >= shop AND v.tenant_id <= shop
            ORDER BY v.tenant_id, v.image_id LIMIT most + 1) x) > most
       OR l2_norm(query) = 0 OR NOT EXISTS (
            SELECT 1 FROM imgsearch.space s
            WHERE s.state = 'active' AND s.space_id = imgsearch_internal.searched_space()
              AND s.dimension = vector_dims(query) AND s.space_id = coalesce((p).space, s.space_id))
    THEN
        RETURN NULL;  -- search_context() knows what to say
    END IF;
    SELECT array_agg(x.tenant_id), array_agg(x.image_id), array_agg(x.d), array_agg(x.label)
    INTO c.tenants, c.images, c.distances, c.labels FROM (
        SELECT v.tenant_id, v.image_id, (v.embedding <=> small_tenant_page.query) + 0 AS d,
               CASE WHEN per IS NOT NULL THEN (
                   SELECT i.product_id FROM imgsearch.image i
                   WHERE i.tenant_id = v.tenant_id AND i.image_id = v.image_id) END AS label
        FROM imgsearch.vectors v
        WHERE v.tenant_id >= shop AND v.tenant_id <= shop AND (every OR EXISTS (
            SELECT 1 FROM imgsearch.image i
            WHERE i.tenant_id = v.tenant_id AND i.image_id = v.image_id
              AND (groups IS NULL OR i.category = ANY (groups) OR i.categories && groups)
              AND (low IS NULL OR i.price >= low) AND (high IS NULL OR i.price <= high)
              AND (stock IS NULL OR i.in_stock = stock)))
        ORDER BY d, v.image_id) x;
    ctx.per := per;
    page := imgsearch_internal.rows_of(ctx, c, p);
    answer := page.answer;
    answer.strategy := 'exact'; answer.more := false; answer.matches := page.rows;
    answer.ranked := coalesce(cardinality(c.images), 0);
    answer.pictures := CASE WHEN per IS NOT NULL THEN answer.ranked END;
    RETURN imgsearch_internal.cut(answer, p);
END $$;
COMMENT ON FUNCTION imgsearch_internal.small_tenant_page IS
'The page of one tenant with few images, compared exactly; null where it has many.';

-- By the index that serves best whatever the values are: of a tenant with a category, of a
-- category, or of prices. None is sure to be best for several categories, or where only one
-- tenant's rows are seen: then an index is read until enough of its own were met. One of the three
-- is read, the others are left out before they begin. An index's order and the limit are part of
-- each, so that a plan made for any value is right: planned once per session.
CREATE OR REPLACE FUNCTION imgsearch_internal.few_keys(
    ctx imgsearch_internal.search_context, made imgsearch_internal.filter_text
) RETURNS imgsearch_internal.candidates LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    f      CONSTANT imgsearch_internal.column_filter := made.columns;
    lead   CONSTANT text := CASE
        WHEN NOT made.plain OR made.unpacked OR cardinality(f.groups) > 1 THEN NULL
        WHEN f.shop IS NOT NULL AND f.groups IS NOT NULL THEN 'tenant'
        WHEN row_security_active('imgsearch.image') THEN NULL
        WHEN f.groups IS NOT NULL THEN 'category'
        WHEN coalesce(f.low, f.high) IS NOT NULL THEN 'price' END;
    bits   CONSTANT bit varying := ctx.bits;
    shop   CONSTANT text := f.shop;
    kind   CONSTANT text := f.groups[1];
    low    CONSTANT double precision := coalesce(f.low, 0);
    high   CONSTANT double precision := coalesce(f.high, 'Infinity');
    any_   CONSTANT boolean := f.low IS NULL AND f.high IS NULL;
    stock  CONSTANT boolean := f.stock;
    most   CONSTANT integer := (imgsearch_internal.policy()).few_entries;
    read   bigint;
    c      imgsearch_internal.candidates;
BEGIN
    IF lead IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT max(a.n), coalesce(array_agg(a.key ORDER BY a.key) FILTER (WHERE a.matches), '{}'),
           array_agg(a.tenant_id ORDER BY a.key) FILTER (WHERE a.matches),
           array_agg(a.product_id ORDER BY a.key) FILTER (WHERE a.matches)
    INTO read, c.keys, c.tenants, c.labels FROM (
        SELECT a.*, row_number() OVER () AS n,
               imgsearch_internal.pack_key(a.bits::"bit" <~> bits::"bit", a.image_id) AS key,
               a.bits IS NOT NULL AND (shop IS NULL OR a.tenant_id = shop)
               AND (any_ OR a.price >= low AND a.price <= high)
               AND (stock IS NULL OR a.in_stock = stock) AS matches
        FROM (
            (SELECT i.tenant_id, i.image_id, i.product_id, i.price, i.in_stock,
                    imgsearch_internal.bits_of(i) AS bits
             FROM imgsearch.image i
             WHERE lead = 'tenant' AND i.tenant_id = shop AND i.category = kind
             ORDER BY i.tenant_id, i.category, i.price LIMIT most + 1)
            UNION ALL
            (SELECT i.tenant_id, i.image_id, i.product_id, i.price, i.in_stock,
                    imgsearch_internal.bits_of(i)
             FROM imgsearch.image i
             WHERE lead = 'category' AND i.category >= kind AND i.category <= kind
             ORDER BY i.category, i.price LIMIT most + 1)
            UNION ALL
            (SELECT i.tenant_id, i.image_id, i.product_id, i.price, i.in_stock,
                    imgsearch_internal.bits_of(i)
             FROM imgsearch.image i
             WHERE lead = 'price' AND i.price >= low AND i.price <= high
             ORDER BY i.price LIMIT most + 1)) a) a;
    IF read > most THEN
        RETURN NULL;
    END IF;
    RETURN c;
END $$;
COMMENT ON FUNCTION imgsearch_internal.few_keys(imgsearch_internal.search_context,
    imgsearch_internal.filter_text) IS
'The keys of what matches, where an index holds few of what leads it; else null.';
