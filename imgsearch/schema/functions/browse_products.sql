-- A list of what matches, without a question: by price, age or an attribute, one row per product. A product stands where
-- its first picture in that order stands. Everything that matches is read for each page.

-- after: '<image_id>,<class>,<number>,<text in hex>,<check>' of the last row; see sort_value(). check tells another list.
CREATE OR REPLACE FUNCTION imgsearch_internal.browse_place(after text, OUT image bigint, OUT class integer, OUT number double precision, OUT words text, OUT check_ text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    part CONSTANT text[] := regexp_match(after, '^([0-9]{1,18}),([0-3]),(-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:e[-+]?[0-9]{1,3})?)?,([0-9a-f]*),([0-9a-f]{8})$');
BEGIN
    IF after IS NOT NULL AND part IS NULL OR length(after) > 10000 THEN
        RAISE EXCEPTION 'imgsearch: after is "%"', left(after, 100) USING HINT = 'Pass the `after` of the last row of the page before, as it is.', ERRCODE = 'IM008';
    END IF;
    image := part[1]; class := part[2]; number := part[3]; words := convert_from(decode(part[4], 'hex'), 'UTF8'); check_ := part[5];
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: after is "%"', left(after, 100) USING HINT = 'Pass the `after` of the last row of the page before, as it is.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch_internal.browse_place(text) IS 'Where a list goes on.';

CREATE OR REPLACE FUNCTION imgsearch.browse_products(filters imgsearch.filters DEFAULT NULL, k integer DEFAULT 10, sort text DEFAULT 'newest', after text DEFAULT NULL)
RETURNS TABLE (image_id bigint, product_id text, tenant_id text, pictures bigint, after_this text) LANGUAGE plpgsql STABLE ROWS 10 AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(browse_products.filters);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    here  record := imgsearch_internal.browse_place(after);
    check_ CONSTANT text := left(md5(concat_ws(E'\x01', browse_products.filters::text, coalesce(sort, 'newest'))), 8);
    turn  CONSTANT integer := CASE WHEN sort LIKE '-%' THEN -1 ELSE 1 END;
BEGIN
    PERFORM imgsearch_internal.check_page(imgsearch_internal.page_of(k));
    PERFORM imgsearch_internal.check_order(jsonb_populate_record(NULL::imgsearch.ranking, jsonb_build_object('sort', coalesce(sort, 'newest'))));
    IF here.check_ <> check_ THEN
        RAISE EXCEPTION 'imgsearch: this `after` belongs to another list' USING HINT = 'Ask again without `after`, and continue with what that page gives.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.active_space();
    RETURN QUERY EXECUTE '
        WITH every AS (
            SELECT i.tenant_id, i.product_id, i.image_id, i.position, x.class, $4 * x.number AS number, CASE WHEN $4 > 0 THEN x.words END AS up, CASE WHEN $4 < 0 THEN x.words END AS down, x.words, x.number AS value
            FROM imgsearch.image i, LATERAL imgsearch_internal.sort_value(i, $3) x WHERE imgsearch_internal.bits_of(i) IS NOT NULL' || made.condition || '
        ), first AS (
            SELECT DISTINCT ON (e.tenant_id, e.product_id) e.*, count(*) OVER (PARTITION BY e.tenant_id, e.product_id) AS pictures,
                   first_value(e.image_id) OVER (PARTITION BY e.tenant_id, e.product_id ORDER BY e.position, e.image_id) AS shown
            FROM every e ORDER BY e.tenant_id, e.product_id, e.class, e.number, e.up, e.down DESC, e.image_id
        ), placed AS (
            SELECT p.*, row_number() OVER (ORDER BY p.class, p.number, p.up, p.down DESC, p.image_id, p.here) AS place FROM (
                SELECT f.class, f.number, f.up, f.down, f.image_id, false AS here, f.shown, f.product_id, f.tenant_id, f.pictures, f.value, f.words FROM first f
                UNION ALL SELECT $5, $4 * $6, CASE WHEN $4 > 0 THEN $7 END, CASE WHEN $4 < 0 THEN $7 END, $8, true, NULL, NULL, NULL, NULL, NULL, NULL WHERE $8 IS NOT NULL) p
        )
        SELECT p.shown, p.product_id, p.tenant_id, p.pictures, concat_ws('','', p.image_id, p.class, coalesce(p.value::text, ''''), encode(convert_to(coalesce(p.words, ''''), ''UTF8''), ''hex''), $10)
        FROM placed p WHERE NOT p.here AND p.place > coalesce((SELECT o.place FROM placed o WHERE o.here), 0) ORDER BY p.place LIMIT $9'
    USING asked, made.f, ltrim(coalesce(sort, 'newest'), '-'), turn, here.class, here.number, CASE WHEN here.class = 1 THEN here.words END, here.image, k, check_;
END $$;
COMMENT ON FUNCTION imgsearch.browse_products(imgsearch.filters, integer, text, text) IS
'The products that match, without a question, one row each: sort => newest, price, attributes.NAME, or with - the other way round; after continues behind a row. SELECT * FROM imgsearch.browse_products(imgsearch.filters_of(''{"category": ["shoes"]}''), sort => ''price'');';
