-- Conditions on attributes. SQL text is put together from constant fragments and numbers; what was asked, also an
-- attribute's name, is bound.

CREATE OR REPLACE FUNCTION imgsearch.attribute_filter(
    attributes jsonb, OUT fragment text, OUT indexed text, OUT names text[], OUT vals jsonb[], OUT unpacked boolean
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name     text;
    asked    jsonb;
    operator text;
    value    jsonb;
    wanted   text;
    here     integer;
    made     text;
    promoted text;
BEGIN
    fragment := '';
    indexed := '';
    names := '{}';
    vals := '{}';
    unpacked := false;
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
            promoted := imgsearch.promoted_filter(name, operator, value, here);
            made := ' AND ' || coalesce(promoted, CASE operator
                WHEN 'is' THEN format(CASE WHEN jsonb_typeof(value) IN ('object', 'array')
                    THEN 'i.attributes -> ($1).names[%1$s] = ($1).vals[%1$s]' ELSE 'i.attributes @> ($1).vals[%1$s]' END, here)
                WHEN 'not' THEN format(CASE WHEN jsonb_typeof(value) IN ('object', 'array')
                    THEN 'i.attributes -> ($1).names[%1$s] IS DISTINCT FROM ($1).vals[%1$s]' ELSE 'NOT i.attributes @> ($1).vals[%1$s]' END, here)
                WHEN 'has' THEN format('i.attributes @> jsonb_build_object(($1).names[%1$s], jsonb_build_array(($1).vals[%1$s]))', here)
                WHEN 'in' THEN (
                    SELECT coalesce('(' || string_agg(format(
                        'i.attributes @> jsonb_build_object(($1).names[%1$s], ($1).vals[%1$s] -> %2$s)'
                        || ' AND i.attributes -> ($1).names[%1$s] = ($1).vals[%1$s] -> %2$s', here, n), ' OR ') || ')', 'false')
                    FROM generate_series(0, jsonb_array_length(value) - 1) n)
                WHEN 'not_in' THEN format('(i.attributes -> ($1).names[%1$s] IN (SELECT jsonb_array_elements(($1).vals[%1$s]))) IS NOT TRUE', here)
                WHEN 'exists' THEN format('(i.attributes ? ($1).names[%1$s]) = ($1).vals[%1$s]::boolean', here)
                WHEN 'min' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] >= ($1).vals[%1$s]', here)
                WHEN 'max' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] <= ($1).vals[%1$s]', here)
                WHEN 'above' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] > ($1).vals[%1$s]', here)
                WHEN 'below' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] < ($1).vals[%1$s]', here)
            END);
            IF made IS NULL THEN
                RAISE EXCEPTION 'imgsearch: "%" is no operator on an attribute', left(operator, 100)
                    USING HINT = 'Use is, not, in, not_in, has, min, max, above, below or exists.', ERRCODE = 'IM008';
            END IF;
            fragment := fragment || made;
            unpacked := unpacked OR promoted IS NULL;
            IF promoted IS NOT NULL OR operator IN ('in', 'has') OR operator = 'is' AND jsonb_typeof(value) NOT IN ('object', 'array') THEN
                indexed := indexed || made;
            END IF;
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch.attribute_filter(jsonb) IS 'The SQL of conditions on attributes, made of constants and numbers, that part of it which an index answers, and whether rows must be unpacked for it: {"colour": "red", "size": {"min": 38}}.';
