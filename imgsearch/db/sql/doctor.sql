-- name: findings
-- What one group of checks finds.
SELECT check_name, severity, detail, impact, fix FROM {view}

-- name: loaded
-- Loads pgvector's library, so that its settings can be seen.
SELECT imgsearch_internal.as_vector('[1]')

-- name: bounded
-- Nothing in this transaction may take longer.
SELECT set_config('statement_timeout', %(milliseconds)s, true)

-- name: written
-- How far a primary has written.
SELECT pg_current_wal_lsn()::text

-- name: received
-- How far a replica has what it was sent, and whether somebody sends.
SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text AS position, EXISTS (SELECT 1 FROM pg_stat_wal_receiver) AS followed

-- name: replayed
-- Whether a replica shows all that was written up to a position, how many bytes are left, and how old its newest commit is.
SELECT pg_last_wal_replay_lsn() >= %(position)s::pg_lsn AS there, pg_size_pretty(pg_wal_lsn_diff(%(position)s::pg_lsn, pg_last_wal_replay_lsn())) AS left,
       date_trunc('second', clock_timestamp() - pg_last_xact_replay_timestamp())::text AS age, pg_is_wal_replay_paused() AS paused
