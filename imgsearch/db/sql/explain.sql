-- name: explain
-- How a search by filters is answered: in words, and as figures.
SELECT subject, figures, explanation
FROM imgsearch.explain_search(imgsearch_internal.as_vector(%(vector)s), imgsearch.filters_of(%(filters)s::jsonb), %(k)s, %(max_distance)s, %(skip)s, %(after)s, imgsearch.ranking_of(%(ranking)s::jsonb), %(question)s::jsonb)

-- name: pages
-- The plan of the same search, for the pages it touches.
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
SELECT imgsearch_internal.answer(%(vector)s, imgsearch.filters_of(%(filters)s::jsonb),
    imgsearch_internal.page_of(%(k)s, %(skip)s, %(after)s, %(max_distance)s), imgsearch.ranking_of(%(ranking)s::jsonb), imgsearch_internal.question_of(%(question)s::jsonb))

-- name: slows
-- What makes any search slower than it need be.
SELECT subject, figures, explanation FROM imgsearch_internal.explain_slowness()
