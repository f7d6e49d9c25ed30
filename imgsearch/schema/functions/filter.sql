-- Filters: one value, and the one place that turns it into a condition on imgsearch.image (alias i).
-- SQL text is put together from constant fragments and numbers; what was asked, also an attribute's name, is bound: as
-- $1, a value of type imgsearch_internal.bound, and $2, the filters. How much may be asked is bounded here: statement_timeout
-- does not stop a planner in time, nor its memory (docs/limits.md).

-- Of JSON that is to become a value: a misspelt name must not silently mean nothing.
CREATE OR REPLACE FUNCTION imgsearch_internal.require_known(given jsonb, value json, said text, hint text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF NOT value::jsonb ?& ARRAY(SELECT jsonb_object_keys(given)) THEN
        RAISE EXCEPTION 'imgsearch: % %', said, (SELECT left(k, 100) FROM jsonb_object_keys(given) k WHERE NOT value::jsonb ? k LIMIT 1)
            USING HINT = hint || (SELECT string_agg(k, ', ') FROM json_object_keys(value) k) || '.', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_known(jsonb, json, text, text) IS 'Raises which name in JSON is none of those of a value.';

CREATE OR REPLACE FUNCTION imgsearch.filters_of(given jsonb) RETURNS imgsearch.filters LANGUAGE plpgsql STABLE AS $$
DECLARE
    f     imgsearch.filters;
    zoned CONSTANT text := '[0-9]:[0-9]{2}[0-9:.]* *([zZ]|[+-][0-9]{2}(:?[0-9]{2})?)$';  -- without, a time is another one in each session
BEGIN
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: filters are a JSON object, not a JSON %', jsonb_typeof(given)
            USING HINT = 'For example {"tenant": "acme", "max_price": 50}.', ERRCODE = 'IM008';
    ELSIF jsonb_typeof(given -> 'category') = 'string' THEN
        given := jsonb_set(given, '{category}', jsonb_build_array(given -> 'category'));
    END IF;
    IF octet_length(given::text) > 2097152 THEN
        RAISE EXCEPTION 'imgsearch: these filters take more than 2097152 bytes' USING HINT = 'For longer lists join a table of your own: nearest().', ERRCODE = 'IM008';
    END IF;
    given := imgsearch_internal.composed(given);
    IF (given ->> 'created_after' ~ zoned AND given ->> 'created_before' ~ zoned AND given ->> 'taken_after' ~ zoned AND given ->> 'taken_before' ~ zoned) IS FALSE THEN
        RAISE EXCEPTION 'imgsearch: times of filters need a time zone' USING HINT = 'For example 2026-01-31T00:00:00Z.', ERRCODE = 'IM008';
    END IF;
    f := jsonb_populate_record(NULL::imgsearch.filters, given);
    PERFORM imgsearch_internal.require_known(given, row_to_json(f), 'there is no filter', 'Filters are: ');
    RETURN f;
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: a filter has a value of the wrong type: %', left(SQLERRM, 200)
        USING HINT = 'Prices are numbers, ids and category are lists, times are ISO 8601.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch.filters_of(jsonb) IS 'Filters out of JSON: SELECT * FROM imgsearch.facets(imgsearch.filters_of(''{"tenant": "acme", "max_price": 50}''));';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_filters(f imgsearch.filters) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    long text := CASE WHEN cardinality(f.category) > 1000 THEN 'category holds more than 1000 values'
        WHEN cardinality(f.product_ids) > 1000 THEN 'product_ids holds more than 1000 values'
        WHEN cardinality(f.exclude_product_ids) > 1000 THEN 'exclude_product_ids holds more than 1000 values'
        WHEN cardinality(f.exclude_image_ids) > 1000 THEN 'exclude_image_ids holds more than 1000 values'
        WHEN greatest(array_ndims(f.category), array_ndims(f.product_ids), array_ndims(f.exclude_product_ids),
                      array_ndims(f.exclude_image_ids)) > 1 THEN 'a list of a filter holds lists'
        WHEN array_position(f.exclude_product_ids, NULL) IS NOT NULL OR array_position(f.exclude_image_ids, NULL) IS NOT NULL
        THEN 'a list of exclusions holds a null' END;
BEGIN
    IF long IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: %', long USING HINT = 'Leave nulls out; for longer lists join a table of your own: nearest().', ERRCODE = 'IM008';
    ELSIF octet_length(f.attributes::text) > 65536 OR octet_length(f.condition::text) > 65536 THEN
        RAISE EXCEPTION 'imgsearch: % takes more than 65536 bytes', CASE WHEN octet_length(f.attributes::text) > 65536 THEN 'attributes' ELSE 'condition' END
            USING HINT = 'Ask for fewer or shorter values at once.', ERRCODE = 'IM008';
    ELSIF jsonb_typeof(f.attributes) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: attributes is a JSON %, not an object', jsonb_typeof(f.attributes)
            USING HINT = 'For example {"colour": "red", "size": {"min": 38}}.', ERRCODE = 'IM008';
    ELSIF (CASE WHEN f.attributes IS NOT NULL THEN (SELECT count(*) FROM jsonb_object_keys(f.attributes)) > 20 END) THEN
        RAISE EXCEPTION 'imgsearch: attributes names more than 20' USING HINT = 'Ask for fewer at once.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.check_near(f.near) WHERE f.near IS NOT NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_filters(imgsearch.filters) IS 'Raises which filter is longer than a search takes.';

CREATE OR REPLACE FUNCTION imgsearch_internal.elements(list jsonb) RETURNS jsonb[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY(SELECT jsonb_array_elements(list))
$$;
COMMENT ON FUNCTION imgsearch_internal.elements(jsonb) IS 'A JSON array as an SQL array.';

CREATE OR REPLACE FUNCTION imgsearch_internal.containing(name text, list jsonb) RETURNS jsonb[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY(SELECT jsonb_build_object(name, e) FROM jsonb_array_elements(list) e)
$$;
COMMENT ON FUNCTION imgsearch_internal.containing(text, jsonb) IS 'One object {name: value} for each value of a list: what a GIN index looks up.';

-- {"colour": "red"}, {"colour": ["red", "blue"]} and {"size": {"min": 38}} → (operator, value), checked.
CREATE OR REPLACE FUNCTION imgsearch_internal.operators_of(name text, given jsonb) RETURNS TABLE (operator text, value jsonb)
LANGUAGE plpgsql IMMUTABLE ROWS 2 AS $$
DECLARE
    wanted text;
BEGIN
    FOR operator, value IN
        SELECT o.key, o.value FROM jsonb_each(CASE jsonb_typeof(given)
            WHEN 'object' THEN given WHEN 'array' THEN jsonb_build_object('in', given) ELSE jsonb_build_object('is', given) END) o
    LOOP
        wanted := CASE
            WHEN operator IN ('in', 'not_in') THEN 'array'
            WHEN operator = 'exists' THEN 'boolean'
            WHEN operator IN ('min', 'max', 'above', 'below') AND jsonb_typeof(value) <> 'string' THEN 'number' END;
        IF jsonb_typeof(value) <> wanted THEN
            RAISE EXCEPTION 'imgsearch: % wants a JSON %, not %', operator, wanted, left(value::text, 100)
                USING HINT = 'For example {"size": {"min": 38}, "colour": {"in": ["red", "blue"]}}.', ERRCODE = 'IM008';
        ELSIF operator <> ALL ('{is,not,in,not_in,has,min,max,above,below,exists}') THEN
            RAISE EXCEPTION 'imgsearch: "%" is no operator on an attribute', left(operator, 100)
                USING HINT = 'Use is, not, in, not_in, has, min, max, above, below or exists.', ERRCODE = 'IM008';
        ELSIF (CASE WHEN wanted = 'array' THEN jsonb_array_length(value) > 100 END) THEN
            RAISE EXCEPTION 'imgsearch: % lists more than 100 values', left(name, 100) USING HINT = 'Ask for fewer values at once.', ERRCODE = 'IM008';
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.operators_of(text, jsonb) IS 'The operators and values of one condition, checked.';

-- What is bound for a condition: {name: value} where that is looked up as it stands, else the value.
CREATE OR REPLACE FUNCTION imgsearch_internal.attribute_value(name text, operator text, value jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN operator IN ('is', 'not') AND jsonb_typeof(value) NOT IN ('object', 'array') THEN jsonb_build_object(name, value)
                WHEN operator = 'has' THEN jsonb_build_object(name, jsonb_build_array(value)) ELSE value END
$$;
COMMENT ON FUNCTION imgsearch_internal.attribute_value(text, text, jsonb) IS 'What is bound for a condition on an attribute.';

-- n: the condition's place in ($1).names and ($1).vals. indexed: an index serves it. unpacked: the row is read for it.
CREATE OR REPLACE FUNCTION imgsearch_internal.attribute_sql(
    name text, operator text, value jsonb, n integer, OUT condition text, OUT indexed boolean, OUT unpacked boolean
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    nested boolean := jsonb_typeof(value) IN ('object', 'array');
    -- A look into the index for each value costs planning and, where rows are read anyway, each row.
    short  boolean := CASE WHEN operator = 'in' THEN jsonb_array_length(value) <= 10 END;
BEGIN
    condition := imgsearch_internal.promoted_filter(name, operator, value, n);
    unpacked := condition IS NULL;
    indexed := condition IS NOT NULL OR operator = 'has' OR coalesce(short, false) OR operator = 'is' AND NOT nested;
    condition := coalesce(condition, format(CASE operator
        WHEN 'is' THEN CASE WHEN nested THEN 'i.attributes -> ($1).names[%1$s] = ($1).vals[%1$s]'
                            ELSE 'i.attributes @> ($1).vals[%1$s]' END
        WHEN 'not' THEN CASE WHEN nested THEN 'i.attributes -> ($1).names[%1$s] IS DISTINCT FROM ($1).vals[%1$s]'
                             ELSE 'NOT i.attributes @> ($1).vals[%1$s]' END
        WHEN 'has' THEN 'i.attributes @> ($1).vals[%1$s]'
        WHEN 'in' THEN CASE WHEN short THEN 'i.attributes @> ANY (imgsearch_internal.containing(($1).names[%1$s], ($1).vals[%1$s])) AND ' ELSE '' END
                    || 'i.attributes -> ($1).names[%1$s] = ANY (imgsearch_internal.elements(($1).vals[%1$s]))'
        WHEN 'not_in' THEN '(i.attributes -> ($1).names[%1$s] = ANY (imgsearch_internal.elements(($1).vals[%1$s]))) IS NOT TRUE'
        WHEN 'exists' THEN '(i.attributes ? ($1).names[%1$s]) = ($1).vals[%1$s]::boolean'
        ELSE 'jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] '
             || CASE operator WHEN 'min' THEN '>=' WHEN 'max' THEN '<=' WHEN 'above' THEN '>' ELSE '<' END || ' ($1).vals[%1$s]' END, n));
END $$;
COMMENT ON FUNCTION imgsearch_internal.attribute_sql(text, text, jsonb, integer) IS 'The condition on one attribute; its own column answers where it was promoted.';

-- Asked at each search with a category: an index of those rows that was never written is one page (of a distributed table
-- the coordinator's always is), and then nothing is planned. Else the first entry from the tenant on is looked at: in that
-- order no index but the one of these rows is worth reading, whatever the planner believes about them.
CREATE OR REPLACE FUNCTION imgsearch_internal.has_categories(tenant text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF pg_relation_size(to_regclass('imgsearch.image_with_categories')) <= 8192 AND to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN
        RETURN false;
    ELSIF tenant IS NULL OR to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        RETURN true;
    END IF;
    RETURN coalesce((SELECT i.tenant_id FROM imgsearch.image i WHERE i.tenant_id >= has_categories.tenant AND i.categories IS NOT NULL
                     ORDER BY i.tenant_id LIMIT 1) = tenant, false);
END $$;
COMMENT ON FUNCTION imgsearch_internal.has_categories(text) IS 'Whether pictures of a tenant (null: any) may have several categories: where none has, filters do not ask.';

CREATE OR REPLACE FUNCTION imgsearch_internal.filter_sql(f imgsearch.filters) RETURNS imgsearch_internal.filter_text LANGUAGE plpgsql STABLE AS $$
DECLARE
    made imgsearch_internal.filter_text;
    part record;
    many boolean := f.category IS NOT NULL AND imgsearch_internal.has_categories(f.tenant);
BEGIN
    made.condition := concat(
        CASE WHEN f.tenant IS NOT NULL THEN ' AND i.tenant_id = ($2).tenant' END,
        CASE WHEN f.category IS NOT NULL THEN CASE WHEN many THEN ' AND (i.category = ANY (($2).category) OR i.categories && ($2).category)' ELSE ' AND i.category = ANY (($2).category)' END END,
        CASE WHEN f.min_price IS NOT NULL THEN ' AND i.price >= ($2).min_price' END,
        CASE WHEN f.max_price IS NOT NULL THEN ' AND i.price <= ($2).max_price' END,
        CASE WHEN f.in_stock IS NOT NULL THEN ' AND i.in_stock = ($2).in_stock' END,
        CASE WHEN f.product_ids IS NOT NULL THEN ' AND i.product_id = ANY (($2).product_ids)' END,
        CASE WHEN f.exclude_image_ids IS NOT NULL THEN ' AND i.image_id <> ALL (($2).exclude_image_ids)' END);
    made.indexed := made.condition;
    made.names := '{}'; made.vals := '{}';
    made.columns := ROW(f.tenant, f.category, f.min_price, f.max_price, f.in_stock);
    -- What columns say all of, by name: a filter that is added to the type breaks this until it has an answer here.
    made.plain := f IS NOT DISTINCT FROM ROW(
        f.tenant, f.category, f.min_price, f.max_price, f.in_stock,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::imgsearch.filters;
    made.unpacked := many;  -- a list in a row is in no index that carries the bits
    IF made.plain AND (cardinality(f.category) > 1000) IS NOT TRUE THEN
        made.f := f;
        RETURN made;
    END IF;
    PERFORM imgsearch_internal.check_filters(f);
    made.unpacked := many OR coalesce(f.product_ids, f.exclude_product_ids) IS NOT NULL OR f.near IS NOT NULL
                     OR coalesce(f.created_after, f.created_before, f.taken_after, f.taken_before) IS NOT NULL;
    made.condition := concat(made.condition,
        CASE WHEN f.exclude_product_ids IS NOT NULL THEN ' AND i.product_id <> ALL (($2).exclude_product_ids)' END,
        CASE f.duplicates WHEN false THEN ' AND NOT' WHEN true THEN ' AND' END || CASE WHEN f.duplicates IS NOT NULL
            THEN ' EXISTS (SELECT 1 FROM imgsearch.duplicate d WHERE d.tenant_id = i.tenant_id AND d.image_id = i.image_id AND d.tier = ''certain'')' END,
        CASE WHEN f.created_after IS NOT NULL THEN ' AND i.created_at >= ($2).created_after' END,
        CASE WHEN f.created_before IS NOT NULL THEN ' AND i.created_at < ($2).created_before' END,
        CASE WHEN f.near IS NOT NULL OR coalesce(f.taken_after, f.taken_before) IS NOT NULL THEN ' AND ' || imgsearch_internal.captured_sql(concat_ws(' AND ',
            CASE WHEN f.taken_after IS NOT NULL THEN 'c.taken_at >= ($2).taken_after' END,
            CASE WHEN f.taken_before IS NOT NULL THEN 'c.taken_at < ($2).taken_before' END,
            CASE WHEN f.near IS NOT NULL THEN imgsearch_internal.near_sql('($2).near') END)) END);
    IF f.attributes IS NOT NULL THEN
        made := imgsearch_internal.with_attributes(made, f.attributes);
    END IF;
    IF f.condition IS NOT NULL THEN
        SELECT t.* INTO part FROM imgsearch_internal.tree_sql(f.condition, 1, made.names, made.vals, 0) t;
        IF cardinality(part.names) > cardinality(made.names) + 50 THEN
            RAISE EXCEPTION 'imgsearch: the condition has more than 50 parts' USING HINT = 'Simplify it, or ask in several searches.', ERRCODE = 'IM008';
        END IF;
        made.condition := made.condition || ' AND ' || part.condition;
        made.names := part.names; made.vals := part.vals; made.unpacked := true;
    END IF;
    made.f := f;
    RETURN made;
END $$;
COMMENT ON FUNCTION imgsearch_internal.filter_sql(imgsearch.filters) IS 'The SQL of filters over imgsearch.image i, what of it an index answers, and whether rows must be read for it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.with_attribute(made imgsearch_internal.filter_text, name text, operator text, value jsonb)
RETURNS imgsearch_internal.filter_text LANGUAGE plpgsql STABLE AS $$
DECLARE
    part record := imgsearch_internal.attribute_sql(name, operator, value, cardinality(made.names) + 1);
BEGIN
    made.names := made.names || name;
    made.vals := made.vals || imgsearch_internal.attribute_value(name, operator, value);
    made.condition := made.condition || ' AND ' || part.condition;
    made.unpacked := made.unpacked OR part.unpacked;
    IF part.indexed THEN
        made.indexed := made.indexed || ' AND ' || part.condition;
    END IF;
    RETURN made;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_attribute(imgsearch_internal.filter_text, text, text, jsonb) IS 'A filter''s text with one condition on an attribute added.';

CREATE OR REPLACE FUNCTION imgsearch_internal.with_attributes(made imgsearch_internal.filter_text, attributes jsonb) RETURNS imgsearch_internal.filter_text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name  text;
    given jsonb;
    part  record;
BEGIN
    FOR name, given IN SELECT e.key, e.value FROM jsonb_each(attributes) e LOOP
        IF jsonb_typeof(given) IN ('object', 'array') THEN
            FOR part IN SELECT o.operator, o.value FROM imgsearch_internal.operators_of(name, given) o LOOP
                made := imgsearch_internal.with_attribute(made, name, part.operator, part.value);
            END LOOP;
        ELSE
            made := imgsearch_internal.with_attribute(made, name, 'is', given);
        END IF;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_attributes(imgsearch_internal.filter_text, jsonb) IS 'A filter''s text with the conditions on attributes added.';
