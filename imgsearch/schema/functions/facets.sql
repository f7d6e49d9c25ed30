-- What a page shows beside a search: how many images each further filter would leave, and the newest images when
-- nothing was asked. The conditions are those of every search, from filter_sql(); here $1 binds nothing but what conditions ask.

CREATE OR REPLACE FUNCTION imgsearch_internal.filters_in(f imgsearch.filters, pattern text, inside boolean) RETURNS imgsearch.filters LANGUAGE sql STABLE AS $$
    SELECT jsonb_populate_record(NULL::imgsearch.filters, (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(to_jsonb(f)) e WHERE (e.key ~ pattern) = inside))
$$;
COMMENT ON FUNCTION imgsearch_internal.filters_in(imgsearch.filters, text, boolean) IS 'The filters whose names match, or those whose names do not.';

CREATE OR REPLACE FUNCTION imgsearch_internal.facet_of(f imgsearch.filters, pattern text) RETURNS text LANGUAGE sql STABLE AS $$
    -- IS TRUE: an image without a price is in no price range, and not unknown to be.
    SELECT '(true' || (imgsearch_internal.filter_sql(imgsearch_internal.filters_in(f, pattern, true))).condition || ') IS TRUE'
$$;
COMMENT ON FUNCTION imgsearch_internal.facet_of(imgsearch.filters, text) IS 'The condition of some of the filters alone, true or false for every image.';

-- What filters on columns leave, by value of each: one pass into a small cube (category x stock x price band x which
-- filter it passes), then sums over the cube.
CREATE OR REPLACE FUNCTION imgsearch_internal.column_facets(f imgsearch.filters)
RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    bounds CONSTANT double precision[] := '{0, 10, 25, 50, 100, 250, 500, 1000, 2500}';
    made   imgsearch_internal.filter_text := imgsearch_internal.filter_sql(imgsearch_internal.filters_in(f, '^category$|price$|^in_stock$', false));
    asked  imgsearch_internal.bound;
BEGIN
    asked.names := made.names; asked.vals := made.vals;
    RETURN QUERY EXECUTE format($q$
        WITH cube AS MATERIALIZED (
            SELECT i.tenant_id, i.category, i.in_stock, width_bucket(i.price, $3) AS band, %2$s AS g, %3$s AS p, %4$s AS s, count(*) AS n
            FROM imgsearch.image i
            WHERE imgsearch_internal.bits_of(i) IS NOT NULL%1$s AND (%2$s)::int + (%3$s)::int + (%4$s)::int >= 2
            GROUP BY 1, 2, 3, 4, 5, 6, 7
        )
        SELECT 'matches', NULL, NULL, NULL::float8, NULL::float8, coalesce(sum(n), 0)::bigint, false FROM cube WHERE g AND p AND s
        UNION ALL (SELECT 'tenant', NULL, tenant_id, NULL, NULL, sum(n)::bigint, false FROM cube WHERE g AND p AND s GROUP BY tenant_id ORDER BY 6 DESC, 3 LIMIT 50)
        UNION ALL (SELECT 'category', NULL, category, NULL, NULL, sum(n)::bigint, false FROM cube WHERE p AND s AND category IS NOT NULL GROUP BY category ORDER BY 6 DESC, 3 LIMIT 50)
        UNION ALL (SELECT 'in_stock', NULL, in_stock::text, NULL, NULL, sum(n)::bigint, false FROM cube WHERE g AND p GROUP BY in_stock ORDER BY in_stock DESC)
        UNION ALL (SELECT 'price', NULL, NULL, $3[band], $3[band + 1], sum(n)::bigint, false FROM cube WHERE g AND s AND band > 0 GROUP BY band ORDER BY band)
        $q$, made.condition, imgsearch_internal.facet_of(f, '^category$'), imgsearch_internal.facet_of(f, 'price$'), imgsearch_internal.facet_of(f, '^in_stock$'))
    USING asked, f, bounds;
END $$;
COMMENT ON FUNCTION imgsearch_internal.column_facets(imgsearch.filters) IS 'The rows of imgsearch.facets() for columns: matches, tenant, category, in_stock, price.';

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
-- fails no filter, and where it fails one, for that one alone.
CREATE OR REPLACE FUNCTION imgsearch_internal.attribute_facets(f imgsearch.filters, share double precision)
RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean)
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
            SELECT e.key, e.value #>> '{}' AS value, count(*) AS n
            FROM (SELECT i.attributes, array_remove(ARRAY[%3$s]::integer[], NULL) AS failed
                  FROM imgsearch.image i %1$s WHERE imgsearch_internal.bits_of(i) IS NOT NULL%2$s OFFSET 0) i, jsonb_each(i.attributes) e
            WHERE cardinality(i.failed) <= 1 AND jsonb_typeof(e.value) IN ('string', 'number', 'boolean')
              AND (i.failed = '{}' OR e.key = $3[i.failed[1]])
            GROUP BY 1, 2
        ), ranked AS (
            -- A name with very many values (a title, a code) is nothing to choose from.
            SELECT *, key = ANY ($3) AS chosen, sum(n) OVER w AS together, count(*) OVER w AS different, row_number() OVER (PARTITION BY key ORDER BY n DESC, value) AS place
            FROM counted WINDOW w AS (PARTITION BY key)
        )
        SELECT 'attribute', key, value, NULL::float8, NULL::float8, ceil(n * $4)::bigint, $4 > 1
        FROM ranked WHERE place <= 12 AND (chosen OR different <= 40) AND length(value) <= 60
          AND (chosen OR key IN (SELECT key FROM ranked WHERE NOT chosen AND different <= 40 GROUP BY key ORDER BY max(together) DESC, key LIMIT 8))
        ORDER BY chosen, together DESC, key, n DESC, value
        $q$, CASE WHEN share IS NULL THEN '' ELSE format('TABLESAMPLE SYSTEM (%s) REPEATABLE (1)', share) END, made.condition || either, fails)
    USING asked, f, part.chosen, coalesce(100.0 / share, 1.0);
END $$;
COMMENT ON FUNCTION imgsearch_internal.attribute_facets(imgsearch.filters, double precision) IS 'The rows of imgsearch.facets() for attributes, from a share of the rows in percent (null: all).';

-- One row per value of a facet. A facet's own filter does not count against its values (so that another category can be
-- chosen after one was), every other filter does. `approximate` counts are scaled up from about `sample` rows.
CREATE OR REPLACE FUNCTION imgsearch.facets(filters imgsearch.filters DEFAULT NULL, sample integer DEFAULT 5000)
RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    row   record;
    share double precision;  -- of the table, in percent: so many blocks that about `sample` of what matches is in them
BEGIN
    PERFORM imgsearch_internal.active_space();
    FOR row IN SELECT c.* FROM imgsearch_internal.column_facets(facets.filters) c LOOP
        IF row.facet = 'matches' AND row.count > 4 * facets.sample THEN
            share := 100.0 * facets.sample / row.count;
        END IF;
        facet := row.facet; name := row.name; value := row.value; low := row.low; high := row.high; count := row.count; approximate := row.approximate;
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT a.* FROM imgsearch_internal.attribute_facets(facets.filters, share) a;
END $$;
COMMENT ON FUNCTION imgsearch.facets(imgsearch.filters, integer) IS
'How many images each further filter leaves: matches, tenant, category, in_stock, price (low ≤ price < high) and attribute rows. SELECT * FROM imgsearch.facets(imgsearch.filters_of(''{"tenant": "acme", "max_price": 50}''));';

-- The values of one facet in a list that people search in: all of them, counted exactly. Its own filter does not count,
-- but that of a tenant does: nobody lists the neighbours. Costs a pass over the images that match.
CREATE OR REPLACE FUNCTION imgsearch.choices(facet text, name text DEFAULT NULL, filters imgsearch.filters DEFAULT NULL, contains text DEFAULT NULL, k integer DEFAULT 1000)
RETURNS TABLE (value text, count bigint, different bigint)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    f     imgsearch.filters := choices.filters;
    made  imgsearch_internal.filter_text;
    asked imgsearch_internal.bound;
BEGIN
    IF choices.k IS NULL OR choices.k < 1 OR choices.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', choices.k USING HINT = 'Narrow the list with contains.', ERRCODE = 'IM008';
    ELSIF choices.facet IS NULL OR choices.facet NOT IN ('tenant', 'category', 'attribute') OR (choices.facet = 'attribute') <> (choices.name IS NOT NULL) THEN
        RAISE EXCEPTION 'imgsearch: no list of facet % and name %', choices.facet, choices.name
            USING HINT = 'Ask for (''category''), (''tenant'') or (''attribute'', ''colour'').', ERRCODE = 'IM008';
    ELSIF choices.facet = 'category' THEN
        f.category := NULL;
    ELSIF choices.facet = 'attribute' THEN
        f.attributes := nullif(f.attributes - choices.name, '{}');
    END IF;
    PERFORM imgsearch_internal.active_space();
    made := imgsearch_internal.filter_sql(f);
    asked.names := made.names; asked.vals := made.vals;
    RETURN QUERY EXECUTE format($q$
        SELECT x.value, count(*), count(*) OVER ()
        FROM imgsearch.image i, LATERAL (SELECT %2$s AS value) x
        WHERE imgsearch_internal.bits_of(i) IS NOT NULL%1$s AND x.value <> '' AND ($4 IS NULL OR strpos(lower(x.value), lower($4)) > 0)
        GROUP BY x.value ORDER BY count(*) DESC, x.value LIMIT $5
        $q$, made.condition, CASE choices.facet WHEN 'tenant' THEN 'i.tenant_id' WHEN 'category' THEN 'i.category'
                                  ELSE $v$CASE WHEN jsonb_typeof(i.attributes -> $3) IN ('string', 'number', 'boolean') THEN i.attributes ->> $3 END$v$ END)
    USING asked, f, choices.name, choices.contains, choices.k;
END $$;
COMMENT ON FUNCTION imgsearch.choices(text, text, imgsearch.filters, text, integer) IS
'The values of one facet that contain a text, the most frequent first, and how many different ones there are. SELECT * FROM imgsearch.choices(''attribute'', ''colour'', imgsearch.filters_of(''{"tenant": "acme"}''));';

CREATE OR REPLACE FUNCTION imgsearch.browse(filters imgsearch.filters DEFAULT NULL, k integer DEFAULT 10, before_image bigint DEFAULT NULL) RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(browse.filters);
    asked imgsearch_internal.bound;
BEGIN
    IF browse.k IS NULL OR browse.k < 1 OR browse.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', browse.k USING HINT = 'Page through more rows with before_image.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.active_space();
    asked.names := made.names; asked.vals := made.vals;
    RETURN QUERY EXECUTE 'SELECT i.image_id FROM imgsearch.image i WHERE imgsearch_internal.bits_of(i) IS NOT NULL' || made.condition
        || CASE WHEN browse.before_image IS NULL THEN '' ELSE ' AND i.image_id < $3' END || ' ORDER BY i.image_id DESC LIMIT $4'
    USING asked, browse.filters, browse.before_image, browse.k;
END $$;
COMMENT ON FUNCTION imgsearch.browse(imgsearch.filters, integer, bigint) IS
'The newest searchable images that match the filters; before_image continues behind a page. SELECT * FROM imgsearch.browse(imgsearch.filters_of(''{"category": ["shoes"]}''));';
