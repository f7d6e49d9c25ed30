-- A list of what matches, without a question: by age, price or an attribute, one row per product. A product stands where
-- its first picture in that order stands.
-- By age and by price a page reads on behind the row it follows; by an attribute everything that matches is read for each.

-- after: '<number>,<image_id>,<class>,<text in hex>,<check>' of the last row; see sort_value(). check tells another list.
CREATE OR REPLACE FUNCTION imgsearch_internal.browse_place(after text, OUT number double precision, OUT image bigint, OUT class integer, OUT words text, OUT check_ text) LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    part CONSTANT text[] := regexp_match(after, '^(-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:e[-+]?[0-9]{1,3})?),([0-9]{1,18}),([0-3]),([0-9a-f]*),([0-9a-f]{8})$');
BEGIN
    IF after IS NOT NULL AND part IS NULL OR length(after) > 10000 THEN
        RAISE EXCEPTION 'imgsearch: `after` is no place of a page' USING HINT = 'Pass the `after` of the last row of the page before, as it is.', ERRCODE = 'IM008';
    END IF;
    image := part[2]; class := part[3]; number := CASE WHEN class IN (0, 2) THEN part[1] END;
    words := CASE WHEN class = 1 THEN convert_from(decode(part[4], 'hex'), 'UTF8') END; check_ := part[5];
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: `after` is no place of a page' USING HINT = 'Pass the `after` of the last row of the page before, as it is.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch_internal.browse_place(text) IS 'Where a list goes on.';

CREATE OR REPLACE FUNCTION imgsearch_internal.browse_cursor(number double precision, image bigint, class integer, words text, check_ text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT concat_ws(',', coalesce(number, 0)::text, image, class, encode(convert_to(coalesce(words, ''), 'UTF8'), 'hex'), check_)
$$;
COMMENT ON FUNCTION imgsearch_internal.browse_cursor(double precision, bigint, integer, text, text) IS 'What continues behind a row of a list.';

-- class 0: those that have a price, 3: those that have none, which come last. $4 and $5: image and price of the row
-- behind which the list goes on. earlier: whether picture i comes before picture o of the same product.
CREATE OR REPLACE FUNCTION imgsearch_internal.browse_order(sort text, class integer, OUT those text, OUT behind text, OUT ordered text, OUT earlier text) LANGUAGE sql IMMUTABLE AS $$
    SELECT o.* FROM (VALUES
        ('newest', 0, '', ' AND i.image_id < $4', 'i.image_id DESC', 'i.image_id > o.image_id'),
        ('-newest', 0, '', ' AND i.image_id > $4', 'i.image_id', 'i.image_id < o.image_id'),
        ('price', 0, ' AND i.price IS NOT NULL', ' AND (i.price, i.image_id) > ($5, $4)', 'i.price, i.image_id', '(i.price, i.image_id) < (o.price, o.image_id)'),
        ('-price', 0, ' AND i.price IS NOT NULL', ' AND i.price <= $5 AND (i.price < $5 OR i.image_id > $4)', 'i.price DESC, i.image_id', '(i.price > o.price OR i.price = o.price AND i.image_id < o.image_id)'),
        ('price', 3, ' AND i.price IS NULL', ' AND i.image_id > $4', 'i.image_id', '(i.price IS NOT NULL OR i.image_id < o.image_id)'),
        ('-price', 3, ' AND i.price IS NULL', ' AND i.image_id > $4', 'i.image_id', '(i.price IS NOT NULL OR i.image_id < o.image_id)')
    ) x (sort, class, those, behind, ordered, earlier), LATERAL (SELECT x.those, x.behind, x.ordered, x.earlier) o
    WHERE x.sort = browse_order.sort AND x.class = browse_order.class
$$;
COMMENT ON FUNCTION imgsearch_internal.browse_order(text, integer) IS 'The order of a list as SQL; of newest there is one part alone.';

-- A few more candidates than are wanted, more and more of them: only of these is looked whether another picture of their product comes before.
CREATE OR REPLACE FUNCTION imgsearch_internal.browse_indexed(filters imgsearch.filters, k integer, sort text, image bigint, price double precision, class integer)
RETURNS TABLE (at_image bigint, at_price double precision, at_class integer) LANGUAGE plpgsql STABLE AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(browse_indexed.filters);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    said  record := imgsearch_internal.browse_order(sort, coalesce(class, 0));
    most  integer := k + 20;
    those record;
    again boolean[];
    many  integer;
BEGIN
    at_class := coalesce(class, 0);
    LOOP
        EXECUTE format('SELECT array_agg(o.image_id) AS images, array_agg(o.tenant_id) AS tenants, array_agg(o.product_id) AS products, array_agg(o.price) AS prices FROM (
                SELECT i.image_id, i.tenant_id, i.product_id, i.price FROM imgsearch.image i
                WHERE imgsearch_internal.bits_of(i) IS NOT NULL%s%s%s ORDER BY %s LIMIT $3) o',
            made.condition, said.those, CASE WHEN image IS NULL THEN '' ELSE said.behind END, said.ordered)
        INTO those USING asked, made.f, most, image, price;
        many := coalesce(cardinality(those.images), 0);
        -- A statement of its own: the largest filters take 100 MB to plan, each time they stand in one.
        EXECUTE format('SELECT ARRAY(SELECT EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = o.tenant_id AND i.product_id = o.product_id
                AND %s AND imgsearch_internal.bits_of(i) IS NOT NULL%s)
            FROM unnest($3, $4, $5, $6) WITH ORDINALITY o (image_id, tenant_id, product_id, price, n) ORDER BY o.n)', said.earlier, made.condition)
        INTO again USING asked, made.f, those.images, those.tenants, those.products, those.prices;
        FOR n IN 1..many LOOP
            image := those.images[n]; price := those.prices[n];
            IF NOT again[n] THEN
                at_image := image; at_price := price; k := k - 1;
                RETURN NEXT;
                EXIT WHEN k = 0;
            END IF;
        END LOOP;
        EXIT WHEN k = 0;
        IF many < most THEN
            EXIT WHEN at_class = 3 OR sort IN ('newest', '-newest');
            at_class := 3; image := NULL;
            said := imgsearch_internal.browse_order(sort, 3);
        END IF;
        most := least(10000, most * 2);
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.browse_indexed(imgsearch.filters, integer, text, bigint, double precision, integer) IS 'The next products by age or price, each by its first picture in that order.';

CREATE OR REPLACE FUNCTION imgsearch_internal.browse_sorted(filters imgsearch.filters, k integer, sort text, at record)
RETURNS TABLE (at_image bigint, number double precision, class integer, words text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(browse_sorted.filters);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    turn  CONSTANT integer := CASE WHEN sort LIKE '-%' THEN -1 ELSE 1 END;
BEGIN
    RETURN QUERY EXECUTE '
        WITH every AS (
            SELECT i.tenant_id, i.product_id, i.image_id, x.class, $4 * x.number AS number, CASE WHEN $4 > 0 THEN x.words END AS up, CASE WHEN $4 < 0 THEN x.words END AS down, x.words, x.number AS value
            FROM imgsearch.image i, LATERAL imgsearch_internal.sort_value(i, $3) x WHERE imgsearch_internal.bits_of(i) IS NOT NULL' || made.condition || '
        ), first AS (
            SELECT DISTINCT ON (e.tenant_id, e.product_id) e.* FROM every e ORDER BY e.tenant_id, e.product_id, e.class, e.number, e.up, e.down DESC, e.image_id
        ), placed AS (
            SELECT p.*, row_number() OVER (ORDER BY p.class, p.number, p.up, p.down DESC, p.image_id, p.here) AS place FROM (
                SELECT f.class, f.number, f.up, f.down, f.image_id, false AS here, f.value, f.words FROM first f
                UNION ALL SELECT $5, $4 * $6, CASE WHEN $4 > 0 THEN $7 END, CASE WHEN $4 < 0 THEN $7 END, $8, true, NULL, NULL WHERE $8 IS NOT NULL) p
        )
        SELECT p.image_id, p.value, p.class, p.words FROM placed p
        WHERE NOT p.here AND p.place > coalesce((SELECT o.place FROM placed o WHERE o.here), 0) ORDER BY p.place LIMIT $9'
    USING asked, made.f, ltrim(sort, '-'), turn, at.class, at.number, at.words, at.image, k;
END $$;
COMMENT ON FUNCTION imgsearch_internal.browse_sorted(imgsearch.filters, integer, text, record) IS 'The next products by an attribute, each by its first picture in that order.';

CREATE OR REPLACE FUNCTION imgsearch.browse_products(filters imgsearch.filters DEFAULT NULL, k integer DEFAULT 10, sort text DEFAULT 'newest', after text DEFAULT NULL)
RETURNS TABLE (image_id bigint, product_id text, tenant_id text, pictures bigint, after_this text) LANGUAGE plpgsql STABLE ROWS 10 AS $$
#variable_conflict use_column
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(browse_products.filters);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    here  record := imgsearch_internal.browse_place(after);
    check_ CONSTANT text := left(md5(concat_ws(E'\x01', browse_products.filters::text, coalesce(sort, 'newest'), imgsearch_internal.asking_tenant(browse_products.filters))), 8);
    images bigint[];
    afters text[];
BEGIN
    PERFORM imgsearch_internal.check_page(imgsearch_internal.page_of(k));
    PERFORM imgsearch_internal.check_order(jsonb_populate_record(NULL::imgsearch.ranking, jsonb_build_object('sort', coalesce(sort, 'newest'))));
    IF here.check_ <> check_ THEN
        RAISE EXCEPTION 'imgsearch: this `after` belongs to another list' USING HINT = 'Ask again without `after`, and continue with what that page gives.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.active_space();
    IF coalesce(sort, 'newest') IN ('newest', '-newest', 'price', '-price') THEN
        SELECT array_agg(f.at_image ORDER BY f.n), array_agg(imgsearch_internal.browse_cursor(f.at_price, f.at_image, f.at_class, NULL, check_) ORDER BY f.n) INTO images, afters
        FROM imgsearch_internal.browse_indexed(browse_products.filters, k, coalesce(sort, 'newest'), here.image, here.number, here.class) WITH ORDINALITY f (at_image, at_price, at_class, n);
    ELSE
        SELECT array_agg(f.at_image ORDER BY f.n), array_agg(imgsearch_internal.browse_cursor(f.number, f.at_image, f.class, f.words, check_) ORDER BY f.n) INTO images, afters
        FROM imgsearch_internal.browse_sorted(browse_products.filters, k, sort, here) WITH ORDINALITY f (at_image, number, class, words, n);
    END IF;
    RETURN QUERY EXECUTE '
        SELECT x.shown, o.product_id, o.tenant_id, x.pictures, u.after FROM unnest($3, $4) WITH ORDINALITY u (image_id, after, place)
        JOIN imgsearch.image o ON o.image_id = u.image_id,
        LATERAL (SELECT (array_agg(i.image_id ORDER BY i.position, i.image_id))[1] AS shown, count(*) AS pictures FROM imgsearch.image i
                 WHERE i.tenant_id = o.tenant_id AND i.product_id = o.product_id AND imgsearch_internal.bits_of(i) IS NOT NULL' || made.condition || ') x
        ORDER BY u.place' USING asked, made.f, images, afters;
END $$;
COMMENT ON FUNCTION imgsearch.browse_products(imgsearch.filters, integer, text, text) IS
'The products that match, without a question, one row each, by the first of its pictures: sort => newest (in the order they were added), price, attributes.NAME, or with - the other way round; after continues behind a row. SELECT * FROM imgsearch.browse_products(imgsearch.filters_of(''{"category": ["shoes"]}''), sort => ''price'');';
