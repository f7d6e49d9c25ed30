-- name: findings
-- Every known problem of this database.
SELECT check_name, severity, detail, impact, fix FROM imgsearch.doctor ORDER BY severity DESC, check_name, detail

-- name: loaded
-- Loads pgvector's library, so that its settings can be seen.
SELECT '[1]'::vector

-- name: bounded
-- Nothing in this transaction may take longer.
SELECT set_config('statement_timeout', %(milliseconds)s, true)
