-- name: alone
-- One of these at a time; held until the transaction ends, so that it passes through any pooler.
SELECT pg_try_advisory_xact_lock(hashtext('imgsearch.upkeep'))

-- name: keep
-- Before a lock is held for a long time: nobody ends this transaction because it rests, or is old (PostgreSQL 17).
SELECT set_config(s.name, s.value, true) FROM (VALUES ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
    ('transaction_read_only', 'on')) s (name, value) WHERE current_setting(s.name, true) IS NOT NULL

-- name: holder
-- Who holds it, in words.
SELECT 'process ' || a.pid || ' (' || a.usename || coalesce(' from ' || a.client_addr, '') || '), connected since '
       || to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS') || ', now ' || coalesce(a.state, 'in a state unknown') AS who
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = hashtext('imgsearch.upkeep')::bigint

-- name: unhurried
-- What takes long by its nature is not bounded as a shop's requests are; the session ends with it.
SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)

-- name: memory
-- How much memory this session may build an index in; the session ends with the build.
SELECT set_config('maintenance_work_mem', %(memory)s, false)

-- name: state
-- Whether the searched space has its HNSW: valid, invalid or none.
SELECT coalesce((SELECT CASE WHEN x.indisvalid THEN 'valid' ELSE 'invalid' END
                 FROM pg_index x WHERE x.indexrelid = to_regclass('imgsearch.embedding_' || %(space_id)s || '_hnsw')), 'none')

-- name: indexes
-- The indexes a space is searched with, and how each is: valid, invalid or none. Those of pictures first: they are quick.
-- Graphs of single tenants last: their walks can do without.
SELECT o.name, o.relation, o.how, CASE WHEN x.indexrelid IS NULL THEN 'none' WHEN x.indisvalid THEN 'valid' ELSE 'invalid' END AS state
FROM (SELECT * FROM imgsearch_internal.indexes_of(%(space_id)s) UNION ALL SELECT * FROM imgsearch_internal.tenant_graphs_of(%(space_id)s)) o
LEFT JOIN pg_index x ON x.indexrelid = to_regclass('imgsearch.' || quote_ident(o.name))
ORDER BY o.relation <> 'image', length(o.name), o.name

-- name: graphs
-- Every HNSW of a space's pictures that is there: that of all first, then those of single tenants.
SELECT c.relname AS name
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE x.indrelid = to_regclass('imgsearch.embedding_' || %(space_id)s) AND a.amname = 'hnsw' AND c.relname ~ '^embedding_\d+_hnsw(_[0-9a-f]+)?$'
ORDER BY length(c.relname), c.relname

-- name: one_core
-- Build with this process alone; the session ends with the build.
SELECT set_config('max_parallel_maintenance_workers', '0', false)

-- name: create_one
-- One of them, while others write.
CREATE INDEX CONCURRENTLY {index} ON {relation} {how}

-- name: rebuild
-- A new index beside the old one, which answers until the new one is ready.
REINDEX INDEX CONCURRENTLY {index}

-- name: drop
-- Take an index away without stopping anybody.
DROP INDEX CONCURRENTLY IF EXISTS {index}

-- name: invalid
-- Indexes whose build was interrupted and is not going on; left_over: what a rebuild left beside the real one.
SELECT c.relname AS index, c.relname ~ '_cc(new|old)\d*$' AS left_over
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
WHERE c.relnamespace = 'imgsearch'::regnamespace AND NOT x.indisvalid
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.relid = x.indrelid)
ORDER BY left_over DESC, c.relname

-- name: building
-- How far a build is: its phase, and whichever of tuples and blocks it counts.
SELECT p.phase, greatest(p.tuples_done, p.blocks_done) AS done,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_total WHEN p.blocks_total > 0 THEN p.blocks_total ELSE greatest(c.reltuples, 0)::bigint END AS total
FROM pg_stat_progress_create_index p JOIN pg_class c ON c.oid = p.relid
WHERE p.datname = current_database() AND (p.pid = %(pid)s OR %(pid)s::integer IS NULL)

-- name: vacuum
-- Remove dead rows, mark pages all-visible, analyse.
VACUUM (ANALYZE) {table}

-- name: vacuuming
-- How far a vacuum is.
SELECT p.phase, p.heap_blks_scanned AS done, p.heap_blks_total AS total FROM pg_stat_progress_vacuum p
WHERE p.datname = current_database() AND (p.pid = %(pid)s OR %(pid)s::integer IS NULL)

-- name: relations
-- What a search reads, hottest first.
SELECT c.oid::regclass::text AS name, pg_relation_size(c.oid) AS size
FROM pg_class c LEFT JOIN pg_index x ON x.indexrelid = c.oid
WHERE c.oid IN (to_regclass('imgsearch.embedding_' || %(space_id)s), to_regclass('imgsearch.region_' || %(space_id)s)) OR c.oid = 'imgsearch.image'::regclass
   OR x.indisvalid AND x.indrelid IN (to_regclass('imgsearch.embedding_' || %(space_id)s), to_regclass('imgsearch.region_' || %(space_id)s), 'imgsearch.image'::regclass)
ORDER BY c.relkind = 'r', c.relname

-- name: has_prewarm
-- Whether the extension pg_prewarm is installed.
SELECT count(*) > 0 FROM pg_extension WHERE extname = 'pg_prewarm'

-- name: prewarm
-- Read a relation into shared_buffers.
SELECT pg_prewarm(%(relation)s::regclass)

-- name: read
-- Read the vectors, one after the other.
SELECT count(*) FROM {embedding} WHERE image_id < 0 AND embedding IS NOT NULL

-- name: starts
-- Where to walk the graph from.
SELECT tenant_id, image_id FROM imgsearch.image_sample ORDER BY random()

-- name: wide
-- Walk as far as one walk can.
SELECT set_config('hnsw.ef_search', '1000', true), set_config('hnsw.iterative_scan', 'off', true)

-- name: walk
-- Read the part of the graph around a picture.
SELECT count(*) FROM (SELECT 1 FROM {embedding} e ORDER BY imgsearch_internal.apart(e.embedding, (
    SELECT v.embedding FROM imgsearch.vectors v WHERE v.tenant_id = %(tenant_id)s AND v.image_id = %(image_id)s)) LIMIT 1000) w

-- name: promote
-- Give an attribute a column.
SELECT imgsearch.promote_attribute(%(name)s, %(type)s)

-- name: demote
-- Take it away again.
SELECT imgsearch.demote_attribute(%(name)s)

-- name: refresh_sample
-- Draw the sample anew when it is old; the sweep calls this.
SELECT imgsearch.refresh_sample('10 minutes')

-- name: refresh_vocabulary
-- Count the words of tenants whose words changed; the sweep calls this.
SELECT imgsearch.refresh_vocabulary('10 minutes')
