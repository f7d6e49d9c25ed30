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
SELECT imgsearch_internal.exact_distances(%(vector)s, imgsearch.filters_of(%(filters)s::jsonb), %(k)s, %(per_product)s)

-- name: use
-- Search with these parameters in this transaction.
SELECT set_config('imgsearch.search', %(parameters)s, true)

-- name: ask
-- What the search answers, and by which way.
SELECT (s.answer).distances, (s.answer).strategy
FROM imgsearch_internal.find(%(vector)s, imgsearch.filters_of(%(filters)s::jsonb), 
    jsonb_populate_record(imgsearch_internal.page_of(%(k)s), jsonb_build_object('per_product', %(per_product)s::boolean))) s

-- name: parameters
-- The parameters in use (null: the defaults), and why they are stale, if they are.
SELECT t.ef, t.pool, t.target, t.tuned_at, t.tuned_by, t.walks, t.stale FROM imgsearch.tuning t

-- name: keep
-- Store what was chosen, with what the pictures looked like, where the space that was measured is still the searched one.
UPDATE imgsearch.space s SET parameters = s.parameters || jsonb_build_object('search', %(search)s::jsonb
    || jsonb_build_object('at', now(), 'fingerprint', imgsearch_internal.fingerprint()))
WHERE s.state = 'active' AND s.space_id = %(space_id)s

-- name: measured
-- Note today's recall, so that metrics tell it. Below the target (misses) searches take the safe way from now on, and the
-- space is to be tuned.
UPDATE imgsearch.space s SET parameters = s.parameters
    || jsonb_build_object('measured', jsonb_build_object('recall', %(recall)s::float8, 'k', %(k)s::integer, 'at', now()))
    || CASE WHEN %(misses)s THEN jsonb_build_object('search', coalesce(s.parameters -> 'search', jsonb_build_object()) - ARRAY['at', 'by', 'fingerprint']
           || jsonb_build_object('reached', false, 'recall', %(recall)s::float8, 'target', %(target)s::float8)) ELSE jsonb_build_object() END
WHERE s.state = 'active'

-- name: due
-- The searched space where it should be tuned now: never was, was measured to miss, or its pictures changed; its graph stands and holds all but
-- a few, and nobody waits for a worker. Parameters written by hand are left alone.
SELECT t.space_id FROM imgsearch.tuning t JOIN imgsearch.space s ON s.space_id = t.space_id
WHERE (s.parameters -> 'search' IS NULL OR t.stale IS NOT NULL OR NOT t.reached AND t.tuned_at IS NULL) AND (t.now ->> 'pictures')::bigint >= %(fewest)s
  AND imgsearch_internal.tail_rows(t.space_id) < 0.01 * (t.now ->> 'pictures')::bigint
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_index x WHERE x.indexrelid = to_regclass('imgsearch.embedding_' || t.space_id || '_hnsw') AND x.indisvalid)
  AND NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.space_id = t.space_id AND j.state <> 'failed')

-- name: begin
-- Whether nobody else tunes this space now; held until the transaction ends, so that it passes through any pooler.
SELECT pg_try_advisory_xact_lock(hashtext('imgsearch.tune'), %(space_id)s)
