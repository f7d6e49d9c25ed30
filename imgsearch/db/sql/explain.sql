-- name: explain
-- How a search by named filters is answered, in words.
SELECT explanation FROM imgsearch.explain_search(%(vector)s::halfvec, tenant => %(tenant)s, categories => %(categories)s::text[],
    min_price => %(min_price)s, max_price => %(max_price)s, in_stock => %(in_stock)s, attributes => %(attributes)s::jsonb,
    k => %(k)s, max_distance => %(max_distance)s, skip => %(skip)s, after_distance => %(after_distance)s, after_image => %(after_image)s)

-- name: pages
-- The plan of the same search, for the pages it touches.
EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
SELECT imgsearch.find(%(vector)s::halfvec, tenant => %(tenant)s, categories => %(categories)s::text[],
    min_price => %(min_price)s, max_price => %(max_price)s, in_stock => %(in_stock)s, attributes => %(attributes)s::jsonb,
    k => %(k)s, max_distance => %(max_distance)s, skip => %(skip)s, after_distance => %(after_distance)s, after_image => %(after_image)s)

-- name: slows
-- What makes any search slower than it need be.
SELECT detail, impact, fix FROM imgsearch.doctor_settings WHERE check_name IN ('iterative scan off', 'generic plans', 'planner switched off')
UNION ALL
SELECT detail, impact, fix FROM imgsearch.doctor_indexes WHERE check_name IN ('invalid index', 'no HNSW', 'HNSW larger than memory')
UNION ALL
SELECT detail, impact, fix FROM imgsearch.doctor_tables WHERE check_name IN ('no statistics', 'vacuum overdue', 'TOASTed vectors')
