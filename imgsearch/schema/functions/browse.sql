-- The newest when nothing was asked; the conditions are those of every search, from filter_sql().

CREATE OR REPLACE FUNCTION imgsearch.browse(filters imgsearch.filters DEFAULT NULL, k integer DEFAULT 10, before_image bigint DEFAULT NULL, per text DEFAULT 'product')
RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(browse.filters);
    asked imgsearch_internal.bound;
BEGIN
    IF browse.k IS NULL OR browse.k < 1 OR browse.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', browse.k USING HINT = 'Page through more rows with before_image.', ERRCODE = 'IM008';
    ELSIF browse.per IS NULL OR browse.per NOT IN ('product', 'image') THEN
        RAISE EXCEPTION 'imgsearch: per is %, it must be ''product'' or ''image''', browse.per USING HINT = 'Leave it out for one row per product.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.active_space();
    asked.names := made.names; asked.vals := made.vals;
    -- A product stands where its newest picture that matches does: a picture with a newer one beside it is passed over.
    RETURN QUERY EXECUTE format($q$
        SELECT o.image_id FROM (SELECT i.image_id, i.tenant_id, i.product_id FROM imgsearch.image i
                                WHERE imgsearch_internal.bits_of(i) IS NOT NULL%1$s%2$s) o
        %3$s ORDER BY o.image_id DESC LIMIT $4
        $q$, made.condition, CASE WHEN browse.before_image IS NULL THEN '' ELSE ' AND i.image_id < $3' END,
        CASE browse.per WHEN 'image' THEN '' ELSE format($q$WHERE NOT EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = o.tenant_id
            AND i.product_id = o.product_id AND i.image_id > o.image_id AND imgsearch_internal.bits_of(i) IS NOT NULL%s OFFSET 0)$q$, made.condition) END)
    USING asked, browse.filters, browse.before_image, browse.k;
END $$;
COMMENT ON FUNCTION imgsearch.browse(imgsearch.filters, integer, bigint, text) IS
'The newest searchable products that match the filters, each by its newest picture (per => ''image'': the newest images); before_image continues behind a page. SELECT * FROM imgsearch.browse(imgsearch.filters_of(''{"category": ["shoes"]}''));';

-- Whoever may see a part alone asks about images by their ids: embedded or not, these are the ones within that part.
CREATE OR REPLACE FUNCTION imgsearch_internal.matching(images bigint[], filters imgsearch.filters) RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(matching.filters);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
BEGIN
    RETURN QUERY EXECUTE 'SELECT i.image_id FROM imgsearch.image i WHERE i.image_id = ANY ($3)' || made.condition USING asked, matching.filters, images;
END $$;
COMMENT ON FUNCTION imgsearch_internal.matching(bigint[], imgsearch.filters) IS 'Those of some images that match filters.';

CREATE OR REPLACE FUNCTION imgsearch_internal.matching_of(products text[], filters imgsearch.filters) RETURNS TABLE (product_id text, images bigint[]) LANGUAGE plpgsql STABLE AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(matching_of.filters);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
BEGIN
    RETURN QUERY EXECUTE 'SELECT i.product_id, array_agg(i.image_id) FROM imgsearch.image i WHERE i.product_id = ANY ($3) AND imgsearch_internal.bits_of(i) IS NOT NULL'
        || made.condition || ' GROUP BY 1' USING asked, matching_of.filters, products;
END $$;
COMMENT ON FUNCTION imgsearch_internal.matching_of(text[], imgsearch.filters) IS 'The searchable images of some products that match filters.';
