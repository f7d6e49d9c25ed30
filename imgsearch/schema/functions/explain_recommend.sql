-- How a recommendation was made: by the middle of what is liked as a search is, by the best of them one search for each.

CREATE OR REPLACE FUNCTION imgsearch_internal.explain_best(
    likes halfvec[], like_weights double precision[], unlikes halfvec[], unlike_weights double precision[],
    f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking
) RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    began timestamptz := clock_timestamp();
    page  CONSTANT imgsearch_internal.page := imgsearch_internal.best_answer(likes, like_weights, unlikes, unlike_weights, f, p, r);
    ms    double precision := 1000 * extract(epoch FROM clock_timestamp() - began);
    pool  CONSTANT imgsearch_internal.page_request := imgsearch_internal.best_pool(p, r, unlikes);
    one   record;
BEGIN
    RETURN QUERY VALUES ('found', jsonb_build_object('rows', cardinality(page.images), 'liked', cardinality(likes), 'disliked', cardinality(unlikes), 'pool', pool.k, 'complete', page.complete, 'ms', ms),
        format('%s rows in %s ms: the nearest %s of each of %s liked, ranked by their best weighted cosine to any of those%s.', cardinality(page.images), round(ms::numeric, 1), pool.k, cardinality(likes),
               CASE WHEN unlikes <> '{}' THEN format(', less the best to any of %s disliked', cardinality(unlikes)) ELSE '' END));
    FOR i IN 1..cardinality(likes) LOOP
        began := clock_timestamp();
        one := imgsearch_internal.find(likes[i], f, pool);
        ms := 1000 * extract(epoch FROM clock_timestamp() - began);
        RETURN QUERY SELECT e.subject, e.figures || jsonb_build_object('like', i, 'weight', like_weights[i]), format('Liked %s (weight %s): %s', i, like_weights[i], e.explanation)
            FROM imgsearch_internal.explain_way(one.answer, one.plan, ms, ms) e WHERE e.subject IN ('found', 'way', 'share', 'reason');
    END LOOP;
    RETURN QUERY SELECT * FROM imgsearch_internal.explain_slowness();
END $$;
COMMENT ON FUNCTION imgsearch_internal.explain_best IS 'How a recommendation by the best of several is made.';

CREATE OR REPLACE FUNCTION imgsearch.explain_recommend(
    likes halfvec[], unlikes halfvec[] DEFAULT '{}', like_weights double precision[] DEFAULT NULL, unlike_weights double precision[] DEFAULT NULL,
    strategy text DEFAULT 'centroid', filters imgsearch.filters DEFAULT NULL, ranking imgsearch.ranking DEFAULT NULL,
    k integer DEFAULT 10, skip integer DEFAULT 0, after text DEFAULT NULL, max_distance double precision DEFAULT NULL
) RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE plpgsql AS $$
DECLARE
    e imgsearch_internal.examples := imgsearch_internal.examples_of(likes, unlikes, like_weights, unlike_weights, strategy);
BEGIN
    IF strategy = 'best' THEN
        RETURN QUERY SELECT * FROM imgsearch_internal.explain_best(e.likes, e.like_weights, e.unlikes, e.unlike_weights, filters, imgsearch_internal.page_of(k, skip, after, max_distance), ranking);
        RETURN;
    END IF;
    RETURN QUERY VALUES ('examples', jsonb_build_object('liked', cardinality(e.likes), 'disliked', cardinality(e.unlikes)),
        format('One search for the middle of %s liked%s.', cardinality(e.likes), CASE WHEN e.unlikes <> '{}' THEN format(', turned away from %s disliked', cardinality(e.unlikes)) ELSE '' END));
    RETURN QUERY SELECT * FROM imgsearch.explain_search(imgsearch_internal.middle_of(e), filters, k, max_distance, skip, after, ranking);
END $$;
COMMENT ON FUNCTION imgsearch.explain_recommend IS
'How imgsearch.recommend() with the same arguments is answered, by running it: SELECT explanation FROM imgsearch.explain_recommend(ARRAY[imgsearch.vec_of(42)], strategy => ''best'');';
