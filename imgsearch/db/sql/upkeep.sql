-- name: patience
-- No step waits for a lock that somebody holds for ever; the session ends with the steps.
SELECT set_config('lock_timeout', '10s', false), set_config('statement_timeout', '10min', false)

-- name: failed
-- Steps failed, once more.
INSERT INTO imgsearch.upkeep_failure AS f (step, error) SELECT s, %(error)s FROM unnest(%(steps)s::text[]) s
ON CONFLICT (step) DO UPDATE SET times = f.times + 1, error = EXCLUDED.error, failed_at = EXCLUDED.failed_at

-- name: done
-- Steps that did what they had to do.
DELETE FROM imgsearch.upkeep_failure f WHERE f.step = ANY (%(steps)s)

-- name: failing
-- Steps that fail again and again.
SELECT step, times, since, error FROM imgsearch.upkeep_failure
WHERE times >= 3 AND failed_at > now() - interval '1 day' ORDER BY since
