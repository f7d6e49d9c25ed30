-- What an admin looks at: failures, violations, status.

CREATE OR REPLACE VIEW imgsearch.failures WITH (security_invoker = true) AS
SELECT j.tenant_id, j.image_id, i.product_id, i.uri, j.error_code, j.error, j.attempts, j.due AS failed_at
FROM imgsearch.job j JOIN imgsearch.image i ON i.tenant_id = j.tenant_id AND i.image_id = j.image_id
WHERE j.state = 'failed'
UNION ALL
SELECT f.tenant_id, NULL, f.product_id, NULL, 'not_followed', f.error, f.times, f.failed_at FROM imgsearch.attachment_failure f;
COMMENT ON VIEW imgsearch.failures IS 'Pictures that failed and why. SELECT imgsearch.requeue(image_id => …) tries one again. Without an image_id (not_followed): rows of attached tables; SELECT imgsearch.repair(''shop.product'') tries those.';

CREATE OR REPLACE VIEW imgsearch.violations WITH (security_invoker = true) AS
SELECT 'neither vector nor job' AS violation, i.tenant_id, i.image_id
FROM imgsearch.image i
WHERE NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id)
  AND NOT EXISTS (SELECT 1 FROM imgsearch.vectors v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id)
UNION ALL
SELECT 'vector of other bytes', i.tenant_id, i.image_id
FROM imgsearch.image i JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE v.sha256 IS DISTINCT FROM i.sha256
UNION ALL
SELECT 'vector of the wrong dimension', v.tenant_id, v.image_id
FROM imgsearch.vectors v JOIN imgsearch.space s ON s.state = 'active' WHERE vector_dims(v.embedding) <> s.dimension
UNION ALL
SELECT 'vector and bits disagree', i.tenant_id, i.image_id
FROM imgsearch.image i LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE (to_jsonb(i) ->> ('bits_' || (SELECT space_id FROM imgsearch.space WHERE state = 'active')) IS NULL) <> (v.image_id IS NULL)
UNION ALL
SELECT 'lease not rescued', j.tenant_id, j.image_id
FROM imgsearch.job j WHERE j.state = 'leased' AND j.lease < now() - interval '5 minutes';
COMMENT ON VIEW imgsearch.violations IS 'Broken invariants: must return no row, ever.';

CREATE OR REPLACE VIEW imgsearch.status WITH (security_invoker = true) AS
SELECT
    (SELECT count(*) FROM imgsearch.image)                                                   AS images,
    (SELECT count(*) FROM imgsearch.image i
     WHERE NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id)
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
FROM imgsearch.job j;
COMMENT ON VIEW imgsearch.status IS 'How many pictures are in which state, the oldest waiting, workers seen, the model, index health.';
