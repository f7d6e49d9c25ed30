-- The answer to a question: find() finds what is nearest, the ranking orders and cuts it, rows are made of it.

CREATE OR REPLACE FUNCTION imgsearch_internal.answer(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question,
    OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.search_plan
) LANGUAGE plpgsql STABLE
-- The path that find() sets: a function called on two paths in turn is planned anew each time (20 µs for check_page).
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    check_   text := imgsearch_internal.question_check(query, f, p, r, q);
    words    CONSTANT text := imgsearch_internal.words_asked(f, r, q);
    farthest CONSTANT double precision := p.max_distance;
    shelf    imgsearch_internal.shelf;
    near     bigint[];
    page     record;
BEGIN
    IF r.space IS NOT NULL THEN
        page := imgsearch_internal.answer_elsewhere(query, f, p, r, q);
        IF page.elsewhere THEN
            answer := page.answer; plan := page.plan;
            RETURN;
        END IF;
    END IF;
    PERFORM imgsearch_internal.check_page(p);
    PERFORM imgsearch_internal.check_ranking(r);
    PERFORM imgsearch_internal.require_same_question(p, check_);
    p.per_product := coalesce(r.per, 'product') = 'product';
    IF r.regions > 0 THEN
        p.regions := imgsearch_internal.regions_weight(r, f);
    END IF;
    IF p.place LIKE 'p%' OR imgsearch_internal.has_merchandise(f.tenant) THEN
        shelf := imgsearch_internal.shelf_of(query, f, p, coalesce(q.words, r.words)); f := shelf.f; p := shelf.p;
    END IF;
    IF r.look_weight = 0 AND NOT imgsearch_internal.is_ordered(r) THEN
        page := imgsearch_internal.words_page(f, p, r, q);
        answer := imgsearch_internal.with_pins(imgsearch_internal.with_cursors(page.answer, p, check_, page.place), shelf, check_);
        RETURN;
    END IF;
    IF r.expand OR query IS NULL THEN  -- null: words alone
        near := imgsearch_internal.expanding_images(query, f, p);
        query := imgsearch_internal.expanded(query, near); q.kind := 'vector';  -- its distances say no match any more
    END IF;
    IF r.min_match IS NOT NULL OR r.cutoff IS NOT NULL THEN
        p := imgsearch_internal.within_cut(query, f, p, r, q);
    END IF;
    IF imgsearch_internal.is_arranged(r, p, words) THEN
        page := imgsearch_internal.arrange(query, f, p, r, words, farthest, check_);
        answer := page.answer;
    ELSE
        page := imgsearch_internal.find(query, f, p);
        answer := imgsearch_internal.with_cursors(page.answer, p, check_);
    END IF;
    answer := imgsearch_internal.with_matches(imgsearch_internal.with_pins(answer, shelf, check_), f, q);
    answer := imgsearch_internal.with_expanding(answer, near);
    IF p.regions IS NOT NULL THEN
        answer.parts := imgsearch_internal.parts_of(answer.images, query);
    END IF;
    plan := page.plan;
END $$;
COMMENT ON FUNCTION imgsearch_internal.answer IS 'One page of an answer as arrays, and how it was found; unfold() makes rows of it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.count_pictures(shop text, product text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT count(*) FROM imgsearch.image i WHERE i.tenant_id = shop AND i.product_id = product AND imgsearch_internal.bits_of(i) IS NOT NULL);
END $$;
COMMENT ON FUNCTION imgsearch_internal.count_pictures(text, text) IS 'How many pictures of a product can be found.';

-- pictures: how many of the product can be found. others: the next best pictures of the same product, whatever the filters are, at most 4 of its first 100.
CREATE OR REPLACE FUNCTION imgsearch_internal.unfold(answer imgsearch_internal.page, query halfvec, q imgsearch_internal.question)
RETURNS TABLE (tenant_id text, image_id bigint, product_id text, distance double precision, match double precision, pictures integer, others bigint[], after text)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    IF answer.space IS NOT NULL THEN
        RETURN QUERY SELECT * FROM imgsearch_internal.unfold_elsewhere(answer, query, q);
        RETURN;
    ELSIF answer.products IS NULL THEN
        RETURN QUERY SELECT h.tenant_id, h.image_id, i.product_id, h.distance, h.match, NULL::integer, NULL::bigint[], h.after
            FROM unnest(answer.tenants, answer.images, answer.distances, answer.cursors, answer.fits) WITH ORDINALITY AS h (tenant_id, image_id, distance, after, match, place)
            JOIN imgsearch.image i ON i.tenant_id = h.tenant_id AND i.image_id = h.image_id ORDER BY h.place;
        RETURN;
    END IF;
    RETURN QUERY SELECT h.tenant_id, h.image_id, h.product_id, h.distance, h.match,
               (CASE WHEN x.looked < 100 THEN x.many ELSE imgsearch_internal.count_pictures(h.tenant_id, h.product_id) END)::integer, x.others, h.after
        FROM unnest(answer.tenants, answer.images, answer.products, answer.distances, answer.cursors, answer.fits) WITH ORDINALITY AS h (tenant_id, image_id, product_id, distance, after, match, place),
             LATERAL (SELECT count(*) AS looked, count(o.d) AS many,
                             coalesce((array_agg(o.image_id ORDER BY o.d, o.image_id) FILTER (WHERE o.image_id <> h.image_id AND o.d IS NOT NULL))[1:4], '{}') AS others
                      FROM (SELECT i.image_id,
                                   -- A sub-select is looked up; a join may read all of a tenant's vectors. Found by words alone, pictures come in their order.
                                   CASE WHEN unfold.query IS NULL THEN i.position ELSE
                                   (SELECT v.embedding <=> unfold.query FROM imgsearch.vectors v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id) END AS d
                            FROM imgsearch.image i WHERE i.tenant_id = h.tenant_id AND i.product_id = h.product_id ORDER BY i.position LIMIT 100) o) x
        ORDER BY h.place;
END $$;
COMMENT ON FUNCTION imgsearch_internal.unfold(imgsearch_internal.page, halfvec, imgsearch_internal.question) IS 'The rows of a page, in its order.';

-- search() stands once and is created twice: the query is a vector, or words.
DO $do$
DECLARE
    spelling text[];
BEGIN
    FOREACH spelling SLICE 1 IN ARRAY ARRAY[
        ['halfvec', 'query', 'NULL', 'Best products (per => ''image'': images) for a vector that match the filters. SELECT * FROM imgsearch.search(imgsearch.vec_of(42), tenant => ''acme'', max_price => 50);'],
        ['text', 'CASE WHEN look_weight = 0 THEN NULL WHEN space IS NULL THEN imgsearch.vec(query) ELSE imgsearch.vec(query, space) END',
            'ROW(''text'', query, imgsearch_internal.canonical(query))', 'Best products (per => ''image'': images) for a text that match the filters. '
            || 'SELECT * FROM imgsearch.search(''red canvas shoe'', tenant => ''acme'', category => ''shoes'', max_price => 50, k => 10);']
    ] LOOP
        EXECUTE format($create$
CREATE OR REPLACE FUNCTION imgsearch.search(
    query %1$s, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL, max_price double precision DEFAULT NULL,
    in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL, k integer DEFAULT 10, max_distance double precision DEFAULT NULL,
    categories text[] DEFAULT NULL, product_ids text[] DEFAULT NULL, exclude_product_ids text[] DEFAULT NULL, exclude_image_ids bigint[] DEFAULT NULL,
    created_after timestamptz DEFAULT NULL, created_before timestamptz DEFAULT NULL, condition jsonb DEFAULT NULL,
    skip integer DEFAULT 0, after text DEFAULT NULL,
    per text DEFAULT NULL, words text DEFAULT NULL, word_weight double precision DEFAULT NULL, look_weight double precision DEFAULT NULL, expand boolean DEFAULT NULL,
    cutoff text DEFAULT NULL, min_match double precision DEFAULT NULL, sort text DEFAULT NULL, boost jsonb DEFAULT NULL, diversity double precision DEFAULT NULL,
    space text DEFAULT NULL, taken_after timestamptz DEFAULT NULL, taken_before timestamptz DEFAULT NULL, near double precision[] DEFAULT NULL, duplicates boolean DEFAULT NULL,
    regions double precision DEFAULT NULL
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, match double precision, pictures integer, others bigint[],
                 strategy text, complete boolean, matches bigint, more boolean, after_this text, box real[], label text)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
#variable_conflict use_variable
DECLARE
    f imgsearch.filters := imgsearch_internal.composed(ROW(tenant,
        CASE WHEN category IS NULL THEN categories
             ELSE ARRAY(SELECT unnest(categories)) || category END,
        min_price, max_price, in_stock, attributes,
        product_ids, exclude_product_ids, exclude_image_ids, created_after, created_before,
        condition, taken_after, taken_before, near, duplicates)::imgsearch.filters);
    p imgsearch_internal.page_request := imgsearch_internal.page_of(k, skip, after, max_distance);
    r imgsearch.ranking := ROW(per, words, word_weight, look_weight, expand, cutoff, min_match, sort, boost, diversity, space, regions);
    q imgsearch_internal.question := %3$s;
    page imgsearch_internal.page;
    asked @extschema:vector@.halfvec := %2$s;
BEGIN
    page := (imgsearch_internal.answer(asked, f, p, r, q)).answer;
    RETURN QUERY SELECT u.image_id, u.product_id, u.distance, u.match, u.pictures, u.others, page.strategy, page.complete, page.matches, page.more, u.after,
           CASE WHEN page.parts IS NOT NULL THEN imgsearch_internal.box_of(page.parts[u.place]) END, page.parts[u.place] ->> 'label'
    FROM imgsearch_internal.unfold(page, asked, q) WITH ORDINALITY
        AS u (tenant_id, image_id, product_id, distance, match, pictures, others, after, place);
END $$;
COMMENT ON FUNCTION imgsearch.search(%1$s, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], text[], text[], bigint[],
    timestamptz, timestamptz, jsonb, integer, text, text, text, double precision, double precision, boolean, text, double precision, text, jsonb, double precision, text, timestamptz, timestamptz, double precision[], boolean, double precision) IS %4$L;
        $create$, spelling[1], spelling[2], spelling[3], spelling[4]);
    END LOOP;
END $do$;
