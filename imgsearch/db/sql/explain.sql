-- name: explain
-- How a search by filters is answered: in words, and as figures.
SELECT subject, figures, explanation
FROM imgsearch.explain_search(imgsearch_internal.as_vector(%(vector)s), imgsearch.filters_of(%(filters)s::jsonb), %(k)s, %(max_distance)s, %(skip)s, %(after)s, imgsearch.ranking_of(%(ranking)s::jsonb), %(question)s::jsonb)

-- name: best
-- How a recommendation by the best of several examples is made.
SELECT subject, figures, explanation
FROM imgsearch.explain_recommend(imgsearch_internal.as_vectors(%(likes)s), imgsearch_internal.as_vectors(%(unlikes)s), %(like_weights)s::double precision[], %(unlike_weights)s::double precision[],
    'best', imgsearch.filters_of(%(filters)s::jsonb), imgsearch.ranking_of(%(ranking)s::jsonb), %(k)s, %(skip)s, %(after)s, %(max_distance)s)

-- name: pages
-- The plan of the same search, for the pages it touches.
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
SELECT imgsearch_internal.answer(%(vector)s, imgsearch.filters_of(%(filters)s::jsonb),
    imgsearch_internal.page_of(%(k)s, %(skip)s, %(after)s, %(max_distance)s), imgsearch.ranking_of(%(ranking)s::jsonb), imgsearch_internal.question_of(%(question)s::jsonb))

-- name: slows
-- What makes any search slower than it need be.
SELECT subject, figures, explanation FROM imgsearch_internal.explain_slowness()
