-- Known problems, one view per family. A healthy database has no row in any of them; imgsearch.doctor is all of them.
-- Each row: the check's name, problem or advice, what was found, what it does to searches, and the fix: a command or an
-- SQL statement per line, which tests run as they stand; what follows -- is for people.

CREATE OR REPLACE VIEW imgsearch.doctor_settings WITH (security_invoker = true) AS
SELECT 'pgvector too old' AS check_name, CASE WHEN g.there THEN 'problem' ELSE 'advice' END AS severity, format('pgvector here is %s', e.extversion) AS detail,
       'Versions before 0.8.4 can corrupt an HNSW index on vacuum' || CASE WHEN g.there THEN '.' ELSE ', so there is none: searches are right and compare bits, the slower the more pictures match.' END AS impact,
       E'ALTER EXTENSION vector UPDATE;  -- after the server\'s package is 0.8.4 or newer\nimgsearch index ' || CASE WHEN g.there THEN 'reindex --all' ELSE 'build' END AS fix
FROM pg_extension e, (SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relnamespace = 'imgsearch'::regnamespace AND a.amname = 'hnsw') AS there) g
WHERE e.extname = 'vector' AND NOT imgsearch_internal.may_have_graph()
UNION ALL
SELECT 'iterative scan off', 'problem', format('hnsw.iterative_scan is %s', coalesce(current_setting('hnsw.iterative_scan', true), 'not set')),
       'Plain SQL over imgsearch.images with a filter silently returns short pages.',
       CASE WHEN s.source IN ('session', 'user', 'database user') THEN imgsearch_internal.reset_setting('hnsw.iterative_scan') || E'\n' ELSE '' END
           || format('ALTER DATABASE %I SET hnsw.iterative_scan = strict_order;  -- for new connections', current_database())
FROM (SELECT max(p.source) AS source FROM pg_settings p WHERE p.name = 'hnsw.iterative_scan') s
WHERE coalesce(current_setting('hnsw.iterative_scan', true), 'off') = 'off'
UNION ALL
SELECT 'generic plans', 'problem', 'plan_cache_mode is force_generic_plan',
       'Prepared statements are planned once for an average filter: 85 ms instead of 1.6 ms for a tenant with 30 % of 200,000 pictures.',
       imgsearch_internal.reset_setting('plan_cache_mode')
WHERE current_setting('plan_cache_mode') = 'force_generic_plan'
UNION ALL
SELECT 'planner switched off', 'problem', format('%s is off', string_agg(s.name, ', ' ORDER BY s.name)),
       'Every statement loses the plans that need it; without enable_sort an exact search becomes an inexact one.',
       string_agg(imgsearch_internal.reset_setting(s.name), E'\n' ORDER BY s.name)
FROM pg_settings s
WHERE s.name IN ('enable_bitmapscan', 'enable_indexonlyscan', 'enable_indexscan', 'enable_nestloop', 'enable_seqscan', 'enable_sort') AND s.setting = 'off'
HAVING count(*) > 0;
COMMENT ON VIEW imgsearch.doctor_settings IS 'Known problems in settings: pgvector too old, iterative scan off, generic plans, parts of the planner switched off.';

CREATE OR REPLACE VIEW imgsearch.doctor_indexes WITH (security_invoker = true) AS
SELECT 'invalid index' AS check_name, 'problem' AS severity, format('%s is invalid: its build was interrupted', x.indexrelid::regclass) AS detail,
       'It is written but never read.' AS impact, 'imgsearch index reindex' AS fix
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
WHERE c.relnamespace = 'imgsearch'::regnamespace AND NOT x.indisvalid
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.relid = x.indrelid)
UNION ALL
SELECT 'no HNSW', 'problem', format('%s has no HNSW index for cosine distance', t.oid::regclass),
       'Searches stay correct and compare bits, the slower the more pictures match; plain SQL scans the whole table.', 'imgsearch index build'
FROM imgsearch.space s JOIN pg_class t ON t.oid = to_regclass('imgsearch.embedding_' || s.space_id)
WHERE s.state = 'active' AND imgsearch_internal.may_have_graph() AND NOT EXISTS (
    SELECT 1 FROM pg_index x JOIN pg_opclass o ON o.oid = x.indclass[0] WHERE x.indrelid = t.oid AND o.opcname = 'halfvec_cosine_ops')
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.relid = t.oid)
UNION ALL
SELECT 'no graph of a tenant', 'problem', format('tenant %s is to have an HNSW of its own, and has none in %s', g.tenant_id, string_agg(s.name, ', ' ORDER BY s.space_id)),
       'Its searches walk the graph of all: right, and slower.', 'imgsearch index tenant ' || imgsearch_internal.shell_word(g.tenant_id)
FROM imgsearch.tenant_graph g CROSS JOIN imgsearch.space s
WHERE g.wanted AND imgsearch_internal.index_state(format('embedding_%s_hnsw', s.space_id)) = 'valid'
  AND imgsearch_internal.index_state(imgsearch_internal.tenant_graph_name(s.space_id, g.tenant_id)) = 'none'
GROUP BY g.tenant_id
UNION ALL
SELECT 'vectors outside the graph', 'advice', format('%s vectors of space %s wait outside its graph', round(imgsearch_internal.tail_rows(s.space_id)), s.name),
       'Nothing is missed: a search that walks the graph compares all of these as well.', 'imgsearch worker  -- moves them into the graph, beside searches'
FROM imgsearch.space s
WHERE imgsearch_internal.tail_rows(s.space_id) > 5000
  AND NOT EXISTS (SELECT 1 FROM imgsearch.worker w WHERE w.seen_at > now() - interval '1 minute' AND w.queue IN ('images', 'both'))
UNION ALL
SELECT 'no index of pictures', 'problem', format('imgsearch.image lacks %s', string_agg(o.name, ', ' ORDER BY o.name)),
       'Searches stay correct; those that compare bits read every row that matches, 3 to 10 times slower.', 'imgsearch index build'
FROM imgsearch.space s, LATERAL imgsearch_internal.indexes_of(s.space_id) o
WHERE s.state = 'active' AND o.relation = 'image' AND o.name ~ '^image_bits_(category_|price_)?\d+$' AND to_regclass('imgsearch.' || quote_ident(o.name)) IS NULL
  AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.relid = 'imgsearch.image'::regclass)
HAVING count(*) > 0
UNION ALL
SELECT 'index of another distance', 'problem', format('%s is an HNSW index for %s', x.indexrelid::regclass, o.opcname),
       'No search uses it, and each new picture pays 1 to 2 ms for it.', format('DROP INDEX CONCURRENTLY %s;', x.indexrelid::regclass)
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am a ON a.oid = c.relam JOIN pg_opclass o ON o.oid = x.indclass[0]
WHERE c.relnamespace = 'imgsearch'::regnamespace AND a.amname = 'hnsw' AND o.opcname <> 'halfvec_cosine_ops'
UNION ALL
SELECT 'unused index', 'advice', format('%s (%s) was never used', u.indexrelid::regclass, pg_size_pretty(pg_relation_size(u.indexrelid))),
       'Each write to its table writes it too.',
       CASE WHEN p.name IS NULL THEN format('DROP INDEX CONCURRENTLY %s;  -- if no statement of yours needs it', u.indexrelid::regclass)
            ELSE format('imgsearch index demote %s  -- if no search needs it', imgsearch_internal.shell_word(p.name)) END
FROM pg_stat_all_indexes u JOIN pg_index x ON x.indexrelid = u.indexrelid JOIN pg_stat_all_tables t ON t.relid = u.relid
LEFT JOIN imgsearch.promoted_attribute p ON u.indexrelname ~ ('^image_bits_' || p.column_name || '_\d+$')
WHERE u.schemaname = 'imgsearch' AND u.relname ~ '^(image|embedding_\d+|region_\d+)$' AND NOT x.indisunique AND x.indisvalid AND u.idx_scan = 0
  AND pg_relation_size(u.indexrelid) > 1024 * 1024 AND t.seq_scan + t.idx_scan > 10000
  -- Ours are not the administrator's to drop: workers, joins and the plans of searches count on them.
  AND (p.name IS NOT NULL OR u.indexrelname !~ '^(image_by_(id|digest|attributes)|image_bits_(category_|price_)?\d+|(embedding|region)_\d+_(hnsw(_[0-9a-f]{16})?|by_id))$')
UNION ALL
SELECT 'HNSW larger than memory', 'problem',
       format('%s has %s; the server counts on %s of cache (effective_cache_size)', x.indexrelid::regclass,
              pg_size_pretty(pg_relation_size(x.indexrelid)), current_setting('effective_cache_size')),
       'A walk reads about a thousand random pages: milliseconds from memory, seconds from a disk.',
       format(E'ALTER SYSTEM SET effective_cache_size = ''%s MB'';  -- if the server really has so much for caching; if not, give it more memory first\nSELECT pg_reload_conf();',
              ceil(1.25 * pg_relation_size(x.indexrelid) / 1048576))
FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_am a ON a.oid = c.relam
WHERE c.relnamespace = 'imgsearch'::regnamespace AND a.amname = 'hnsw'
  AND pg_relation_size(x.indexrelid) > greatest(pg_size_bytes(current_setting('effective_cache_size')), pg_size_bytes(current_setting('shared_buffers')))
UNION ALL
SELECT 'promoted attribute without index', 'problem', format('%s has no column index in space %s', p.name, s.space_id),
       'Searches by it read the table row by row.', format('imgsearch index promote %s --type %s', imgsearch_internal.shell_word(p.name), p.type)
FROM imgsearch.promoted_attribute p, imgsearch.space s
WHERE s.state = 'active' AND to_regclass(format('imgsearch.%I', 'image_bits_' || p.column_name || '_' || s.space_id)) IS NULL
UNION ALL
-- Of a space that was made before answers were products.
SELECT 'index without products', 'problem', format('%s: nothing of whose product an image is', string_agg(o.name, ', ' ORDER BY o.name)),
       'Searches for products look into the table for each image that matches, instead of into an index alone.',
       string_agg(format(E'CREATE INDEX CONCURRENTLY %1$I ON imgsearch.image%2$s;\nDROP INDEX CONCURRENTLY imgsearch.%3$I;\nALTER INDEX imgsearch.%1$I RENAME TO %3$I;',
           left(o.name, 59) || '_new', regexp_replace(substring(o.def FROM ' USING .*'), 'INCLUDE \((.*)\)', 'INCLUDE (\1' || o.lacks || ')'), o.name), E'\n' ORDER BY o.name)
FROM (SELECT c.relname AS name, pg_get_indexdef(c.oid) AS def, s.space_id,
             CASE WHEN pg_get_indexdef(c.oid) ~ '\mproduct_id\M' THEN '' ELSE ', product_id' END || CASE WHEN pg_get_indexdef(c.oid) ~ '\mtenant_id\M' THEN '' ELSE ', tenant_id' END AS lacks
      FROM imgsearch.space s JOIN pg_class c ON c.relnamespace = 'imgsearch'::regnamespace AND c.relkind = 'i' AND c.relname ~ ('^image_bits_(.*_)?' || s.space_id || '$')
      JOIN pg_index x ON x.indexrelid = c.oid AND x.indrelid = 'imgsearch.image'::regclass
      WHERE s.state = 'active') o
WHERE o.lacks <> ''
HAVING count(*) > 0;
COMMENT ON VIEW imgsearch.doctor_indexes IS 'Known problems in indexes: invalid, missing, of another distance, unused, larger than memory, many vectors outside the graph, a promoted attribute or a tenant''s graph without one, without products.';

CREATE OR REPLACE VIEW imgsearch.doctor_tables WITH (security_invoker = true) AS
WITH ours AS (
    SELECT c.oid, c.reltuples, c.reloptions, t.n_live_tup, greatest(c.reltuples::bigint, t.n_live_tup) AS rows, t.n_dead_tup, t.n_mod_since_analyze, t.n_ins_since_vacuum
    FROM pg_class c JOIN pg_stat_all_tables t ON t.relid = c.oid
    WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(image|job|query_vector|embedding_\d+|region_\d+|region_state)$'
)
SELECT 'no statistics' AS check_name, 'problem' AS severity,
       CASE WHEN o.reltuples <= 0 THEN format('%s was never analysed', o.oid::regclass)
            ELSE format('%s changed %s times since it was analysed, with %s rows', o.oid::regclass, o.n_mod_since_analyze, o.n_live_tup) END AS detail,
       'The planner guesses how many rows a filter leaves, and guesses wrong.' AS impact, format('ANALYZE %s;', o.oid::regclass) AS fix
FROM ours o
WHERE o.reltuples <= 0 AND pg_relation_size(o.oid) > 2 * 1024 * 1024 OR o.n_mod_since_analyze > greatest(10000, o.n_live_tup)
UNION ALL
SELECT 'vacuum overdue', 'problem', format('%s has %s dead rows and %s new ones since the last vacuum', o.oid::regclass, o.n_dead_tup, o.n_ins_since_vacuum),
       'Scans that could answer from an index alone look into the table for each row: two to three times slower.', 'imgsearch index vacuum'
FROM ours o WHERE o.n_dead_tup + o.n_ins_since_vacuum > greatest(10000, 0.3 * o.n_live_tup)
UNION ALL
SELECT 'autovacuum off', 'problem', format('autovacuum is off for %s', o.oid::regclass),
       'Dead rows pile up, statistics grow stale, and index-only scans stop being that.',
       CASE WHEN current_setting('autovacuum') = 'off' THEN imgsearch_internal.reset_setting('autovacuum')
            ELSE format('ALTER TABLE %s RESET (autovacuum_enabled);', o.oid::regclass) END
FROM ours o WHERE current_setting('autovacuum') = 'off' OR o.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=0']
UNION ALL
SELECT 'TOASTed vectors', 'problem', format('%s.%s is not stored in the row', o.oid::regclass, a.attname),
       'An exact comparison fetches each vector from another table: 4.4 times slower.',
       format(E'ALTER TABLE %1$s ALTER COLUMN %2$I SET STORAGE PLAIN;\nVACUUM FULL %1$s;  -- locks the table while it runs', o.oid::regclass, a.attname)
FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid AND NOT a.attisdropped AND a.attname ~ '^(embedding|bits_\d+)$'
WHERE a.attstorage <> 'p' AND o.oid <> to_regclass('imgsearch.query_vector')
UNION ALL
SELECT 'given vectors missing', CASE s.state WHEN 'active' THEN 'problem' ELSE 'advice' END, format('space %s has vectors of %s of %s images', s.name, c.embedded, i.many),
       'The others are not found in it: no worker makes them.', format('SELECT tenant_id, product_id, position FROM imgsearch.image WHERE bits_%s IS NULL;  -- give these theirs: imgsearch.give_vectors()', s.space_id)
FROM imgsearch.space s, LATERAL imgsearch_internal.count_space(s.space_id) c, LATERAL (SELECT count(*) AS many FROM imgsearch.image) i
WHERE s.kind = 'given' AND c.embedded < i.many
UNION ALL
SELECT 'vectors of two spaces', 'problem', format('imgsearch.vectors does not show the active space %s', s.space_id),
       'Queries of one model are compared with pictures of another: the order means nothing.', format('SELECT imgsearch.activate_space(%L, force => true);', s.name)
FROM imgsearch.space s WHERE s.state = 'active' AND pg_get_viewdef('imgsearch.vectors'::regclass) !~ format('embedding_%s\M', s.space_id)
UNION ALL
SELECT 'worker of no space', 'problem', format('worker %s was started for a space that is gone', w.name),
       'It embeds nothing.', format('imgsearch worker --space %s  -- in the place of worker %s', s.name, w.name)
FROM imgsearch.worker w JOIN imgsearch.space s ON s.state = 'active'
WHERE w.seen_at > now() - interval '1 minute' AND w.space_id IS NULL
UNION ALL
SELECT 'space without worker', 'problem', format('%s images wait for space %s (%s), and no worker of it was seen', j.waiting, s.name, s.state),
       CASE s.state WHEN 'active' THEN 'New pictures are not found.' WHEN 'building' THEN 'It does not get full.' ELSE 'It falls behind: going back to it would lose pictures.' END,
       format('imgsearch worker --space %s', s.name)
FROM imgsearch.space s, LATERAL (SELECT count(*) AS waiting FROM imgsearch.job j WHERE j.space_id = s.space_id AND j.state = 'pending') j
WHERE j.waiting > 0 AND EXISTS (SELECT 1 FROM imgsearch.worker w WHERE w.seen_at > now() - interval '1 minute')
  AND NOT EXISTS (SELECT 1 FROM imgsearch.worker w WHERE w.seen_at > now() - interval '1 minute' AND w.space_id = s.space_id AND w.queue IN ('images', 'both'))
UNION ALL
SELECT 'space on standby', 'advice', format('%s takes %s', t.oid::regclass, pg_size_pretty(pg_total_relation_size(t.oid))),
       'Disk, and a worker that keeps it in step.', format('imgsearch space drop %s  -- if you will not go back to it', s.name)
FROM imgsearch.space s JOIN pg_class t ON t.oid = to_regclass('imgsearch.embedding_' || s.space_id)
WHERE s.state = 'standby' AND pg_relation_size(t.oid) > 0 AND s.activated_at < now() - interval '30 days'
UNION ALL
SELECT 'sample stale', 'problem',
       CASE WHEN s.parameters #>> '{sample,pictures}' IS NULL OR s.parameters #>> '{sample,at}' IS NULL THEN 'there is no sample'
            ELSE format('the sample was drawn from %s pictures at %s, now there are %s', s.parameters #>> '{sample,pictures}',
                        to_char((s.parameters #>> '{sample,at}')::timestamptz, 'YYYY-MM-DD HH24:MI'), o.rows) END,
       'A search guesses from it how many pictures match; a wrong guess costs time, never recall.',
       'SELECT imgsearch.refresh_sample();  -- the sweep does so by itself while a worker and celery beat run'
FROM imgsearch.space s JOIN ours o ON o.oid = to_regclass('imgsearch.embedding_' || s.space_id)
WHERE s.state = 'active' AND o.rows > 1000
  AND NOT coalesce((s.parameters #>> '{sample,pictures}')::double precision, 0) BETWEEN o.rows / 2.0 AND o.rows * 2.0
UNION ALL
SELECT 'vacuum held back', 'problem', format('a transaction of %s has been open for %s', a.usename, date_trunc('second', now() - a.xact_start)),
       'No row that died since can be removed, in any table.', format('SELECT pg_terminate_backend(%s);  -- or end it yourself', a.pid)
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_xmin IS NOT NULL AND a.backend_type = 'client backend'
  AND a.xact_start < now() - coalesce(nullif(current_setting('imgsearch.patience', true), ''), '1 hour')::interval AND a.pid <> pg_backend_pid();
COMMENT ON VIEW imgsearch.doctor_tables IS 'Known problems in tables: no statistics, vacuum overdue, off or held back (for more than the setting imgsearch.patience, 1 hour), TOASTed vectors, given vectors missing, vectors of two spaces, workers of none, spaces without workers or long on standby, sample stale.';

CREATE OR REPLACE VIEW imgsearch.doctor_tuning WITH (security_invoker = true) AS
SELECT 'tuning stale' AS check_name, 'problem' AS severity, concat('tuned at ' || to_char(t.tuned_at, 'YYYY-MM-DD HH24:MI') || '; ', t.stale) AS detail,
       'Recall may have fallen below the target, or searches work harder than they must.' AS impact, 'imgsearch index tune' AS fix
FROM imgsearch.tuning t WHERE t.stale IS NOT NULL
UNION ALL
SELECT 'recall below target', 'problem', format('the recall measured was %s, the target is %s', t.recall, t.target),
       'Searches compare up to 20,000 images each, which takes longer, and say complete only of what was compared exactly.',
       'imgsearch index tune  -- again, or for a lower --target; imgsearch index recall shows which filters miss'
FROM imgsearch.tuning t WHERE NOT t.reached
UNION ALL
SELECT 'never tuned', 'advice', format('%s pictures are searched with the defaults', t.now ->> 'pictures'),
       'The defaults were measured on other pictures than yours.', 'imgsearch index tune  -- an idle worker does so too, unless IMGSEARCH_TUNING is off'
FROM imgsearch.tuning t WHERE t.tuned_at IS NULL AND (t.now ->> 'pictures')::bigint > 50000
UNION ALL
SELECT 'large tenant', 'advice', format('tenant %s has %s pictures, %s %% of all, and no HNSW of its own', d.tenant_id, d.pictures, round(100 * d.share)),
       'Its searches walk the graph of all, past the pictures of others.',
       format('imgsearch index tenant %s  -- an idle worker that owns the tables does so too, unless IMGSEARCH_TENANT_GRAPHS is off', imgsearch_internal.shell_word(d.tenant_id))
FROM imgsearch_internal.tenant_graphs_due() d
WHERE d.doing = 'make' AND NOT EXISTS (SELECT 1 FROM imgsearch.tenant_graph g WHERE g.tenant_id = d.tenant_id);
COMMENT ON VIEW imgsearch.doctor_tuning IS 'Known problems in tuned parameters: stale, short of their target, never tuned; and tenants large enough for a graph of their own.';

CREATE OR REPLACE VIEW imgsearch.doctor_tenants WITH (security_invoker = true) AS
WITH RECURSIVE tenants (role) AS (
    SELECT to_regrole(r.name)::oid FROM unnest(ARRAY['imgsearch_reader', 'imgsearch_writer']) r (name)
    UNION SELECT m.member FROM pg_auth_members m JOIN tenants t ON m.roleid = t.role
), served AS (  -- who logs in and was made to see one tenant at a time
    SELECT r.* FROM pg_roles r JOIN tenants t ON t.role = r.oid WHERE r.rolcanlogin
), unrestricted AS (  -- who sees every tenant
    SELECT o.oid, o.rolname FROM pg_roles o
    WHERE o.rolname IN ('imgsearch_admin', 'imgsearch_worker') OR o.oid = (SELECT c.relowner FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass)
)
SELECT 'row-level security bypassed' AS check_name, 'problem' AS severity,
       format('role %s is a member of imgsearch_reader or imgsearch_writer, and %s', r.rolname, CASE
           WHEN r.rolsuper THEN 'a superuser' WHEN r.rolbypassrls THEN 'has BYPASSRLS'
           ELSE 'also a member of a role that sees all tenants' END) AS detail,
       'It sees every tenant''s pictures.' AS impact,
       CASE WHEN r.rolsuper THEN format('ALTER ROLE %I NOSUPERUSER;', r.rolname)
            WHEN r.rolbypassrls THEN format('ALTER ROLE %I NOBYPASSRLS;', r.rolname)
            ELSE (SELECT string_agg(format('REVOKE %I FROM %I;', o.rolname, m.rolname), E'\n' ORDER BY o.rolname, m.rolname)
                  FROM pg_auth_members x JOIN unrestricted o ON o.oid = x.roleid JOIN pg_roles m ON m.oid = x.member
                  WHERE pg_has_role(r.oid, m.oid, 'USAGE') AND m.oid NOT IN (SELECT u.oid FROM unrestricted u)) END AS fix
FROM served r
WHERE r.rolsuper OR r.rolbypassrls OR EXISTS (
    SELECT 1 FROM unrestricted o WHERE pg_has_role(r.oid, o.oid, 'USAGE'))
UNION ALL
SELECT 'row-level security bypassed', 'problem', format('this session speaks for the tenant %s, but as %s it sees all tenants', imgsearch.current_tenant(), current_user),
       'Filters that rely on row-level security do not filter.', 'SET ROLE imgsearch_writer;  -- or connect as a role that is a member of imgsearch_reader or imgsearch_writer only'
WHERE imgsearch.current_tenant() IS NOT NULL AND NOT imgsearch.is_tenant_restricted()
UNION ALL
SELECT 'generic plans', 'problem', format('role %s is limited by row-level security and plans with plan_cache_mode = auto', r.rolname),
       'After five executions a prepared statement may be planned without its tenant: measured 86 ms instead of 1.9 ms.',
       format('ALTER ROLE %I SET plan_cache_mode = force_custom_plan;', r.rolname)
FROM served r
WHERE NOT EXISTS (
    SELECT 1 FROM pg_db_role_setting d WHERE d.setrole IN (0, r.oid) AND 'plan_cache_mode=force_custom_plan' = ANY (d.setconfig)
      AND d.setdatabase IN (0, (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())))
UNION ALL
SELECT 'table without row-level security', 'problem', format('%s holds tenants'' rows without row-level security', c.oid::regclass),
       'Whoever may read it reads every tenant''s rows.', 'SELECT imgsearch.enable_rls();'
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
  AND EXISTS (SELECT 1 FROM pg_roles r WHERE r.rolname = 'imgsearch_reader' AND has_any_column_privilege(r.oid, c.oid, 'SELECT'));
COMMENT ON VIEW imgsearch.doctor_tenants IS 'Known problems in the separation of tenants: roles that bypass row-level security, tables without it, plans made for an average tenant.';

CREATE OR REPLACE VIEW imgsearch.doctor_work WITH (security_invoker = true) AS
SELECT 'no worker seen' AS check_name, 'problem' AS severity,
       coalesce('the last worker was seen ' || date_trunc('second', now() - max(w.seen_at)) || ' ago', 'no worker runs here') AS detail,
       'New pictures and new words wait.' AS impact, 'imgsearch worker' AS fix
FROM imgsearch.worker w HAVING coalesce(max(w.seen_at), '-infinity') < now() - interval '1 minute'
   AND (NOT EXISTS (SELECT 1 FROM imgsearch.space) OR EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.kind = 'model'))  -- else nobody is needed
UNION ALL
SELECT 'violations', 'problem', format('%s pictures: %s', count(*), v.violation), 'A picture in no state or in two: it is not found, or found wrongly.',
       'SELECT imgsearch.repair_violations();  -- embeds them again; SELECT * FROM imgsearch.violations; lists them'
FROM imgsearch.violations v WHERE v.image_id IS NOT NULL GROUP BY v.violation
UNION ALL
SELECT 'addresses with other bytes', 'advice', format('%s pictures: their address answers other bytes than those that were embedded', count(DISTINCT (j.tenant_id, j.image_id))),
       'They are found as they were, and not in the spaces that were to embed them now.', 'imgsearch queue refetch --code changed'
FROM imgsearch.job j WHERE j.state = 'failed' AND j.error_code = 'changed' HAVING count(*) > 0
UNION ALL
SELECT 'rows not followed', 'problem', format('%s rows of %s could not be followed, the last because: %s', count(*), a.name, (array_agg(f.error ORDER BY f.failed_at DESC))[1]),
       'Searches show their products as they were, or not at all.', format('SELECT imgsearch.repair(%L);  -- after what they fail at is mended; SELECT * FROM imgsearch.failures; lists them', a.name)
FROM imgsearch.attachment a JOIN imgsearch.attachment_failure f ON f.attachment_id = a.attachment_id GROUP BY a.attachment_id
UNION ALL
SELECT 'attached table gone', 'problem', format('%s is attached, and was dropped', a.name), 'Searches still show its pictures.', format('SELECT imgsearch.detach(%L);', a.name)
FROM imgsearch.attachment a WHERE a.relation IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = a.relation)
UNION ALL
SELECT 'attached table without index', 'problem', format('%s has no index that begins with %s any more', g.relation, g.first),
       'Each write of its rows reads the whole table.', imgsearch_internal.index_to_make(g.relation, g.first)
FROM imgsearch_internal.indexes_gone() g;
COMMENT ON VIEW imgsearch.doctor_work IS 'Known problems in the work: no worker, broken invariants, addresses that answer other bytes by now, attached tables that cannot be followed. Looks at every picture.';

CREATE OR REPLACE VIEW imgsearch.doctor WITH (security_invoker = true) AS
SELECT * FROM imgsearch.doctor_settings UNION ALL SELECT * FROM imgsearch.doctor_indexes UNION ALL SELECT * FROM imgsearch.doctor_tables
UNION ALL SELECT * FROM imgsearch.doctor_tuning UNION ALL SELECT * FROM imgsearch.doctor_tenants UNION ALL SELECT * FROM imgsearch.doctor_rights UNION ALL SELECT * FROM imgsearch.doctor_work
UNION ALL SELECT * FROM imgsearch.doctor_upkeep;
COMMENT ON VIEW imgsearch.doctor IS 'Every known problem of this database, what it does to searches, and the fix. A healthy database has no row here.';
