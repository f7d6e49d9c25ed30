-- Tuned parameters, and why they are stale.

CREATE OR REPLACE VIEW imgsearch.tuning WITH (security_invoker = true) AS
SELECT t.space_id, (t.search ->> 'ef')::integer AS ef, (t.search ->> 'pool')::integer AS pool,
       (t.search ->> 'target')::double precision AS target, (t.search ->> 'recall')::double precision AS recall,
       (t.search ->> 'at')::timestamptz AS tuned_at, t.was AS then, t.now,
       CASE WHEN NOT (t.now ->> 'pictures')::numeric BETWEEN (t.was ->> 'pictures')::numeric / 2 AND (t.was ->> 'pictures')::numeric * 2
            THEN format('there were %s pictures then and are %s now', t.was ->> 'pictures', t.now ->> 'pictures')
            WHEN abs((t.now ->> 'spread')::numeric - (t.was ->> 'spread')::numeric) > 0.05
            THEN format('pictures lay %s from the mean then and lie %s from it now', t.was ->> 'spread', t.now ->> 'spread')
            WHEN abs((t.now ->> 'shift')::numeric - (t.was ->> 'shift')::numeric) > 0.05
            THEN format('the mean of the pictures was %s off then and is %s off now', t.was ->> 'shift', t.now ->> 'shift')
       END AS stale,
       t.search ->> 'by' AS tuned_by, coalesce((t.search ->> 'reached')::boolean, (t.search ->> 'recall')::double precision >= (t.search ->> 'target')::double precision) AS reached,
       nullif(jsonb_strip_nulls(jsonb_build_object('picture', CASE WHEN t.search ? 'ef' THEN jsonb_build_object('ef', t.search -> 'ef', 'spread', t.search -> 'spread') END,
                                                   'text', nullif(t.search -> 'text', '{}'))), '{}') AS walks
FROM (SELECT s.space_id, s.parameters -> 'search' AS search, s.parameters #> '{search,fingerprint}' AS was, imgsearch_internal.fingerprint() AS now
      FROM imgsearch.space s WHERE s.state = 'active') t;
COMMENT ON VIEW imgsearch.tuning IS 'The parameters imgsearch index tune chose, on what, and why they are stale now, if they are. Null: the defaults are in use. tuned_by: command or worker; walks: per kind of question how wide the graph is walked at least (ef, 0: not at all) and 1 / the part that is believed (spread).';

CREATE OR REPLACE VIEW imgsearch.tenant_graphs WITH (security_invoker = true) AS
SELECT g.tenant_id, s.space_id, s.name AS space, g.wanted, g.by_hand, imgsearch_internal.index_state(n.name) AS state, c.reltuples::bigint AS pictures, pg_relation_size(c.oid) AS size
FROM imgsearch.tenant_graph g CROSS JOIN imgsearch.space s, LATERAL imgsearch_internal.tenant_graph_name(s.space_id, g.tenant_id) n (name)
LEFT JOIN pg_class c ON c.oid = to_regclass('imgsearch.' || n.name);
COMMENT ON VIEW imgsearch.tenant_graphs IS 'Tenants with an HNSW of their own, in each space: whether there is to be one, who said so (by_hand, else the rule), how it is (valid, being built, invalid, none), how many pictures it holds, and its bytes.';
