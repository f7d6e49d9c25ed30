-- name: sample
-- Random searchable pictures with their vectors, and what they could be filtered by.
SELECT i.tenant_id, i.image_id, i.category, i.price, i.in_stock, i.attributes, v.embedding::text AS vector
FROM (SELECT tenant_id, image_id FROM imgsearch.image_sample UNION ALL
      (SELECT tenant_id, image_id FROM imgsearch.image WHERE NOT EXISTS (SELECT 1 FROM imgsearch.image_sample) LIMIT 512)) s
JOIN imgsearch.image i ON i.tenant_id = s.tenant_id AND i.image_id = s.image_id
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
ORDER BY random()

-- name: texts
-- Vectors of texts people asked.
SELECT q.embedding::text AS vector
FROM imgsearch.query_vector q JOIN imgsearch.space s ON s.space_id = q.space_id AND s.state = 'active'
WHERE q.kind = 'text' AND q.embedding IS NOT NULL ORDER BY random() LIMIT 200

-- name: gentle
-- What measuring may cost a live database: no writing, one core, no statement longer than the time that is left.
SELECT set_config('transaction_read_only', 'on', true), set_config('max_parallel_workers_per_gather', '0', true),
       set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('statement_timeout', %(milliseconds)s, true)

-- name: truth
-- The distances of the k nearest that match, by comparing every one of them.
SELECT imgsearch_internal.exact_distances(%(vector)s::halfvec, imgsearch.filters_of(%(filters)s::jsonb), %(k)s)

-- name: use
-- Search with these parameters for the rest of this transaction.
SELECT set_config('imgsearch.search', %(parameters)s, true)

-- name: ask
-- What the search answers, and by which way.
SELECT (s.answer).distances, (s.answer).strategy
FROM imgsearch_internal.find(%(vector)s::halfvec, imgsearch.filters_of(%(filters)s::jsonb), imgsearch_internal.page_of(%(k)s)) s

-- name: parameters
-- The parameters in use (null: the defaults), and why they are stale, if they are.
SELECT t.ef, t.pool, t.target, t.tuned_at, t.stale FROM imgsearch.tuning t

-- name: keep
-- Store what was chosen, with what the pictures looked like.
UPDATE imgsearch.space s SET parameters = s.parameters || jsonb_build_object('search', %(search)s::jsonb
    || jsonb_build_object('at', now(), 'fingerprint', imgsearch_internal.fingerprint()))
WHERE s.state = 'active'
