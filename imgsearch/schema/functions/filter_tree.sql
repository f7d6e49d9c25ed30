-- Trees of conditions: {"any": […]}, {"all": […]}, {"not": …} over columns and attributes, as SQL.

-- {"taken_at": {"min": …}} and {"near": [latitude, longitude, kilometres]}: what was read of a picture's capture c.
CREATE OR REPLACE FUNCTION imgsearch_internal.capture_sql(name text, operator text, value jsonb, n integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF operator = 'exists' THEN
        RETURN format('(%s) = ($1).vals[%s]::boolean', imgsearch_internal.captured_sql(CASE name WHEN 'near' THEN 'c.latitude' ELSE 'c.taken_at' END || ' IS NOT NULL'), n);
    ELSIF name = 'near' THEN
        PERFORM imgsearch_internal.check_near(CASE WHEN operator = 'in' THEN ARRAY(SELECT jsonb_array_elements_text(value))::double precision[] ELSE '{}' END);
        RETURN imgsearch_internal.captured_sql(imgsearch_internal.near_sql(format('ARRAY(SELECT jsonb_array_elements_text(($1).vals[%s]))::double precision[]', n)));
    ELSIF operator NOT IN ('min', 'max', 'above', 'below') OR jsonb_typeof(value) <> 'string' THEN
        RAISE EXCEPTION 'imgsearch: taken_at % %: it takes min, max, above, below and exists', operator, left(value::text, 100)
            USING HINT = 'For example {"taken_at": {"min": "2026-01-31T00:00:00Z"}}.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.check_time(name, operator, value);
    RETURN imgsearch_internal.captured_sql(format('c.taken_at %s (($1).vals[%s] #>> ''{}'')::timestamptz', CASE operator WHEN 'min' THEN '>=' WHEN 'max' THEN '<=' WHEN 'above' THEN '>' ELSE '<' END, n));
END $$;
COMMENT ON FUNCTION imgsearch_internal.capture_sql(text, text, jsonb, integer) IS 'The condition on when or where a picture was taken inside a tree of conditions.';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_time(name text, operator text, value jsonb) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    given text[] := ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE jsonb_build_array(value) END));
BEGIN
    IF EXISTS (SELECT 1 FROM unnest(given) e WHERE e !~ '[0-9]:[0-9]{2}[0-9:.]* *([zZ]|[+-][0-9]{2}(:?[0-9]{2})?)$') THEN
        RAISE EXCEPTION 'imgsearch: % % % has no time zone', name, operator, left(value::text, 100) USING HINT = 'For example 2026-01-31T00:00:00Z.', ERRCODE = 'IM008';
    END IF;
    PERFORM given::timestamptz[];
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_time(text, text, jsonb) IS 'Raises which time of a condition is none, or names no time zone.';

CREATE OR REPLACE FUNCTION imgsearch_internal.column_sql(name text, operator text, value jsonb, n integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    kind text := CASE name WHEN 'category' THEN 'text' WHEN 'product_id' THEN 'text' WHEN 'price' THEN 'double precision'
                           WHEN 'position' THEN 'integer' WHEN 'image_id' THEN 'bigint' WHEN 'in_stock' THEN 'boolean' WHEN 'created_at' THEN 'timestamptz' END;
    wanted text := CASE kind WHEN 'text' THEN 'string' WHEN 'timestamptz' THEN 'string' WHEN 'boolean' THEN 'boolean' ELSE 'number' END;
BEGIN
    IF name IN ('taken_at', 'near') THEN
        RETURN imgsearch_internal.capture_sql(name, operator, value, n);
    ELSIF kind IS NULL THEN
        RAISE EXCEPTION 'imgsearch: a condition cannot speak of "%"', left(name, 100)
            USING HINT = 'Use any, all, not, category, price, in_stock, product_id, position, image_id, created_at, taken_at, near, or attributes.<name>.', ERRCODE = 'IM008';
    ELSIF operator = 'has' OR EXISTS (
        SELECT 1 FROM jsonb_array_elements(CASE WHEN operator IN ('in', 'not_in') THEN value WHEN operator = 'exists' THEN '[]' ELSE jsonb_build_array(value) END) e
        WHERE jsonb_typeof(e) <> wanted AND NOT (jsonb_typeof(e) = 'null' AND operator IN ('is', 'not'))) THEN
        RAISE EXCEPTION 'imgsearch: % % %: it is of type %', name, operator, left(value::text, 100), wanted
            USING HINT = 'For example {"category": ["shoes", "boots"], "price": {"max": 50}}.', ERRCODE = 'IM008';
    END IF;
    IF kind = 'timestamptz' AND operator <> 'exists' THEN
        PERFORM imgsearch_internal.check_time(name, operator, value);
    END IF;
    IF kind IN ('timestamptz', 'bigint', 'integer', 'double precision') AND operator <> 'exists' THEN
        -- Refuses here, by name, what is no time or no whole number.
        EXECUTE format('SELECT ARRAY(SELECT jsonb_array_elements_text($1))::%s[]', kind) USING CASE jsonb_typeof(value) WHEN 'array' THEN value ELSE jsonb_build_array(value) END;
    END IF;
    IF name = 'category' AND operator IN ('is', 'not', 'in', 'not_in', 'exists') AND imgsearch_internal.has_categories(NULL) THEN
        RETURN imgsearch_internal.categories_sql(operator, value, n);
    END IF;
    RETURN format(CASE operator
        WHEN 'is' THEN 'i.%1$I IS NOT DISTINCT FROM (($1).vals[%2$s] #>> ''{}'')::%3$s'
        WHEN 'not' THEN 'i.%1$I IS DISTINCT FROM (($1).vals[%2$s] #>> ''{}'')::%3$s'
        WHEN 'in' THEN 'i.%1$I = ANY (ARRAY(SELECT jsonb_array_elements_text(($1).vals[%2$s]))::%3$s[])'
        WHEN 'not_in' THEN '(i.%1$I = ANY (ARRAY(SELECT jsonb_array_elements_text(($1).vals[%2$s]))::%3$s[])) IS NOT TRUE'
        WHEN 'exists' THEN '(i.%1$I IS NOT NULL) = ($1).vals[%2$s]::boolean'
        WHEN 'min' THEN 'i.%1$I >= (($1).vals[%2$s] #>> ''{}'')::%3$s'
        WHEN 'max' THEN 'i.%1$I <= (($1).vals[%2$s] #>> ''{}'')::%3$s'
        WHEN 'above' THEN 'i.%1$I > (($1).vals[%2$s] #>> ''{}'')::%3$s'
        ELSE 'i.%1$I < (($1).vals[%2$s] #>> ''{}'')::%3$s' END, name, n, kind);
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: % % %: %', name, operator, left(value::text, 100), left(SQLERRM, 200) USING HINT = 'Times are ISO 8601, ids and positions whole numbers.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch_internal.column_sql(text, text, jsonb, integer) IS 'The condition on one column of image inside a tree of conditions.';

CREATE OR REPLACE FUNCTION imgsearch_internal.categories_sql(operator text, value jsonb, n integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format(CASE
        WHEN operator = 'exists' THEN '(i.category IS NOT NULL OR i.categories IS NOT NULL) = ($1).vals[%1$s]::boolean'
        WHEN jsonb_typeof(value) = 'null' THEN '(i.category IS NULL AND i.categories IS NULL)' || CASE operator WHEN 'not' THEN ' IS NOT TRUE' ELSE '' END
        ELSE '(i.category = ANY (%2$s) OR i.categories && %2$s)' || CASE WHEN operator IN ('not', 'not_in') THEN ' IS NOT TRUE' ELSE ' IS TRUE' END END, n,
        CASE WHEN operator IN ('in', 'not_in') THEN format('ARRAY(SELECT jsonb_array_elements_text(($1).vals[%s]))', n) ELSE format('ARRAY[($1).vals[%s] #>> ''{}'']', n) END)
$$;
COMMENT ON FUNCTION imgsearch_internal.categories_sql(text, jsonb, integer) IS 'The condition on category inside a tree, where pictures may have several.';

-- {"any": [{"category": "shoes"}, {"not": {"attributes.colour": ["red", "blue"]}}]} → (… OR (…) IS NOT TRUE).
CREATE OR REPLACE FUNCTION imgsearch_internal.tree_sql(tree jsonb, depth integer, INOUT names text[], INOUT vals jsonb[], INOUT groups integer, OUT condition text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name  text;
    given jsonb;
    part  record;
    parts text[] := '{}';
    inner_parts text[];
BEGIN
    groups := groups + 1;
    IF groups > 150 THEN
        RAISE EXCEPTION 'imgsearch: the condition has more than 150 groups and conditions' USING HINT = 'Simplify it.', ERRCODE = 'IM008';
    ELSIF depth > 5 THEN
        RAISE EXCEPTION 'imgsearch: the condition is nested deeper than 5' USING HINT = 'Simplify it.', ERRCODE = 'IM008';
    ELSIF jsonb_typeof(tree) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: a condition is a JSON object, not %', left(tree::text, 100)
            USING HINT = 'For example {"any": [{"category": "shoes"}, {"attributes.colour": "red"}]}.', ERRCODE = 'IM008';
    END IF;
    FOR name, given IN SELECT * FROM jsonb_each(tree) LOOP
        IF name IN ('any', 'all') THEN
            IF jsonb_typeof(given) <> 'array' OR (CASE WHEN jsonb_typeof(given) = 'array' THEN jsonb_array_length(given) > 50 END) THEN
                RAISE EXCEPTION 'imgsearch: % wants a list of conditions, not more than 50', name USING HINT = 'For example {"any": [{"category": "shoes"}, {"in_stock": true}]}.', ERRCODE = 'IM008';
            END IF;
            inner_parts := '{}';
            FOR given IN SELECT jsonb_array_elements(given) LOOP
                SELECT t.* INTO part FROM imgsearch_internal.tree_sql(given, depth + 1, names, vals, groups) t;
                names := part.names; vals := part.vals; groups := part.groups;
                inner_parts := inner_parts || part.condition;
            END LOOP;
            parts := parts || CASE WHEN inner_parts = '{}' THEN CASE name WHEN 'any' THEN 'false' ELSE 'true' END
                                   ELSE '(' || array_to_string(inner_parts, CASE name WHEN 'any' THEN ' OR ' ELSE ' AND ' END) || ')' END;
        ELSIF name = 'not' THEN
            SELECT t.* INTO part FROM imgsearch_internal.tree_sql(given, depth + 1, names, vals, groups) t;
            names := part.names; vals := part.vals; groups := part.groups;
            parts := parts || format('(%s) IS NOT TRUE', part.condition);
        ELSE
            FOR part IN SELECT * FROM imgsearch_internal.operators_of(name, given) LOOP
                names := names || regexp_replace(name, '^attributes\.', '');
                IF name LIKE 'attributes.%' THEN
                    vals := vals || imgsearch_internal.attribute_value(names[cardinality(names)], part.operator, part.value);
                    parts := parts || (imgsearch_internal.attribute_sql(names[cardinality(names)], part.operator, part.value, cardinality(names))).condition;
                ELSE
                    vals := vals || part.value;
                    parts := parts || imgsearch_internal.column_sql(name, part.operator, part.value, cardinality(names));
                END IF;
            END LOOP;
        END IF;
    END LOOP;
    condition := CASE WHEN parts = '{}' THEN 'true' ELSE '(' || array_to_string(parts, ' AND ') || ')' END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.tree_sql(jsonb, integer, text[], jsonb[], integer) IS 'A tree of any, all and not over columns and attributes, as a condition.';
