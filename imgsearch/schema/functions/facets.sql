-- What a page shows beside a search: how many pictures each further filter would leave, and the newest pictures when
-- nothing was asked. The conditions are those of imgsearch.find(): attributes through the same attribute_filter().
-- SQL text is put together from constant fragments and numbers; what was asked is bound.

-- One row per value of a facet. A facet's own filter does not count against its values (so that another category can be
-- chosen after one was), every other filter does. `approximate` counts are scaled up from about `sample` rows.
CREATE OR REPLACE FUNCTION imgsearch.facets(
    tenant text DEFAULT NULL, categories text[] DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    sample integer DEFAULT 5000
) RETURNS TABLE (facet text, name text, value text, low double precision, high double precision, count bigint, approximate boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    bounds    CONSTANT double precision[] := '{0, 10, 25, 50, 100, 250, 500, 1000, 2500}';
    embedded  text := format('i.bits_%s IS NOT NULL', imgsearch.active_space());
    asked     imgsearch.asked;
    fragment  text;
    mine      text := embedded || CASE WHEN facets.tenant IS NULL THEN '' ELSE ' AND i.tenant_id = ($1).tenant' END;
    by_group  text := CASE WHEN facets.categories IS NULL THEN 'true' ELSE 'coalesce(i.category = ANY (($1).categories), false)' END;
    by_price  text := concat_ws(' AND ', 'true', CASE WHEN facets.min_price IS NOT NULL THEN 'coalesce(i.price >= ($1).min_price, false)' END,
                                CASE WHEN facets.max_price IS NOT NULL THEN 'coalesce(i.price <= ($1).max_price, false)' END);
    by_stock  text := CASE WHEN facets.in_stock IS NULL THEN 'true' ELSE 'i.in_stock = ($1).in_stock' END;
    plain     text := format('%s AND %s AND %s AND %s', mine, by_group, by_price, by_stock);
    total     bigint;
    share     double precision;
    attribute text;
BEGIN
    asked.tenant := facets.tenant; asked.categories := facets.categories; asked.in_stock := facets.in_stock;
    asked.min_price := facets.min_price; asked.max_price := facets.max_price;
    SELECT a.fragment, a.names, a.vals INTO fragment, asked.names, asked.vals FROM imgsearch.attribute_filter(coalesce(facets.attributes, '{}')) a;
    -- One pass into a small cube (category x stock x price band x which filters it passes), then sums over the cube.
    RETURN QUERY EXECUTE format($q$
        WITH cube AS MATERIALIZED (
            SELECT i.tenant_id, i.category, i.in_stock, width_bucket(i.price, $2) AS band,
                   %2$s AS g, %3$s AS p, %4$s AS s, count(*) AS n
            FROM imgsearch.image i WHERE %1$s%5$s AND (%2$s)::int + (%3$s)::int + (%4$s)::int >= 2
            GROUP BY 1, 2, 3, 4, 5, 6, 7
        )
        SELECT 'matches', NULL, NULL, NULL::float8, NULL::float8, coalesce(sum(n), 0)::bigint, false FROM cube WHERE g AND p AND s
        UNION ALL (SELECT 'tenant', NULL, tenant_id, NULL, NULL, sum(n)::bigint, false FROM cube WHERE g AND p AND s GROUP BY tenant_id ORDER BY 6 DESC, 3 LIMIT 50)
        UNION ALL (SELECT 'category', NULL, category, NULL, NULL, sum(n)::bigint, false FROM cube WHERE p AND s AND category IS NOT NULL GROUP BY category ORDER BY 6 DESC, 3 LIMIT 50)
        UNION ALL (SELECT 'in_stock', NULL, in_stock::text, NULL, NULL, sum(n)::bigint, false FROM cube WHERE g AND p GROUP BY in_stock ORDER BY in_stock DESC)
        UNION ALL (SELECT 'price', NULL, NULL, $2[band], $2[band + 1], sum(n)::bigint, false FROM cube WHERE g AND s AND band > 0 GROUP BY band ORDER BY band)
        $q$, mine, by_group, by_price, by_stock, fragment)
    USING asked, bounds;

    -- Attributes nobody filtered by, from all rows or a share of them; then each that is filtered by, without its own filter.
    SELECT coalesce(max(c.reltuples), 0) INTO total FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass;
    share := CASE WHEN total > 4 * facets.sample THEN 100.0 * facets.sample / total END;
    FOR attribute IN SELECT NULL UNION ALL SELECT jsonb_object_keys(coalesce(facets.attributes, '{}')) LOOP
        SELECT a.fragment, a.names, a.vals INTO fragment, asked.names, asked.vals
        FROM imgsearch.attribute_filter(CASE WHEN attribute IS NULL THEN coalesce(facets.attributes, '{}') ELSE facets.attributes - attribute END) a;
        RETURN QUERY EXECUTE format($q$
            WITH counted AS (
                SELECT e.key, e.value #>> '{}' AS value, count(*) AS n
                FROM imgsearch.image i %1$s, jsonb_each(i.attributes) e
                WHERE %2$s%3$s AND jsonb_typeof(e.value) IN ('string', 'number', 'boolean')
                  AND CASE WHEN $2 IS NULL THEN NOT $3 ? e.key ELSE e.key = $2 END
                GROUP BY 1, 2
            ), ranked AS (
                -- A name with very many values (a title, a code) is nothing to choose from.
                SELECT *, sum(n) OVER w AS together, count(*) OVER w AS different, row_number() OVER (PARTITION BY key ORDER BY n DESC, value) AS place
                FROM counted WINDOW w AS (PARTITION BY key)
            )
            SELECT 'attribute', key, value, NULL::float8, NULL::float8, ceil(n * $4)::bigint, $4 > 1
            FROM ranked WHERE place <= 12 AND (different <= 40 OR $2 IS NOT NULL) AND length(value) <= 60
              AND key IN (SELECT key FROM ranked WHERE different <= 40 OR $2 IS NOT NULL GROUP BY key ORDER BY max(together) DESC, key LIMIT 8)
            ORDER BY together DESC, key, n DESC, value
            $q$, CASE WHEN share IS NULL THEN '' ELSE format('TABLESAMPLE SYSTEM (%s) REPEATABLE (1)', share) END, plain, fragment)
        USING asked, attribute, coalesce(facets.attributes, '{}'), coalesce(100.0 / share, 1.0);
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch.facets(text, text[], double precision, double precision, boolean, jsonb, integer) IS
'How many pictures each further filter leaves: matches, tenant, category, in_stock, price (low ≤ price < high) and attribute rows. SELECT * FROM imgsearch.facets(tenant => ''acme'', max_price => 50);';

CREATE OR REPLACE FUNCTION imgsearch.browse(
    tenant text DEFAULT NULL, categories text[] DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, before_image bigint DEFAULT NULL
) RETURNS SETOF bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    asked     imgsearch.asked;
    fragment  text := format('i.bits_%s IS NOT NULL', imgsearch.active_space());
    attribute text;
BEGIN
    asked.tenant := browse.tenant; asked.categories := browse.categories; asked.in_stock := browse.in_stock;
    asked.min_price := browse.min_price; asked.max_price := browse.max_price;
    SELECT a.fragment, a.names, a.vals INTO attribute, asked.names, asked.vals FROM imgsearch.attribute_filter(coalesce(browse.attributes, '{}')) a;
    IF browse.k IS NULL OR browse.k < 1 OR browse.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', browse.k USING HINT = 'Page through more rows with before_image.', ERRCODE = 'IM008';
    END IF;
    IF browse.tenant IS NOT NULL THEN fragment := fragment || ' AND i.tenant_id = ($1).tenant'; END IF;
    IF browse.categories IS NOT NULL THEN fragment := fragment || ' AND i.category = ANY (($1).categories)'; END IF;
    IF browse.min_price IS NOT NULL THEN fragment := fragment || ' AND i.price >= ($1).min_price'; END IF;
    IF browse.max_price IS NOT NULL THEN fragment := fragment || ' AND i.price <= ($1).max_price'; END IF;
    IF browse.in_stock IS NOT NULL THEN fragment := fragment || ' AND i.in_stock = ($1).in_stock'; END IF;
    IF browse.before_image IS NOT NULL THEN fragment := fragment || ' AND i.image_id < $2'; END IF;
    RETURN QUERY EXECUTE format('SELECT i.image_id FROM imgsearch.image i WHERE %s%s ORDER BY i.image_id DESC LIMIT $3', fragment, attribute)
    USING asked, browse.before_image, browse.k;
END $$;
COMMENT ON FUNCTION imgsearch.browse(text, text[], double precision, double precision, boolean, jsonb, integer, bigint) IS
'The newest searchable pictures that match the filters; before_image continues behind a page. SELECT * FROM imgsearch.browse(categories => ''{shoes}'');';
