-- Several spaces searched at once: search('red shoe', space => 'siglip, dino'). Each gives its best; their ranks are fused
-- (reciprocal rank fusion, Cormack, Clarke and Büttcher 2009): score = sum of 1 / (60 + rank). Distances of two models
-- cannot be compared, ranks can. Read to 1,000 rows deep.

CREATE OR REPLACE FUNCTION imgsearch_internal.spaces_of(said text) RETURNS integer[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    ids integer[] := ARRAY(SELECT imgsearch_internal.space_of(btrim(s)) FROM unnest(string_to_array(said, ',')) WITH ORDINALITY u (s, n) ORDER BY n);
BEGIN
    IF NOT cardinality(ids) BETWEEN 1 AND 4 OR cardinality(ids) <> (SELECT count(DISTINCT i) FROM unnest(ids) i) THEN
        RAISE EXCEPTION 'imgsearch: space is "%"', left(said, 200) USING HINT = 'Name 1 to 4 spaces, each once: space => ''siglip, dino''.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.elsewhere(i::text) FROM unnest(ids) i;  -- before anybody waits for the model of one
    RETURN ids;
END $$;
COMMENT ON FUNCTION imgsearch_internal.spaces_of(text) IS 'The numbers of spaces that are named with commas between them; raises that one is none, or cannot be searched yet.';

CREATE OR REPLACE FUNCTION imgsearch_internal.vectors_in(query text, said text) RETURNS halfvec[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(imgsearch.vec(query, btrim(u.s)) ORDER BY u.n) FROM unnest(string_to_array(said, ',')) WITH ORDINALITY u (s, n) WHERE u.n > 1
$$;
COMMENT ON FUNCTION imgsearch_internal.vectors_in(text, text) IS 'The vectors of a text in the second and further of several spaces.';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_spaces(p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question, many integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- What goes with several spaces, by name: a field that is added to the type breaks this until it has an answer here.
    IF r IS DISTINCT FROM ROW(
           r.per, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           r.space, CASE WHEN r.regions = 0 THEN r.regions END)::imgsearch.ranking
       OR p.max_distance IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: several spaces are fused by rank, and another order or a cut was asked for too' USING HINT = 'Leave it out, or search one space: filters, per, k, skip and after go with several.', ERRCODE = 'IM008';
    ELSIF coalesce(cardinality(q.vectors), 0) <> many - 1 THEN
        RAISE EXCEPTION 'imgsearch: % spaces are searched, and the question has a vector in %', many, 1 + coalesce(cardinality(q.vectors), 0)
            USING HINT = 'Ask by a text, or in Python or over HTTP, which ask each model: a vector belongs to one space.', ERRCODE = 'IM007';
    ELSIF p.after_image IS NOT NULL AND p.passed IS NULL THEN
        RAISE EXCEPTION 'imgsearch: this `after` is of no page of several spaces' USING HINT = 'Pass the `after` of the last row of the page before, as it is.', ERRCODE = 'IM008';
    ELSIF coalesce(p.passed, 0) + p.skip + p.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: row % of several spaces was asked for, they are read to 1000', coalesce(p.passed, 0) + p.skip + p.k USING HINT = 'Narrow the filters, or search one space.', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_spaces(imgsearch_internal.page_request, imgsearch.ranking, imgsearch_internal.question, integer) IS 'Raises what is wrong with a search of several spaces.';

CREATE OR REPLACE FUNCTION imgsearch_internal.answer_spaces(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids    CONSTANT integer[] := imgsearch_internal.spaces_of(r.space);
    check_ CONSTANT text := imgsearch_internal.question_check(query, f, p, r, q);
    deep   CONSTANT imgsearch_internal.page_request := imgsearch_internal.page_of(least(1000, greatest(100, 2 * (coalesce(p.passed, 0) + p.skip + p.k))));
    alone  imgsearch.ranking;
    one    imgsearch_internal.page;
    first  imgsearch_internal.page;
    ranks  integer[] := '{}';
    arms   integer[] := '{}';
BEGIN
    PERFORM imgsearch_internal.check_page(p), imgsearch_internal.check_ranking(r), imgsearch_internal.check_spaces(p, r, q, cardinality(ids)), imgsearch_internal.require_same_question(p, check_);
    alone.per := r.per;
    FOR n IN 1..cardinality(ids) LOOP
        alone.space := ids[n];
        one := (imgsearch_internal.answer(CASE n WHEN 1 THEN query ELSE q.vectors[n - 1] END, f, deep, alone, ROW(q.kind, NULL, q.key, NULL)::imgsearch_internal.question)).answer;
        IF n = 1 THEN
            first := one;
        ELSE
            first.tenants := first.tenants || one.tenants; first.images := first.images || one.images; first.products := first.products || one.products;
            first.distances := first.distances || array_fill(NULL::double precision, ARRAY[cardinality(one.images)]);
            first.more := first.more OR one.more; first.complete := first.complete AND one.complete; first.ranked := first.ranked + one.ranked;
        END IF;
        ranks := ranks || ARRAY(SELECT generate_series(1, cardinality(one.images)));
        arms := arms || array_fill(n, ARRAY[cardinality(one.images)]);
    END LOOP;
    RETURN imgsearch_internal.fused_spaces(first, ranks, arms, query, ids[1], p, check_);
END $$;
COMMENT ON FUNCTION imgsearch_internal.answer_spaces(halfvec, imgsearch.filters, imgsearch_internal.page_request, imgsearch.ranking, imgsearch_internal.question) IS 'One page of several spaces, their ranks fused; its distances are those of the first.';

CREATE OR REPLACE FUNCTION imgsearch_internal.fused_spaces(
    here imgsearch_internal.page, ranks integer[], arms integer[], query halfvec, space integer, p imgsearch_internal.page_request, check_ text
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    per_product CONSTANT boolean := here.products IS NOT NULL;
    from_       CONSTANT integer := coalesce(p.passed, 0) + p.skip;
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(x.tenant_id ORDER BY x.place), ''{}''), coalesce(array_agg(x.image_id ORDER BY x.place), ''{}''), array_agg(x.product_id ORDER BY x.place),
               coalesce(array_agg(coalesce(x.d, (SELECT e.embedding <=> $6 FROM imgsearch.embedding_%s e WHERE e.tenant_id = x.tenant_id AND e.image_id = x.image_id), 2) ORDER BY x.place), ''{}'')
        FROM (SELECT g.*, row_number() OVER (ORDER BY g.score DESC, g.d, g.image_id) AS place
              FROM (SELECT u.tenant_id, (array_agg(u.image_id ORDER BY u.arm))[1] AS image_id, max(u.product_id) AS product_id, min(u.d) AS d, sum(1.0 / (60 + u.rank)) AS score
                    FROM unnest($1, $2, $3, $4, $5, $7) u (tenant_id, image_id, product_id, d, rank, arm)
                    GROUP BY u.tenant_id, coalesce(u.product_id, u.image_id::text)) g) x
        WHERE x.place > $8 AND x.place <= $8 + $9', space)
    INTO here.tenants, here.images, here.products, here.distances USING here.tenants, here.images, CASE WHEN per_product THEN here.products ELSE array_fill(NULL::text, ARRAY[cardinality(here.images)]) END,
        here.distances, ranks, query, arms, from_, p.k;
    here.products := CASE WHEN per_product THEN coalesce(here.products, '{}') END;
    here.strategy := 'fused'; here.fits := NULL;
    here.space := nullif(space, imgsearch_internal.searched_space());
    RETURN imgsearch_internal.with_cursors(here, p, check_);
END $$;
COMMENT ON FUNCTION imgsearch_internal.fused_spaces IS 'A page of rows from several spaces by the sum of their reciprocal ranks.';
