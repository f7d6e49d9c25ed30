-- The values of one facet in a list that people search in: all of them. Its own filter does not count, but that of a
-- tenant does: nobody lists the neighbours. Costs a pass over the images that match. Of very many the images of each
-- value are counted, and products are as many as there are to an image among one in 2, 4, 8 … of them.
CREATE OR REPLACE FUNCTION imgsearch.choices(facet text, name text DEFAULT NULL, filters imgsearch.filters DEFAULT NULL, contains text DEFAULT NULL, k integer DEFAULT 1000,
    per text DEFAULT 'product')
RETURNS TABLE (value text, count bigint, different bigint, approximate boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    f     imgsearch.filters := imgsearch_internal.composed(choices.filters);
    made  imgsearch_internal.filter_text;
    asked imgsearch_internal.bound;
    step  bigint;
BEGIN
    IF choices.k IS NULL OR choices.k < 1 OR choices.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', choices.k USING HINT = 'Narrow the list with contains.', ERRCODE = 'IM008';
    ELSIF choices.facet IS NULL OR choices.facet NOT IN ('tenant', 'category', 'attribute') OR (choices.facet = 'attribute') <> (choices.name IS NOT NULL) THEN
        RAISE EXCEPTION 'imgsearch: no list of facet % and name %', choices.facet, choices.name
            USING HINT = 'Ask for (''category''), (''tenant'') or (''attribute'', ''colour'').', ERRCODE = 'IM008';
    ELSIF length(choices.contains) > 200 THEN
        RAISE EXCEPTION 'imgsearch: contains has % characters, the limit is 200', length(choices.contains) USING HINT = 'Shorten it.', ERRCODE = 'IM008';
    ELSIF choices.facet = 'category' THEN
        f.category := NULL;
    ELSIF choices.facet = 'attribute' THEN
        f.attributes := nullif(f.attributes - normalize(choices.name, NFC), '{}');
    END IF;
    PERFORM imgsearch_internal.check_facets(choices.per, NULL, NULL);
    PERFORM imgsearch_internal.active_space();
    made := imgsearch_internal.filter_sql(f);
    asked.names := made.names; asked.vals := made.vals;
    step := CASE choices.per WHEN 'product' THEN imgsearch_internal.one_in(f) ELSE 0 END;
    RETURN QUERY EXECUTE format($q$
        WITH grouped AS (
            SELECT x.value, %3$s AS product, count(*) AS n FROM imgsearch.image i, LATERAL (SELECT %2$s AS value) x
            WHERE imgsearch_internal.bits_of(i) IS NOT NULL%1$s AND x.value <> '' AND ($4 IS NULL OR strpos(lower(x.value), lower($4)) > 0)
            GROUP BY 1, 2
        ), together AS (
            SELECT g.value, sum(g.n) AS n, count(g.product) AS products, sum(g.n) FILTER (WHERE g.product IS NOT NULL) AS drawn FROM grouped g GROUP BY 1
        )
        SELECT t.value, (CASE $6 WHEN 0 THEN t.n WHEN 1 THEN t.products ELSE ceil(t.n * coalesce(sum(t.products) OVER () / sum(t.drawn) OVER (), 1)) END)::bigint,
               count(*) OVER (), $6 > 1
        FROM together t ORDER BY 2 DESC, 1 LIMIT $5
        $q$, made.condition,
        CASE choices.facet WHEN 'tenant' THEN 'i.tenant_id' WHEN 'category' THEN CASE WHEN imgsearch_internal.has_categories(f.tenant) THEN 'DISTINCT unnest(array_append(i.categories, i.category))' ELSE 'i.category' END
             ELSE $v$CASE WHEN jsonb_typeof(i.attributes -> $3) IN ('string', 'number', 'boolean') THEN i.attributes ->> $3 END$v$ END,
        CASE WHEN step > 0 THEN 'CASE WHEN hashtextextended(i.product_id, 0) & ($6 - 1) = 0 THEN hashtextextended(i.product_id, hashtext(i.tenant_id)) END' ELSE 'NULL::bigint' END)
    USING asked, f, normalize(choices.name, NFC), normalize(choices.contains, NFC), choices.k, step;
END $$;
COMMENT ON FUNCTION imgsearch.choices(text, text, imgsearch.filters, text, integer, text) IS
'The values of one facet that contain a text, with the most products (per => ''image'': images) first, and how many different ones there are. SELECT * FROM imgsearch.choices(''attribute'', ''colour'', imgsearch.filters_of(''{"tenant": "acme"}''));';
