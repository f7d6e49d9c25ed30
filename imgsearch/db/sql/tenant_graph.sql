-- name: due
-- What the rule would do now; idle: and nobody waits for a worker, who may make indexes.
SELECT d.tenant_id, d.doing, d.pictures, d.share,
       pg_has_role(c.relowner, 'USAGE') AND NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.space_id = s.space_id AND j.state <> 'failed')
           AND imgsearch_internal.tail_rows(s.space_id) < greatest(1000, 0.01 * c.reltuples) AS idle
FROM imgsearch.space s JOIN pg_class c ON c.oid = to_regclass('imgsearch.embedding_' || s.space_id), LATERAL imgsearch_internal.tenant_graphs_due(%(fewest)s::bigint) d
WHERE s.state = 'active' ORDER BY d.doing = 'make', d.pictures DESC

-- name: exists
-- Whether a tenant has pictures.
SELECT EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = %(tenant)s)

-- name: say
-- Write down whether a tenant is to have a graph of its own, and who says so.
INSERT INTO imgsearch.tenant_graph AS g (tenant_id, wanted, by_hand) VALUES (%(tenant)s, %(wanted)s, %(by_hand)s)
ON CONFLICT (tenant_id) DO UPDATE SET wanted = EXCLUDED.wanted, by_hand = EXCLUDED.by_hand, changed_at = EXCLUDED.changed_at
WHERE (g.wanted, g.by_hand) <> (EXCLUDED.wanted, EXCLUDED.by_hand)

-- name: say_rule
-- The rule gives a tenant a graph; what somebody said by hand stays said.
INSERT INTO imgsearch.tenant_graph (tenant_id, wanted, by_hand) VALUES (%(tenant)s, true, false) ON CONFLICT (tenant_id) DO NOTHING

-- name: unsay_rule
-- The rule took it away.
DELETE FROM imgsearch.tenant_graph g WHERE g.tenant_id = %(tenant)s AND NOT g.by_hand

-- name: unsay
-- The rule decides again: what stands is its own from now on.
WITH kept AS (UPDATE imgsearch.tenant_graph g SET by_hand = false WHERE g.tenant_id = %(tenant)s AND g.wanted)
DELETE FROM imgsearch.tenant_graph g WHERE g.tenant_id = %(tenant)s AND NOT g.wanted

-- name: spaces
-- The spaces whose walks stand: each has graphs of tenants.
SELECT s.space_id FROM imgsearch.space s WHERE imgsearch_internal.index_state('embedding_' || s.space_id || '_hnsw') = 'valid' ORDER BY s.state <> 'active', s.space_id

-- name: names
-- A tenant's graphs that are there, whole or not; ours: this role may drop it.
SELECT c.relname AS name, pg_has_role(c.relowner, 'USAGE') AS ours FROM imgsearch.space s JOIN pg_class c ON c.oid = to_regclass('imgsearch.' || imgsearch_internal.tenant_graph_name(s.space_id, %(tenant)s))

-- name: orphans
-- Graphs of nobody, as of a tenant that was forgotten by a role that may not drop them; those that this role may.
SELECT c.relname AS name FROM imgsearch.space s
JOIN pg_class c ON c.relnamespace = 'imgsearch'::regnamespace AND c.relname ~ ('^embedding_' || s.space_id || '_hnsw_[0-9a-f]{{16}}$')
WHERE pg_has_role(c.relowner, 'USAGE')
  AND NOT EXISTS (SELECT 1 FROM imgsearch.tenant_graph g WHERE imgsearch_internal.tenant_graph_name(s.space_id, g.tenant_id) = c.relname)

-- name: listed
-- The whole of imgsearch.tenant_graphs.
SELECT tenant_id, space_id, space, wanted, by_hand, state, pictures, size FROM imgsearch.tenant_graphs ORDER BY tenant_id, space_id
