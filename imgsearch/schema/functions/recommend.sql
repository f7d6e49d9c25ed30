-- Recommendations: from what somebody likes and does not like, by their middle (centroid) or by the best of them (best).
--
-- best: each image's score is its best weighted cosine to what is liked, less the best to what is not. Each liked one is
-- searched for by itself, inside the filters, and a product stands by its pictures nearest to each of them. Without
-- anything disliked that pool holds the true first rows, for a row among the first n by its best is among the first n of that one.

CREATE OR REPLACE FUNCTION imgsearch_internal.check_examples(likes halfvec[], like_weights double precision[], unlikes halfvec[], unlike_weights double precision[]) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF coalesce(cardinality(likes), 0) = 0 THEN
        RAISE EXCEPTION 'imgsearch: there is nothing to recommend by' USING HINT = 'Name something that is liked.', ERRCODE = 'IM003';
    ELSIF cardinality(likes) + coalesce(cardinality(unlikes), 0) > 64 OR cardinality(likes) <> cardinality(like_weights) OR cardinality(unlikes) <> cardinality(unlike_weights) THEN
        RAISE EXCEPTION 'imgsearch: there are % vectors and % weights', cardinality(likes) + coalesce(cardinality(unlikes), 0), coalesce(cardinality(like_weights), 0) + coalesce(cardinality(unlike_weights), 0)
            USING HINT = 'Give each vector one weight, at most 64 of them.', ERRCODE = 'IM003';
    ELSIF array_position(likes, NULL) IS NOT NULL OR array_position(unlikes, NULL) IS NOT NULL OR EXISTS (
        SELECT 1 FROM unnest(like_weights || unlike_weights) w (w) WHERE (w.w BETWEEN 1e-6 AND 1e6) IS NOT TRUE) THEN
        RAISE EXCEPTION 'imgsearch: a vector is null, or a weight is null, not above 0, not finite or beyond a million' USING HINT = 'Leave that example out.', ERRCODE = 'IM003';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_examples(halfvec[], double precision[], halfvec[], double precision[]) IS 'Raises what is wrong with what is liked and disliked.';

CREATE OR REPLACE FUNCTION imgsearch_internal.examples_of(
    likes halfvec[], unlikes halfvec[], like_weights double precision[], unlike_weights double precision[], strategy text
) RETURNS imgsearch_internal.examples LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    e imgsearch_internal.examples := ROW(likes, coalesce(like_weights, array_fill(1::double precision, ARRAY[coalesce(cardinality(likes), 0)])),
                                         unlikes, coalesce(unlike_weights, array_fill(1::double precision, ARRAY[coalesce(cardinality(unlikes), 0)])));
BEGIN
    PERFORM imgsearch_internal.check_examples(e.likes, e.like_weights, e.unlikes, e.unlike_weights);
    IF (strategy IN ('centroid', 'best')) IS NOT TRUE THEN
        RAISE EXCEPTION 'imgsearch: strategy is "%"', left(strategy, 100) USING HINT = 'centroid: near to the middle of what is liked; best: near to any of it.', ERRCODE = 'IM008';
    END IF;
    RETURN e;
END $$;
COMMENT ON FUNCTION imgsearch_internal.examples_of(halfvec[], halfvec[], double precision[], double precision[], text) IS 'What was named to recommend by, where it makes sense; a weight that was not given is 1.';

CREATE OR REPLACE FUNCTION imgsearch_internal.middle_of(e imgsearch_internal.examples) RETURNS halfvec LANGUAGE sql IMMUTABLE AS $$
    SELECT imgsearch.combine((e).likes || (e).unlikes, (e).like_weights || ARRAY(SELECT -w.w FROM unnest((e).unlike_weights) WITH ORDINALITY w (w, place) ORDER BY w.place))
$$;
COMMENT ON FUNCTION imgsearch_internal.middle_of(imgsearch_internal.examples) IS 'One vector for all of what is liked, turned away from what is not.';

CREATE OR REPLACE FUNCTION imgsearch_internal.best_pool(p imgsearch_internal.page_request, r imgsearch.ranking, unlikes halfvec[]) RETURNS imgsearch_internal.page_request LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    pool imgsearch_internal.page_request := imgsearch_internal.page_of(least(1000, greatest(100, CASE WHEN unlikes <> '{}' THEN 4 ELSE 1 END * (p.k + p.skip + coalesce(p.passed, 0)))));
BEGIN
    pool.per_product := coalesce(r.per, 'product') = 'product'; pool.space := p.space;
    RETURN pool;
END $$;
COMMENT ON FUNCTION imgsearch_internal.best_pool(imgsearch_internal.page_request, imgsearch.ranking, halfvec[]) IS 'How many are looked at for each of what is liked.';

CREATE OR REPLACE FUNCTION imgsearch_internal.best_answer(
    likes halfvec[], like_weights double precision[], unlikes halfvec[], unlike_weights double precision[],
    f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    check_ text := left(md5(concat_ws(E'\x01', likes::text, like_weights::text, unlikes::text, unlike_weights::text, f::text, r::text,
        coalesce(p.max_distance::text, ''), imgsearch_internal.asking_tenant(f))), 8);
    pool   imgsearch_internal.page_request;
    one    imgsearch_internal.page;
    answer imgsearch_internal.page;
BEGIN
    PERFORM imgsearch_internal.check_page(p);
    PERFORM imgsearch_internal.check_ranking(r);
    IF r.regions > 0 THEN
        RAISE EXCEPTION 'imgsearch: the best of several is ranked by whole pictures, and regions were asked for' USING HINT = 'Recommend by their middle: strategy => ''centroid''.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.check_examples(likes, like_weights, unlikes, unlike_weights);
    PERFORM imgsearch_internal.require_same_question(p, check_);
    IF p.k + p.skip + coalesce(p.passed, 0) > 1000 THEN
        RAISE EXCEPTION 'imgsearch: the best of several reaches to the first 1000 rows' USING HINT = 'Recommend by their middle: strategy => ''centroid''.', ERRCODE = 'IM008';
    END IF;
    pool := imgsearch_internal.best_pool(p, r, unlikes);
    answer.tenants := '{}'; answer.images := '{}'; answer.complete := true;
    FOR i IN 1..cardinality(likes) LOOP
        one := (imgsearch_internal.find(likes[i], f, pool)).answer;
        answer.tenants := answer.tenants || one.tenants; answer.images := answer.images || one.images;
        answer.strategy := one.strategy; answer.complete := answer.complete AND one.complete;
        answer.more := coalesce(answer.more, false) OR one.more; answer.matches := greatest(answer.matches, one.matches);
        answer.pictures := greatest(answer.pictures, one.pictures); answer.ranked := coalesce(answer.ranked, 0) + one.ranked;
    END LOOP;
    answer := imgsearch_internal.best_of(answer, likes, like_weights, unlikes, unlike_weights, pool.per_product, p);
    RETURN imgsearch_internal.with_cursors(answer, p, check_);
END $$;
COMMENT ON FUNCTION imgsearch_internal.best_answer IS 'One page of what is most like one of the liked and least like any of the disliked; its distances are 1 - score.';

CREATE OR REPLACE FUNCTION imgsearch_internal.best_of(
    answer imgsearch_internal.page, likes halfvec[], like_weights double precision[], unlikes halfvec[], unlike_weights double precision[],
    per_product boolean, p imgsearch_internal.page_request
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    WITH pooled AS (
        SELECT DISTINCT u.tenant_id, u.image_id FROM unnest(answer.tenants, answer.images) u (tenant_id, image_id)
    ), scored AS (
        SELECT i.tenant_id, i.image_id, i.product_id,
               1 - (SELECT max(w.w * (1 - (v.embedding <=> w.x))) FROM unnest(likes, like_weights) w (x, w))
                 + coalesce((SELECT max(w.w * (1 - (v.embedding <=> w.x))) FROM unnest(unlikes, unlike_weights) w (x, w)), 0) AS d
        FROM pooled u JOIN imgsearch.image i ON i.tenant_id = u.tenant_id AND i.image_id = u.image_id
        JOIN imgsearch.vectors v ON v.tenant_id = u.tenant_id AND v.image_id = u.image_id
    ), one_each AS (
        SELECT DISTINCT ON (s.tenant_id, CASE WHEN per_product THEN s.product_id END, CASE WHEN NOT per_product THEN s.image_id END) s.*
        FROM scored s ORDER BY s.tenant_id, CASE WHEN per_product THEN s.product_id END, CASE WHEN NOT per_product THEN s.image_id END, s.d, s.image_id
    )
    SELECT coalesce(array_agg(x.tenant_id ORDER BY x.d, x.image_id), '{}'), coalesce(array_agg(x.image_id ORDER BY x.d, x.image_id), '{}'),
           coalesce(array_agg(x.d ORDER BY x.d, x.image_id), '{}'), array_agg(x.product_id ORDER BY x.d, x.image_id)
    INTO answer.tenants, answer.images, answer.distances, answer.products
    FROM (SELECT o.* FROM one_each o
          WHERE ((p).after_image IS NULL OR (o.d, o.image_id) > ((p).after_distance, (p).after_image)) AND ((p).max_distance IS NULL OR o.d <= (p).max_distance)
          ORDER BY o.d, o.image_id LIMIT (p).k OFFSET (p).skip) x;
    answer.products := CASE WHEN per_product THEN coalesce(answer.products, '{}') END;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.best_of IS 'The pooled images by score, one of each product, a page of them.';

CREATE OR REPLACE FUNCTION imgsearch.recommend(
    likes halfvec[], unlikes halfvec[] DEFAULT '{}', like_weights double precision[] DEFAULT NULL, unlike_weights double precision[] DEFAULT NULL,
    strategy text DEFAULT 'centroid', filters imgsearch.filters DEFAULT NULL, ranking imgsearch.ranking DEFAULT NULL,
    k integer DEFAULT 10, skip integer DEFAULT 0, after text DEFAULT NULL, max_distance double precision DEFAULT NULL
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, match double precision, pictures integer, others bigint[],
                 found_by text, complete boolean, matches bigint, more boolean, after_this text)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
#variable_conflict use_variable
DECLARE
    p    imgsearch_internal.page_request := imgsearch_internal.page_of(k, skip, after, max_distance);
    e    imgsearch_internal.examples := imgsearch_internal.examples_of(likes, unlikes, like_weights, unlike_weights, strategy);
    page imgsearch_internal.page;
BEGIN
    IF strategy = 'best' THEN
        page := imgsearch_internal.best_answer(e.likes, e.like_weights, e.unlikes, e.unlike_weights, filters, p, ranking);
    ELSE
        page := (imgsearch_internal.answer(imgsearch_internal.middle_of(e), filters, p, ranking, NULL)).answer;
    END IF;
    RETURN QUERY SELECT u.image_id, u.product_id, u.distance, u.match, u.pictures, u.others, page.strategy, page.complete, page.matches, page.more, u.after
    FROM imgsearch_internal.unfold(page, likes[1], NULL) u;
END $$;
COMMENT ON FUNCTION imgsearch.recommend IS
'What somebody may like: SELECT * FROM imgsearch.recommend(ARRAY[imgsearch.vec_of_product(''sku-1'', ''acme''), imgsearch.vec(''red'')], strategy => ''best'', filters => imgsearch.filters_of(''{"tenant": "acme", "exclude_product_ids": ["sku-1"]}''));';
