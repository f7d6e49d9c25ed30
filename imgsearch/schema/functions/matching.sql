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
