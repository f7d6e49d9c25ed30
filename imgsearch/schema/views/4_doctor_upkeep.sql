-- What keeps upkeep from being done.

CREATE OR REPLACE VIEW imgsearch.doctor_upkeep WITH (security_invoker = true) AS
SELECT 'upkeep fails' AS check_name, 'problem' AS severity,
       format('%s failed %s times in a row since %s: %s', f.step, f.times, date_trunc('second', f.since), f.error) AS detail,
       'What it does is not done; the other steps go on.' AS impact,
       '-- mend what it says; workers try it again, and SELECT * FROM imgsearch.upkeep_failure; lists all' AS fix
FROM imgsearch.upkeep_failure f WHERE f.times >= 3 AND f.failed_at > now() - interval '1 day'
UNION ALL
SELECT 'table without identity', CASE WHEN p.published THEN 'problem' ELSE 'advice' END,
       format('%s has no key and no replica identity', c.oid::regclass),
       CASE WHEN p.published THEN 'A publication has it, so nothing can be updated or deleted there.'
            ELSE 'Once a publication has it, nothing can be updated or deleted there.' END,
       format('ALTER TABLE %s REPLICA IDENTITY %s;', c.oid::regclass, CASE WHEN k.there THEN 'DEFAULT' ELSE 'FULL' END)
FROM pg_class c
CROSS JOIN LATERAL (SELECT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indimmediate)) k (there)
CROSS JOIN LATERAL (SELECT EXISTS (
    SELECT 1 FROM pg_publication b JOIN pg_publication_tables t ON t.pubname = b.pubname
    WHERE (b.pubupdate OR b.pubdelete) AND t.schemaname = c.relnamespace::regnamespace::text AND t.tablename = c.relname)) p (published)
WHERE c.relnamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace)
  AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
  AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT k.there
       OR c.relreplident = 'i' AND NOT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = c.oid AND x.indisreplident));
COMMENT ON VIEW imgsearch.doctor_upkeep IS 'Known problems in upkeep: steps that fail again and again, tables that a publication locks.';
