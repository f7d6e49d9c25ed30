-- The complete answer in one statement: nearest pictures that match the named filters.
-- SQL text is put together from constant fragments and numbers; what was asked, also an attribute's name, is bound.

-- The conditions on attributes: `fragment` refers to names as $8[n] and to values as $9[n]. Equality is written as
-- containment, which the GIN index answers. A missing attribute equals nothing, so `not` and `not_in` find it.
CREATE FUNCTION imgsearch.attribute_filter(attributes jsonb, OUT fragment text, OUT names text[], OUT vals jsonb[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name     text;
    asked    jsonb;
    operator text;
    value    jsonb;
    wanted   text;
    here     integer;
BEGIN
    fragment := '';
    names := '{}';
    vals := '{}';
    IF jsonb_typeof(attributes) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: attributes is a JSON %, not an object', jsonb_typeof(attributes)
            USING HINT = 'For example {"colour": "red", "size": {"min": 38}}.', ERRCODE = 'IM008';
    END IF;
    FOR name, asked IN SELECT * FROM jsonb_each(attributes) LOOP
        FOR operator, value IN
            SELECT o.key, o.value FROM jsonb_each(CASE jsonb_typeof(asked)
                WHEN 'object' THEN asked
                WHEN 'array' THEN jsonb_build_object('in', asked)
                ELSE jsonb_build_object('is', asked) END) o
        LOOP
            wanted := CASE
                WHEN operator IN ('in', 'not_in') THEN 'array'
                WHEN operator = 'exists' THEN 'boolean'
                WHEN operator IN ('min', 'max', 'above', 'below') AND jsonb_typeof(value) <> 'string' THEN 'number' END;
            IF jsonb_typeof(value) <> wanted THEN
                RAISE EXCEPTION 'imgsearch: % wants a JSON %, not %', operator, wanted, left(value::text, 100)
                    USING HINT = 'For example {"size": {"min": 38}, "colour": {"in": ["red", "blue"]}}.', ERRCODE = 'IM008';
            END IF;
            names := names || name;
            vals := vals || CASE WHEN operator IN ('is', 'not') AND jsonb_typeof(value) NOT IN ('object', 'array')
                                 THEN jsonb_build_object(name, value) ELSE value END;
            here := cardinality(names);
            fragment := fragment || ' AND ' || CASE operator
                WHEN 'is' THEN format(CASE WHEN jsonb_typeof(value) IN ('object', 'array')
                    THEN 'i.attributes -> $8[%1$s] = $9[%1$s]' ELSE 'i.attributes @> $9[%1$s]' END, here)
                WHEN 'not' THEN format(CASE WHEN jsonb_typeof(value) IN ('object', 'array')
                    THEN 'i.attributes -> $8[%1$s] IS DISTINCT FROM $9[%1$s]' ELSE 'NOT i.attributes @> $9[%1$s]' END, here)
                WHEN 'has' THEN format('i.attributes @> jsonb_build_object($8[%1$s], jsonb_build_array($9[%1$s]))', here)
                WHEN 'in' THEN (
                    SELECT coalesce('(' || string_agg(format(
                        'i.attributes @> jsonb_build_object($8[%1$s], $9[%1$s] -> %2$s)'
                        || ' AND i.attributes -> $8[%1$s] = $9[%1$s] -> %2$s', here, n), ' OR ') || ')', 'false')
                    FROM generate_series(0, jsonb_array_length(value) - 1) n)
                WHEN 'not_in' THEN format('(i.attributes -> $8[%1$s] IN (SELECT jsonb_array_elements($9[%1$s]))) IS NOT TRUE', here)
                WHEN 'exists' THEN format('(i.attributes ? $8[%1$s]) = $9[%1$s]::boolean', here)
                WHEN 'min' THEN format('jsonb_typeof(i.attributes -> $8[%1$s]) = jsonb_typeof($9[%1$s]) AND i.attributes -> $8[%1$s] >= $9[%1$s]', here)
                WHEN 'max' THEN format('jsonb_typeof(i.attributes -> $8[%1$s]) = jsonb_typeof($9[%1$s]) AND i.attributes -> $8[%1$s] <= $9[%1$s]', here)
                WHEN 'above' THEN format('jsonb_typeof(i.attributes -> $8[%1$s]) = jsonb_typeof($9[%1$s]) AND i.attributes -> $8[%1$s] > $9[%1$s]', here)
                WHEN 'below' THEN format('jsonb_typeof(i.attributes -> $8[%1$s]) = jsonb_typeof($9[%1$s]) AND i.attributes -> $8[%1$s] < $9[%1$s]', here)
            END;
            IF fragment IS NULL THEN
                RAISE EXCEPTION 'imgsearch: "%" is no operator on an attribute', left(operator, 100)
                    USING HINT = 'Use is, not, in, not_in, has, min, max, above, below or exists.', ERRCODE = 'IM008';
            END IF;
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch.attribute_filter(jsonb) IS 'The SQL of conditions on attributes, made of constants and numbers: {"colour": "red", "size": {"min": 38}}.';

CREATE FUNCTION imgsearch.find(
    query halfvec, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL,
    OUT images bigint[], OUT products text[], OUT distances double precision[], OUT strategy text, OUT complete boolean,
    OUT matches bigint, OUT more boolean
) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    space_id integer := imgsearch.active_space();
    asked    record;
    fragment text := '';
BEGIN
    IF find.k IS NULL OR find.k < 1 OR find.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', find.k USING HINT = 'Page through more rows with several searches.', ERRCODE = 'IM008';
    END IF;
    IF find.tenant IS NOT NULL THEN fragment := fragment || ' AND i.tenant_id = $2'; END IF;
    IF find.category IS NOT NULL THEN fragment := fragment || ' AND i.category = $3'; END IF;
    IF find.categories IS NOT NULL THEN fragment := fragment || ' AND i.category = ANY ($4)'; END IF;
    IF find.min_price IS NOT NULL THEN fragment := fragment || ' AND i.price >= $5'; END IF;
    IF find.max_price IS NOT NULL THEN fragment := fragment || ' AND i.price <= $6'; END IF;
    IF find.in_stock IS NOT NULL THEN fragment := fragment || ' AND i.in_stock = $7'; END IF;
    asked := imgsearch.attribute_filter(coalesce(find.attributes, '{}'));
    fragment := fragment || asked.fragment;
    EXECUTE format('SELECT array_agg(h.image_id ORDER BY h.d, h.image_id), array_agg(h.product_id ORDER BY h.d, h.image_id),
            array_agg(h.d ORDER BY h.d, h.image_id), coalesce(max(h.n), 0)
        FROM (SELECT *, count(*) OVER () AS n FROM (
                SELECT i.image_id, i.product_id, e.embedding <=> $1 AS d
                FROM imgsearch.image i JOIN imgsearch.embedding_%s e ON e.tenant_id = i.tenant_id AND e.image_id = i.image_id
                WHERE true%s) x
            WHERE ($10 IS NULL OR d <= $10) AND ($11 IS NULL OR (d, image_id) > ($11, $12))
            ORDER BY d, image_id LIMIT $13 OFFSET $14) h', space_id, fragment)
    INTO find.images, find.products, find.distances, find.matches
    USING find.query, find.tenant, find.category, find.categories, find.min_price, find.max_price, find.in_stock,
        asked.names, asked.vals, find.max_distance, find.after_distance, find.after_image, find.k, find.skip;
    find.strategy := 'exact';
    find.complete := true;
    find.more := false;
END $$;
COMMENT ON FUNCTION imgsearch.find IS 'One page of nearest pictures as arrays, and how it was found, in one row; imgsearch.search() unfolds it.';

CREATE FUNCTION imgsearch.search(
    query halfvec, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, strategy text, complete boolean, matches bigint, more boolean)
LANGUAGE sql STABLE AS $$
    SELECT h.image_id, h.product_id, h.distance, f.strategy, f.complete, f.matches, f.more
    FROM imgsearch.find(query, tenant, category, min_price, max_price, in_stock, attributes, k, max_distance, categories,
                        skip, after_distance, after_image) f,
         unnest(f.images, f.products, f.distances) WITH ORDINALITY AS h (image_id, product_id, distance, place)
    ORDER BY h.place
$$;
COMMENT ON FUNCTION imgsearch.search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint) IS
'Nearest pictures that match the filters. SELECT * FROM imgsearch.search(imgsearch.vec_of(42), tenant => ''acme'', max_price => 50);';

CREATE FUNCTION imgsearch.search(
    query text, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, strategy text, complete boolean, matches bigint, more boolean)
LANGUAGE sql STABLE AS $$
    SELECT * FROM imgsearch.search(imgsearch.vec(query), tenant, category, min_price, max_price, in_stock, attributes, k,
                                   max_distance, categories, skip, after_distance, after_image)
$$;
COMMENT ON FUNCTION imgsearch.search(text, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint) IS
'Nearest pictures to a text that match the filters. SELECT * FROM imgsearch.search(''red canvas shoe'', tenant => ''acme'', category => ''shoes'', max_price => 50, k => 10);';
