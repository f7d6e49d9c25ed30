-- A search beside what is pinned and hidden: pinned rows stand first where they match the filters, however far they look
-- (max_distance and the cut are of looks; by words alone their distance is 1), and are left out of the rest; hidden ones are left out.

CREATE OR REPLACE FUNCTION imgsearch_internal.has_merchandise(shop text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN shop IS NOT NULL AND EXISTS (SELECT 1 FROM imgsearch.merchandise m WHERE m.tenant_id = shop);
END $$;
COMMENT ON FUNCTION imgsearch_internal.has_merchandise(text) IS 'Whether a tenant pins or hides anything.';

CREATE OR REPLACE FUNCTION imgsearch_internal.merchandise_for(f imgsearch.filters, words text, OUT pinned text[], OUT hidden text[]) LANGUAGE plpgsql STABLE AS $$
DECLARE
    asked CONSTANT text := imgsearch_internal.canonical(coalesce(words, ''));
BEGIN
    SELECT coalesce(array_agg(x.product_id ORDER BY x.place, x.product_id) FILTER (WHERE x.place < 1000), '{}'), coalesce(array_agg(x.product_id) FILTER (WHERE x.place = 1000), '{}')
    INTO pinned, hidden
    FROM (SELECT m.product_id, CASE WHEN bool_or(m.place IS NULL) THEN 1000 ELSE min(m.place) END AS place  -- hidden for one reason is hidden
          FROM imgsearch.merchandise m
          WHERE m.tenant_id = f.tenant AND m.query IN ('', asked) AND (m.category = '' OR f.category = ARRAY[m.category])
          GROUP BY m.product_id) x;
END $$;
COMMENT ON FUNCTION imgsearch_internal.merchandise_for(imgsearch.filters, text) IS 'The products that are pinned, in their order, and those that are hidden, for these words and filters.';

CREATE OR REPLACE FUNCTION imgsearch_internal.pinned_rows(query halfvec, f imgsearch.filters, pinned text[], OUT pool imgsearch_internal.pool, OUT pictures bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
BEGIN
    EXECUTE 'SELECT coalesce(array_agg(($2).tenant ORDER BY u.place), ''{}''), coalesce(array_agg(u.product_id ORDER BY u.place), ''{}''),
                    coalesce(array_agg(i.image_id ORDER BY u.place), ''{}''), coalesce(array_agg(i.d ORDER BY u.place), ''{}''), sum(i.many)
        FROM unnest($3) WITH ORDINALITY u (product_id, place), LATERAL (
            SELECT i.image_id, coalesce(v.embedding <=> $4, 1) AS d, count(*) OVER () AS many
            FROM (SELECT i.tenant_id, i.image_id, i.position FROM imgsearch.image i WHERE i.tenant_id = ($2).tenant AND i.product_id = u.product_id' || made.condition || '
                  ORDER BY i.position LIMIT 100) i
            LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
            WHERE v.image_id IS NOT NULL OR $4 IS NULL ORDER BY d, i.position LIMIT 1) i'
    INTO pool.tenants, pool.keys, pool.images, pool.distances, pictures USING asked, made.f, pinned, query;
END $$;
COMMENT ON FUNCTION imgsearch_internal.pinned_rows(halfvec, imgsearch.filters, text[]) IS 'The pinned products that match the filters, each by its nearest picture, and how many pictures those have.';

-- A page that begins behind a pinned row has p<number> as its place.
CREATE OR REPLACE FUNCTION imgsearch_internal.shelf_of(query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, words text) RETURNS imgsearch_internal.shelf
LANGUAGE plpgsql STABLE AS $$
DECLARE
    shelf  imgsearch_internal.shelf;
    wanted record := imgsearch_internal.merchandise_for(f, words);
    rows_  record;
    behind CONSTANT integer := substring(p.place FROM '^p([0-9]{1,3})$');
BEGIN
    IF cardinality(f.exclude_product_ids) + cardinality(wanted.hidden) + cardinality(wanted.pinned) > 1000 THEN
        RAISE EXCEPTION 'imgsearch: exclude_product_ids holds % values, and % products are pinned or hidden; together at most 1000', cardinality(f.exclude_product_ids),
            cardinality(wanted.hidden) + cardinality(wanted.pinned) USING HINT = 'Exclude fewer, or join a table of your own: nearest().', ERRCODE = 'IM008';
    END IF;
    IF wanted.hidden <> '{}' THEN
        f.exclude_product_ids := f.exclude_product_ids || wanted.hidden;
    END IF;
    rows_ := imgsearch_internal.pinned_rows(query, f, wanted.pinned);
    shelf.pool := rows_.pool;
    shelf.matches := cardinality((rows_.pool).images); shelf.pictures := coalesce(rows_.pictures, 0);
    shelf.k := p.k; shelf.first := 1; shelf.last := 0;
    IF p.per_product AND shelf.matches > 0 THEN
        f.exclude_product_ids := f.exclude_product_ids || (shelf.pool).keys;
    ELSIF NOT p.per_product AND shelf.matches > 0 THEN
        f.exclude_image_ids := f.exclude_image_ids || (shelf.pool).images;
        shelf.pictures := shelf.matches;
    END IF;
    IF p.after_image IS NULL OR behind IS NOT NULL THEN
        shelf.first := coalesce(behind, 0) + p.skip + 1;
        shelf.last := least(shelf.first - 1 + p.k, shelf.matches);
        p.skip := greatest(0, shelf.first - 1 - shelf.matches::integer);
        p.k := greatest(1, p.k - greatest(0, shelf.last - shelf.first + 1));
        p.passed := shelf.matches; p.place := NULL; p.after_distance := NULL; p.after_image := NULL;
    END IF;
    shelf.f := f; shelf.p := p;
    RETURN shelf;
END $$;
COMMENT ON FUNCTION imgsearch_internal.shelf_of(halfvec, imgsearch.filters, imgsearch_internal.page_request, text) IS 'What is pinned and hidden for a search, and what is left of it to find.';

CREATE OR REPLACE FUNCTION imgsearch_internal.with_pins(answer imgsearch_internal.page, shelf imgsearch_internal.shelf, check_ text) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    first CONSTANT integer := shelf.first;
    last  CONSTANT integer := shelf.last;
    rest  CONSTANT integer := shelf.k - greatest(0, last - first + 1);
BEGIN
    IF shelf.k IS NULL THEN
        RETURN answer;
    END IF;
    answer.tenants := (shelf.pool).tenants[first:last] || answer.tenants[1:rest];
    answer.images := (shelf.pool).images[first:last] || answer.images[1:rest];
    answer.distances := (shelf.pool).distances[first:last] || answer.distances[1:rest];
    answer.products := CASE WHEN answer.products IS NOT NULL THEN (shelf.pool).keys[first:last] || answer.products[1:rest] END;
    answer.cursors := ARRAY(SELECT concat_ws(',', 0, 0, n, check_, 'p' || n) FROM generate_series(first, last) n) || answer.cursors[1:rest];
    answer.matches := answer.matches + shelf.matches; answer.pictures := answer.pictures + shelf.pictures;
    answer.complete := answer.complete OR cardinality(answer.images) = shelf.k AND NOT imgsearch_internal.misses();
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_pins(imgsearch_internal.page, imgsearch_internal.shelf, text) IS 'A page with its pinned rows first.';
