-- What an admin looks at: failures, violations, status, spaces.

CREATE OR REPLACE VIEW imgsearch.jobs WITH (security_invoker = true) AS
SELECT j.tenant_id, j.image_id, j.state, j.due, j.lease, j.worker, j.attempts, j.error_code, j.error, j.created_at, j.space_id
FROM imgsearch.job j WHERE j.space_id IN (coalesce(imgsearch_internal.searched_space(), 0), 0);
COMMENT ON VIEW imgsearch.jobs IS 'What waits, is in work or failed in the searched space: one row per picture. All spaces: imgsearch.job.';

CREATE OR REPLACE VIEW imgsearch.failures WITH (security_invoker = true) AS
SELECT j.tenant_id, j.image_id, i.product_id, i.uri, j.error_code, j.error, j.attempts, j.due AS failed_at, j.space_id, s.name AS space
FROM imgsearch.job j JOIN imgsearch.image i ON i.tenant_id = j.tenant_id AND i.image_id = j.image_id
LEFT JOIN imgsearch.space s ON s.space_id = j.space_id
WHERE j.state = 'failed'
UNION ALL
SELECT r.tenant_id, r.image_id, i.product_id, i.uri, 'parts_' || r.error_code, r.error, r.attempts::integer, r.made_at, r.space_id, s.name
FROM imgsearch.region_state r JOIN imgsearch.image i ON i.tenant_id = r.tenant_id AND i.image_id = r.image_id JOIN imgsearch.space s ON s.space_id = r.space_id
WHERE r.boxes IS NULL AND r.due IS NULL
UNION ALL
SELECT f.tenant_id, NULL, f.product_id, NULL, 'not_followed', f.error, f.times, f.failed_at, NULL, NULL FROM imgsearch.attachment_failure f;
COMMENT ON VIEW imgsearch.failures IS 'Pictures that failed and why, in which space. SELECT imgsearch.requeue(image_id => …) tries one again. Codes that begin with parts_: the picture is found as a whole, not by its parts. Without an image_id (not_followed): rows of attached tables; SELECT imgsearch.repair(''shop.product'') tries those.';

CREATE OR REPLACE VIEW imgsearch.violations WITH (security_invoker = true) AS
SELECT 'neither vector nor job' AS violation, i.tenant_id, i.image_id, NULL::text AS space
FROM imgsearch.image i
WHERE NOT EXISTS (SELECT 1 FROM imgsearch.space)
  AND NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id)
UNION ALL
SELECT v.violation, v.tenant_id, v.image_id, s.name
FROM imgsearch.space s, LATERAL imgsearch_internal.violations_of(s.space_id) v
UNION ALL
SELECT 'lease not rescued', j.tenant_id, j.image_id, s.name
FROM imgsearch.job j LEFT JOIN imgsearch.space s ON s.space_id = j.space_id
WHERE j.state = 'leased' AND j.lease < now() - interval '5 minutes'
UNION ALL
SELECT 'invalid graph of a tenant', g.tenant_id, NULL, s.name
FROM imgsearch.tenant_graph g CROSS JOIN imgsearch.space s
WHERE imgsearch_internal.index_state(imgsearch_internal.tenant_graph_name(s.space_id, g.tenant_id)) = 'invalid';
COMMENT ON VIEW imgsearch.violations IS 'Broken invariants, in any space: must return no row, ever. Without an image_id: the graph of a tenant, whose build was interrupted; imgsearch index reindex.';

CREATE OR REPLACE VIEW imgsearch.status WITH (security_invoker = true) AS
SELECT s.*, c.with_regions, c.regions_wait FROM (SELECT
    (SELECT count(*) FROM imgsearch.image)                                                   AS images,
    (SELECT count(*) FROM imgsearch.image i
     WHERE NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id AND j.space_id = imgsearch_internal.searched_space())
       AND EXISTS (SELECT 1 FROM imgsearch.vectors v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id)) AS ready,
    count(*) FILTER (WHERE j.state = 'pending')                                              AS pending,
    count(*) FILTER (WHERE j.state = 'leased')                                               AS leased,
    count(*) FILTER (WHERE j.state = 'failed')                                               AS failed,
    now() - min(j.created_at) FILTER (WHERE j.state IN ('pending', 'leased'))                AS oldest_waiting,
    (SELECT count(*) FROM imgsearch.query_vector WHERE answered_at IS NULL)                  AS queries_waiting,
    (SELECT count(*) FROM imgsearch.worker WHERE seen_at > now() - interval '30 seconds')    AS workers,
    (SELECT max(seen_at) FROM imgsearch.worker)                                              AS worker_last_seen,
    (SELECT space_id FROM imgsearch.space WHERE state = 'active')                            AS space_id,
    (SELECT model FROM imgsearch.space WHERE state = 'active')                               AS model,
    (SELECT dimension FROM imgsearch.space WHERE state = 'active')                           AS dimension,
    coalesce((SELECT CASE WHEN x.indisvalid AND x.indisready THEN 'valid' ELSE 'invalid: run imgsearch index reindex' END
              FROM imgsearch.space s
              JOIN pg_index x ON x.indexrelid = to_regclass('imgsearch.embedding_' || s.space_id || '_hnsw')
              WHERE s.state = 'active'), 'none')                                             AS index_health,
    (SELECT pg_size_pretty(pg_relation_size(to_regclass('imgsearch.embedding_' || s.space_id || '_hnsw')))
     FROM imgsearch.space s WHERE s.state = 'active')                                        AS index_size
FROM imgsearch.jobs j) s, imgsearch_internal.count_regions(imgsearch_internal.searched_space()) c;
COMMENT ON VIEW imgsearch.status IS 'How many pictures are in which state in the searched space, the oldest waiting, workers seen, the model, index health. All spaces: imgsearch.spaces.';

CREATE OR REPLACE VIEW imgsearch.spaces WITH (security_invoker = true) AS
SELECT x.space_id, x.name, CASE WHEN x.state = 'building' AND (imgsearch_internal.has_engine(x.space_id) OR x.kind = 'given' AND x.filled_at IS NOT NULL) THEN 'ready' ELSE x.state END AS state, x.kind, x.model, x.revision, x.dimension, x.pictures, x.embedded, x.waiting, x.failed,
       greatest(x.pictures - x.embedded, 0) AS missing, imgsearch_internal.index_health(x.space_id) AS index, x.disk, x.rate,
       CASE WHEN x.rate > 0 AND x.pictures > x.embedded + x.failed THEN make_interval(secs => (x.pictures - x.embedded - x.failed) / x.rate) END AS eta,
       x.share, x.workers, x.created_at, x.filled_at, x.activated_at, x.state = 'active' OR imgsearch_internal.has_engine(x.space_id) AS searchable
FROM (SELECT s.space_id, s.name, s.state, s.kind, s.model, s.revision, s.dimension, s.share, s.created_at, s.filled_at, s.activated_at,
             (SELECT count(*) FROM imgsearch.image) AS pictures, c.embedded, c.waiting, c.failed, c.disk,
             CASE WHEN s.state = 'building' AND s.filling IS NOT NULL AND now() > (s.filling ->> 'at')::timestamptz
                  THEN (c.embedded - (s.filling ->> 'embedded')::bigint) / extract(epoch FROM now() - (s.filling ->> 'at')::timestamptz)::float8 END AS rate,
             (SELECT count(*) FROM imgsearch.worker w WHERE w.space_id = s.space_id AND w.seen_at > now() - interval '30 seconds') AS workers
      FROM imgsearch.space s, LATERAL imgsearch_internal.count_space(s.space_id) c) x
ORDER BY x.space_id;
COMMENT ON VIEW imgsearch.spaces IS 'Every space: its state (building, ready: full and may be named or activated, active, standby), model and revision, how many images it holds, how many wait, failed and are missing, its indexes, bytes on disk, images per second while it is filled, and how long that will take; searchable: a search may name it.';
