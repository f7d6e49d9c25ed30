-- What a page shows beside a search: how many products (or images) each further filter would leave. The conditions are
-- those of every search, from filter_sql(); here $1 binds nothing but what conditions ask. A product counts where one of
-- its images does. Distinct products cost more to count than images: of very many one in 2, 4, 8 … is counted, drawn by
-- a hash of its id so that all its images come along, and stands for so many; `error` says how far off that may be.

CREATE OR REPLACE FUNCTION imgsearch_internal.filters_in(f imgsearch.filters, pattern text, inside boolean) RETURNS imgsearch.filters LANGUAGE sql STABLE AS $$
    SELECT jsonb_populate_record(NULL::imgsearch.filters, (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(to_jsonb(f)) e WHERE (e.key ~ pattern) = inside))
$$;
COMMENT ON FUNCTION imgsearch_internal.filters_in(imgsearch.filters, text, boolean) IS 'The filters whose names match, or those whose names do not.';

CREATE OR REPLACE FUNCTION imgsearch_internal.facet_of(f imgsearch.filters, pattern text) RETURNS text LANGUAGE sql STABLE AS $$
    -- IS TRUE: an image without a price is in no price range, and not unknown to be.
    SELECT '(true' || (imgsearch_internal.filter_sql(imgsearch_internal.filters_in(f, pattern, true))).condition || ') IS TRUE'
$$;
COMMENT ON FUNCTION imgsearch_internal.facet_of(imgsearch.filters, text) IS 'The condition of some of the filters alone, true or false for every image.';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_facets(per text, prices double precision[], attributes text[]) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF (per IN ('product', 'image')) IS NOT TRUE THEN
        RAISE EXCEPTION 'imgsearch: per is %', coalesce('"' || left(per, 100) || '"', 'null') USING HINT = 'Count per => ''product'' or per => ''image''.', ERRCODE = 'IM008';
    ELSIF cardinality(prices) NOT BETWEEN 1 AND 50 OR EXISTS (
        SELECT 1 FROM (SELECT p.price, lag(p.price) OVER (ORDER BY p.place) AS before FROM unnest(prices) WITH ORDINALITY p (price, place)) x
        WHERE (x.price >= 0 AND x.price < 'Infinity') IS NOT TRUE OR x.price <= x.before) THEN
        RAISE EXCEPTION 'imgsearch: prices are 1 to 50 numbers from 0 on that rise'
            USING HINT = 'For example ''{0, 25, 50}'': 0 to 25, 25 to 50, 50 and more.', ERRCODE = 'IM008';
    ELSIF cardinality(attributes) > 20 OR EXISTS (SELECT 1 FROM unnest(attributes) u WHERE u IS NULL) THEN
        RAISE EXCEPTION 'imgsearch: attributes names more than 20, or a null' USING HINT = 'Count fewer at once, for example ''{colour, size}''.', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_facets(text, double precision[], text[]) IS 'Raises what is wrong with how facets are to be counted.';

-- So that about 50,000 images are grouped; the sample of the search tells how many match.
CREATE OR REPLACE FUNCTION imgsearch_internal.one_in(f imgsearch.filters, most integer DEFAULT 50000) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    made     imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    asked    imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    pictures double precision := (SELECT (s.parameters #>> '{sample,pictures}')::float8 FROM imgsearch.space s WHERE s.state = 'active');
    share    double precision;
BEGIN
    IF (pictures > most) IS NOT TRUE THEN
        RETURN 1;
    END IF;
    EXECUTE 'SELECT (count(*) FILTER (WHERE true' || made.condition || '))::float8 / greatest(1, count(*)) FROM imgsearch.image_sample i' INTO share USING asked, f;
    RETURN CASE WHEN share * pictures > most THEN 2 ^ ceil(ln(share * pictures / most) / ln(2)) ELSE 1 END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.one_in(imgsearch.filters, integer) IS 'One in how many products is counted where these filters hold: 1, 2, 4 …';

-- Each of n was drawn with a probability of 1/step, so x of them were: n - x·step has the variance n·step·(1 - 1/step).
-- The bounds of a Poisson variable where x is small: 1.96 √(x + 1) + 1.92 is at least what they are above x, from x = 0 on
-- (Garwood 1936). `alike` are drawn together: images of one product, where images are counted.
CREATE OR REPLACE FUNCTION imgsearch_internal.margin(x double precision, step bigint, alike double precision DEFAULT 1) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ceil(step * alike * (1.96 * sqrt((x / alike + 1) * (1 - 1.0 / step)) + 1.92 * (1 - 1.0 / step)))::bigint
$$;
COMMENT ON FUNCTION imgsearch_internal.margin(double precision, bigint, double precision) IS 'How far x·step is at most from what it stands for, in 95 of 100 cases.';

-- What filters on columns leave, by value of each: one pass into a small cube (category x stock x price band x which
-- filter it passes, and which product), then sums over the cube.
CREATE OR REPLACE FUNCTION imgsearch_internal.column_counts(f imgsearch.filters, per text DEFAULT 'product', prices double precision[] DEFAULT NULL, exact boolean DEFAULT false)
RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean, error bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    bounds CONSTANT double precision[] := coalesce(prices, '{0, 10, 25, 50, 100, 250, 500, 1000, 2500}');
    others CONSTANT imgsearch.filters := imgsearch_internal.filters_in(f, '^category$|price$|^in_stock$', false);
    made   imgsearch_internal.filter_text := imgsearch_internal.filter_sql(others);
    asked  imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    step   bigint := CASE WHEN per = 'product' AND NOT exact THEN imgsearch_internal.one_in(others) ELSE 1 END;
    many   CONSTANT boolean := imgsearch_internal.has_categories(f.tenant);
BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH cube AS MATERIALIZED (
            SELECT i.tenant_id, %5$s AS product, i.category, i.in_stock, width_bucket(i.price, $3) AS band, %2$s AS g, %3$s AS p, %4$s AS s, %8$s AS several, count(*) AS n
            FROM imgsearch.image i
            WHERE imgsearch_internal.bits_of(i) IS NOT NULL%1$s AND (%2$s)::int + (%3$s)::int + (%4$s)::int >= 2%7$s
            GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
        ), counted (facet, name, value, low, high, x) AS (
            SELECT 'matches', NULL, NULL, NULL::float8, NULL::float8, %6$s FROM cube WHERE g AND p AND s
            UNION ALL SELECT 'images', NULL, NULL, NULL, NULL, coalesce(sum(n), 0)::bigint FROM cube WHERE g AND p AND s
            UNION ALL (SELECT 'tenant', NULL, tenant_id, NULL, NULL, %6$s FROM cube WHERE g AND p AND s GROUP BY tenant_id ORDER BY 6 DESC, 3 LIMIT 50)
            UNION ALL (SELECT 'category', NULL, category, NULL, NULL, %6$s FROM %9$s WHERE p AND s AND category IS NOT NULL GROUP BY category ORDER BY 6 DESC, 3 LIMIT 50)
            UNION ALL (SELECT 'in_stock', NULL, in_stock::text, NULL, NULL, %6$s FROM cube WHERE g AND p GROUP BY in_stock ORDER BY in_stock DESC)
            UNION ALL (SELECT 'price', NULL, NULL, $3[band], $3[band + 1], %6$s FROM cube WHERE g AND s AND band > 0 GROUP BY band ORDER BY band)
        )
        SELECT c.facet, c.name, c.value, c.low, c.high, c.x * $4, $4 > 1, CASE WHEN $4 = 1 THEN 0 WHEN c.facet <> 'images' THEN imgsearch_internal.margin(c.x, $4) ELSE (
               SELECT imgsearch_internal.margin(c.x, $4, greatest(1, sum(y.m * y.m) / sum(y.m))) FROM (SELECT sum(n) AS m FROM cube WHERE g AND p AND s GROUP BY product) y) END
        FROM counted c
        $q$, made.condition, imgsearch_internal.facet_of(f, '^category$'), imgsearch_internal.facet_of(f, 'price$'), imgsearch_internal.facet_of(f, '^in_stock$'),
        CASE per WHEN 'product' THEN 'hashtextextended(i.product_id, hashtext(i.tenant_id))' ELSE '0' END,
        CASE per WHEN 'product' THEN 'count(DISTINCT product)' ELSE 'coalesce(sum(n), 0)::bigint' END,
        CASE WHEN step > 1 THEN ' AND hashtextextended(i.product_id, hashtext(i.tenant_id)) & ($4 - 1) = 0' ELSE '' END,
        CASE WHEN many THEN 'i.categories' ELSE 'NULL::text[]' END,
        CASE WHEN many THEN '(SELECT c.p, c.s, c.n, c.product, e.category FROM cube c CROSS JOIN LATERAL (SELECT DISTINCT unnest(array_append(c.several, c.category)) AS category) e) x' ELSE 'cube' END)
    USING asked, f, bounds, step;
END $$;
COMMENT ON FUNCTION imgsearch_internal.column_counts(imgsearch.filters, text, double precision[], boolean) IS 'The rows of imgsearch.facets() for columns: matches, images, tenant, category, in_stock, price.';

-- The conditions on each attribute that is filtered by, apart; names and vals go on.
CREATE OR REPLACE FUNCTION imgsearch_internal.attribute_conditions(attributes jsonb, INOUT made imgsearch_internal.filter_text, OUT chosen text[], OUT conditions text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name  text;
    given jsonb;
    own   imgsearch_internal.filter_text;
BEGIN
    chosen := '{}'; conditions := '{}';
    FOR name, given IN SELECT e.key, e.value FROM jsonb_each(attributes) e LOOP
        own := made;
        own.condition := '';
        own := imgsearch_internal.with_attributes(own, jsonb_build_object(name, given));
        made.names := own.names; made.vals := own.vals;
        chosen := chosen || name;
        conditions := conditions || ('(true' || own.condition || ')');
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.attribute_conditions(jsonb, imgsearch_internal.filter_text) IS 'The condition on each attribute as a text of its own.';

-- The values of attributes in one pass, however many are filtered by: an image counts for every attribute where it
-- fails no filter, and where it fails one, for that one alone. Of very many, one product (or image) in `step` is counted.
CREATE OR REPLACE FUNCTION imgsearch_internal.attribute_counts(f imgsearch.filters, step bigint DEFAULT 1, per text DEFAULT 'product', wanted text[] DEFAULT NULL)
RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean, error bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    made   imgsearch_internal.filter_text := imgsearch_internal.filter_sql(imgsearch_internal.filters_in(f, '^attributes$', false));
    part   record := imgsearch_internal.attribute_conditions(f.attributes, made);
    fails  text := (SELECT string_agg(format('CASE WHEN %s THEN NULL ELSE %s END', c.condition, c.place), ', ' ORDER BY c.place)
                    FROM unnest(part.conditions) WITH ORDINALITY c (condition, place));
    -- Who fails at most one of several passes one of the first two: that, an index can look up.
    either text := CASE WHEN cardinality(part.chosen) > 1 THEN format(' AND (%s OR %s)', part.conditions[1], part.conditions[2]) ELSE '' END;
    asked  imgsearch_internal.bound;
BEGIN
    asked.names := (part.made).names; asked.vals := (part.made).vals;
    RETURN QUERY EXECUTE format($q$
        WITH counted AS (
            SELECT u.key, u.value, count(*) AS n FROM (
                SELECT %4$s e.key, e.value #>> '{}' AS value
                FROM (SELECT i.tenant_id, i.product_id, i.attributes, array_remove(ARRAY[%3$s]::integer[], NULL) AS failed
                      FROM imgsearch.image i WHERE imgsearch_internal.bits_of(i) IS NOT NULL%1$s%2$s OFFSET 0) i, jsonb_each(i.attributes) e
                WHERE cardinality(i.failed) <= 1 AND jsonb_typeof(e.value) IN ('string', 'number', 'boolean')
                  AND (i.failed = '{}' OR e.key = $3[i.failed[1]]) AND ($5 IS NULL OR e.key = ANY ($5))) u
            GROUP BY 1, 2
        ), ranked AS (
            -- A name with very many values (a title, a code) is nothing to choose from, unless it is asked for.
            SELECT *, key = ANY ($3) AS chosen, sum(n) OVER w AS together, count(*) OVER w AS different, row_number() OVER (PARTITION BY key ORDER BY n DESC, value) AS place
            FROM counted WINDOW w AS (PARTITION BY key)
        )
        SELECT 'attribute', key, value, NULL::float8, NULL::float8, n * $4, $4 > 1, CASE WHEN $4 > 1 THEN imgsearch_internal.margin(n, $4) ELSE 0 END
        FROM ranked WHERE place <= 12 AND length(value) <= 60
          AND ($5 IS NOT NULL OR chosen
               OR different <= 40 AND key IN (SELECT key FROM ranked WHERE NOT chosen AND different <= 40 GROUP BY key ORDER BY max(together) DESC, key LIMIT 8))
        ORDER BY array_position($5, key), chosen, together DESC, key, n DESC, value
        $q$, CASE WHEN step = 1 THEN '' WHEN per = 'product' THEN ' AND hashtextextended(i.product_id, hashtext(i.tenant_id)) & ($4 - 1) = 0'
                  ELSE ' AND hashint8extended(i.image_id, 0) & ($4 - 1) = 0' END, made.condition || either, fails,
        CASE WHEN per = 'product' THEN 'DISTINCT i.tenant_id, i.product_id,' ELSE '' END)
    USING asked, f, part.chosen, step, wanted;
END $$;
COMMENT ON FUNCTION imgsearch_internal.attribute_counts(imgsearch.filters, bigint, text, text[]) IS 'The rows of imgsearch.facets() for attributes (wanted null: those worth choosing from), from one in step of the products or images.';

-- One row per value of a facet. A facet's own filter does not count against its values (so that another category can be
-- chosen after one was), every other filter does. `approximate` counts are scaled up, unless `exact`: those of attributes
-- from about `sample` images, and of columns, where products are counted, from about 50,000.
CREATE OR REPLACE FUNCTION imgsearch.facets(filters imgsearch.filters DEFAULT NULL, sample integer DEFAULT 5000, per text DEFAULT 'product',
    prices double precision[] DEFAULT NULL, attributes text[] DEFAULT NULL, exact boolean DEFAULT false)
RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean, error bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    row  record;
    step bigint := 1;
BEGIN
    PERFORM imgsearch_internal.check_facets(facets.per, facets.prices, facets.attributes);
    PERFORM imgsearch_internal.active_space();
    filters := imgsearch_internal.composed(filters);
    attributes := imgsearch_internal.composed(attributes);
    FOR row IN SELECT c.* FROM imgsearch_internal.column_counts(facets.filters, facets.per, facets.prices, coalesce(facets.exact, false)) c LOOP
        IF row.facet = 'images' AND row.count > 4::bigint * greatest(1, facets.sample) AND facets.exact IS NOT TRUE THEN
            step := 2 ^ floor(ln(row.count::float8 / greatest(1, facets.sample)) / ln(2));
        END IF;
        facet := row.facet; name := row.name; value := row.value; low := row.low; high := row.high;
        count := row.count; approximate := row.approximate; error := row.error;
        RETURN NEXT;
    END LOOP;
    IF cardinality(facets.attributes) = 0 IS NOT TRUE THEN
        RETURN QUERY SELECT a.* FROM imgsearch_internal.attribute_counts(facets.filters, step, facets.per, facets.attributes) a;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch.facets(imgsearch.filters, integer, text, double precision[], text[], boolean) IS
'How many products (per => ''image'': images) each further filter leaves: matches, images (of these), tenant, category, in_stock, price (low ≤ price < high; prices: your own bounds) and attribute rows (attributes: these names). Approximate counts are within error in 95 of 100 cases; exact => true counts all. SELECT * FROM imgsearch.facets(imgsearch.filters_of(''{"tenant": "acme", "max_price": 50}''));';
