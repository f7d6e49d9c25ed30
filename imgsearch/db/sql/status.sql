-- name: status
-- The whole of imgsearch.status.
SELECT images, ready, pending, leased, failed, oldest_waiting, queries_waiting, workers, worker_last_seen, space_id, model, dimension,
       index_health, index_size, with_regions, regions_wait
FROM imgsearch.status

-- name: workers
-- Workers seen within a minute.
SELECT name, queue, device, host, pid, extract(epoch FROM now() - seen_at)::float8 AS silent
FROM imgsearch.worker WHERE seen_at > now() - interval '1 minute' ORDER BY name

-- name: failures
-- Why pictures failed, and how often.
SELECT error_code, count(*) AS count, min(error) AS example
FROM imgsearch.failures GROUP BY error_code ORDER BY count DESC, error_code

-- name: latest_failures
-- Which pictures failed, the latest first.
SELECT tenant_id, image_id, product_id, uri, error_code, error, attempts, failed_at, space_id, space FROM imgsearch.failures
WHERE (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s) AND (%(error_code)s::text IS NULL OR error_code = %(error_code)s)
ORDER BY failed_at DESC, image_id LIMIT %(limit)s

-- name: requeue
-- Another chance.
SELECT imgsearch.requeue(%(tenant)s, %(error_code)s, %(image_id)s)

-- name: refetch
-- Fetch addresses again.
SELECT imgsearch.refetch(%(tenant)s, %(product)s, %(image_id)s, %(error_code)s)

-- name: progress
-- How many of these pictures still wait for the searched space, and how many failed.
SELECT count(*) FILTER (WHERE state IN ('pending', 'leased')) AS waiting,
       count(*) FILTER (WHERE state = 'failed') AS failed
FROM imgsearch.jobs WHERE image_id = ANY(%(images)s)

-- name: failed
-- Why some of these pictures failed.
SELECT image_id, product_id, error_code, error FROM imgsearch.failures WHERE image_id = ANY(%(images)s)

-- name: recall
-- What part of the true answers the worst kind of filter found, when it was last measured: by `imgsearch index recall --keep`
-- or by `imgsearch index tune`, whichever was later.
SELECT s.name AS space, (m.last ->> 'recall')::float8 AS recall, (s.parameters -> 'search' ->> 'target')::float8 AS recall_target,
       extract(epoch FROM now() - (m.last ->> 'at')::timestamptz)::float8 AS recall_age_seconds
FROM imgsearch.space s, LATERAL (
    SELECT x.last FROM (VALUES (s.parameters -> 'measured'), (s.parameters -> 'search')) x (last)
    WHERE x.last ->> 'recall' IS NOT NULL ORDER BY (x.last ->> 'at')::timestamptz DESC LIMIT 1) m
ORDER BY s.space_id

-- name: database_size
-- Bytes of this database's files.
SELECT pg_database_size(current_database())
