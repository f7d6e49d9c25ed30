-- name: unhurried
-- Until the transaction ends a shop's bounds on statements do not count: an upgrade waits for another, and for its work.
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)

-- name: try_lock
-- Upgrades go one at a time, whoever runs them; held until the transaction ends, so it passes through any pooler.
SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('imgsearch.migrations'))

-- name: lock_holder
-- Who holds that lock: a lock of one number is kept as its two halves.
SELECT l.pid, coalesce(nullif(a.application_name, ''), 'without a name') AS application, coalesce(a.state, 'unknown') AS state,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change), 0)::float8 AS seconds
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.hashtext('imgsearch.migrations')::bigint

-- name: extension
-- The installed version of pgvector, if any.
SELECT extversion FROM pg_extension WHERE extname = 'vector'

-- name: extension_available
-- The version of pgvector this server could install, if any.
SELECT default_version FROM pg_available_extensions WHERE name = 'vector'

-- name: create_extension
-- Install pgvector.
CREATE EXTENSION IF NOT EXISTS vector

-- name: extension_schema
-- Where pgvector's types and operators are.
SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'

-- name: exists
-- Whether imgsearch was ever set up here.
SELECT to_regclass('imgsearch.schema_version') IS NOT NULL

-- name: create_schemas
-- What people type, and what they do not.
CREATE SCHEMA IF NOT EXISTS imgsearch

-- name: create_internal
-- What people do not type.
CREATE SCHEMA IF NOT EXISTS imgsearch_internal

-- name: create_version
-- What has been applied here.
CREATE TABLE IF NOT EXISTS imgsearch.schema_version (
    step        text        PRIMARY KEY,
    digest      text        NOT NULL,
    release     text        NOT NULL,
    oldest_code text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON SCHEMA imgsearch IS 'Image search: a vector beside your row, and one verb, anything → vector. Start with SELECT * FROM imgsearch.status;';
COMMENT ON SCHEMA imgsearch_internal IS 'What imgsearch is made of; names here may change with every release.';
COMMENT ON TABLE imgsearch.schema_version IS 'What was applied to this schema: each table step, and the functions as a whole.';
COMMENT ON COLUMN imgsearch.schema_version.step IS 'A table step, or functions: everything that is applied whole.';
COMMENT ON COLUMN imgsearch.schema_version.digest IS 'SHA-256 of the text that was applied.';
COMMENT ON COLUMN imgsearch.schema_version.release IS 'The release of imgsearch that applied it.';
COMMENT ON COLUMN imgsearch.schema_version.oldest_code IS 'The oldest release of imgsearch that works on it.';
COMMENT ON COLUMN imgsearch.schema_version.applied_at IS 'When.'

-- name: applied
-- The steps and the functions that are there.
SELECT step, digest, release, oldest_code FROM imgsearch.schema_version ORDER BY step

-- name: stamp
-- Note a step, or the functions, as applied.
INSERT INTO imgsearch.schema_version (step, digest, release, oldest_code)
VALUES (%(step)s, %(digest)s, %(release)s, %(oldest_code)s)
ON CONFLICT (step) DO UPDATE SET digest = EXCLUDED.digest, release = EXCLUDED.release, oldest_code = EXCLUDED.oldest_code,
    applied_at = EXCLUDED.applied_at

-- name: settings
-- The session's settings that an upgrade changes for its own transaction.
SELECT name, setting FROM pg_settings WHERE name IN ('search_path', 'lock_timeout', 'statement_timeout', 'check_function_bodies')

-- name: set
-- A setting, until the transaction ends or it is set again.
SELECT set_config(%(name)s, %(value)s, true)

-- name: rights_of_others
-- What roles that are not imgsearch's were granted on views and functions, as statements that grant it again.
WITH ours AS (SELECT n.oid FROM pg_namespace n WHERE n.nspname IN ('imgsearch', 'imgsearch_internal')),
granted AS (
    SELECT 'relation' AS kind, c.oid::regclass::text AS object, format('%s ON %s', a.privilege_type, c.oid::regclass) AS what, a.grantee, a.is_grantable, c.relowner AS owner
    FROM pg_class c JOIN ours ON ours.oid = c.relnamespace, aclexplode(c.relacl) a WHERE c.relkind = 'v'
    UNION ALL
    SELECT 'relation', c.oid::regclass::text, format('%s (%I) ON %s', a.privilege_type, t.attname, c.oid::regclass), a.grantee, a.is_grantable, c.relowner
    FROM pg_class c JOIN ours ON ours.oid = c.relnamespace JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a WHERE c.relkind = 'v'
    UNION ALL
    SELECT 'routine', p.oid::regprocedure::text, format('EXECUTE ON ROUTINE %s', p.oid::regprocedure), a.grantee, a.is_grantable, p.proowner
    FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace, aclexplode(p.proacl) a
)
SELECT g.kind, g.object, format('GRANT %s TO %I%s', g.what, r.rolname, CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
FROM granted g JOIN pg_roles r ON r.oid = g.grantee
WHERE g.grantee <> g.owner AND r.rolname !~ '^imgsearch_(reader|writer|worker|admin)$'

-- name: is_there
-- Whether a view or a function is (still) there.
SELECT CASE %(kind)s WHEN 'relation' THEN to_regclass(%(object)s) IS NOT NULL ELSE to_regprocedure(%(object)s) IS NOT NULL END

-- name: state
-- Each object that an upgrade makes: its number, how the catalogue tells of it, and what was noted when it was made.
-- A function that its comment calls by its name alone is the newest of that name: one of before may still be there.
SELECT w.kind, w.name, o.oid::bigint AS oid, CASE w.kind
    WHEN 'FUNCTION' THEN (SELECT md5(pg_get_functiondef(o.oid) || coalesce(obj_description(o.oid, 'pg_proc'), '')))
    WHEN 'FUNCTIONS' THEN (SELECT md5(string_agg(pg_get_functiondef(p.oid) || coalesce(obj_description(p.oid, 'pg_proc'), ''), '' ORDER BY p.oid::regprocedure::text))
                           FROM pg_proc p WHERE p.pronamespace = to_regnamespace(split_part(w.name, '.', 1)) AND p.proname = split_part(w.name, '.', 2))
    WHEN 'VIEW' THEN (SELECT md5(pg_get_viewdef(c.oid) || coalesce(c.reloptions::text, '') || coalesce(obj_description(c.oid, 'pg_class'), '')) FROM pg_class c WHERE c.oid = o.oid)
    WHEN 'TYPE' THEN (SELECT md5(string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) || coalesce(obj_description(o.oid, 'pg_type'), ''))
                      FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 WHERE t.oid = o.oid)
    WHEN 'TRIGGER' THEN (SELECT md5(pg_get_triggerdef(t.oid) || t.tgenabled::text || coalesce(obj_description(t.oid, 'pg_trigger'), '')) FROM pg_trigger t WHERE t.oid = o.oid)
    END AS looks, a.digest, a.found
FROM unnest(%(kinds)s::text[], %(names)s::text[]) w (kind, name)
CROSS JOIN (SELECT quote_ident(n.nspname) AS home FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector') v
CROSS JOIN LATERAL (SELECT CASE w.kind
    WHEN 'FUNCTION' THEN CASE WHEN strpos(w.name, '(') > 0 THEN to_regprocedure(replace(w.name, 'halfvec', v.home || '.halfvec'))::oid
        ELSE (SELECT max(p.oid) FROM pg_proc p WHERE p.pronamespace = to_regnamespace(split_part(w.name, '.', 1)) AND p.proname = split_part(w.name, '.', 2)) END
    WHEN 'FUNCTIONS' THEN (SELECT min(p.oid) FROM pg_proc p WHERE p.pronamespace = to_regnamespace(split_part(w.name, '.', 1)) AND p.proname = split_part(w.name, '.', 2))
    WHEN 'VIEW' THEN to_regclass(w.name)::oid
    WHEN 'TYPE' THEN to_regtype(w.name)::oid
    WHEN 'TRIGGER' THEN (SELECT t.oid FROM pg_trigger t WHERE t.tgname = split_part(w.name, ' ON ', 1) AND t.tgrelid = to_regclass(split_part(w.name, ' ON ', 2)))
    END AS oid) o
LEFT JOIN imgsearch.applied_object a ON a.object = w.kind || ' ' || w.name

-- name: pin_paths
-- No function of ours looks for names where others may create: a name is pg_catalog's, or it is written in full. What is
-- SQL alone and internal is inlined into, or called by, functions that are pinned; what else is not pinned says so.
DO $$
DECLARE
    one regprocedure;
BEGIN
    FOR one IN
        SELECT p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('imgsearch', 'imgsearch_internal') AND p.prokind = 'f'
          AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%')
          AND l.lanname = 'plpgsql' AND NOT (n.nspname = 'imgsearch' AND p.proname IN ('attach', 'attach_query')) AND p.proname <> 'table_called'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', one);
    END LOOP;
END $$

-- name: attributes
-- The attributes of a type, in order.
SELECT quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) AS attribute
FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
WHERE t.oid = to_regtype(%(type)s) ORDER BY a.attnum

-- name: note_objects
-- Note what objects were made from, and how they look.
INSERT INTO imgsearch.applied_object (object, digest, found)
SELECT * FROM unnest(%(objects)s::text[], %(digests)s::text[], %(found)s::text[])
ON CONFLICT (object) DO UPDATE SET digest = EXCLUDED.digest, found = EXCLUDED.found

-- name: forget_objects
-- What is made no longer is noted no longer.
DELETE FROM imgsearch.applied_object WHERE object <> ALL (%(objects)s)

-- name: of_name
-- The functions of a name, each with what writes to it change.
SELECT p.oid::regprocedure::text AS called, p.oid::bigint AS oid, p.xmin::text AS version FROM pg_proc p
WHERE p.pronamespace = to_regnamespace(split_part(%(name)s, '.', 1)) AND p.proname = split_part(%(name)s, '.', 2)
ORDER BY p.oid DESC

-- name: leftovers
-- What stands in our schemas and is made no longer. `at_once`: whoever calls the function of its name could not say which
-- of the two is meant, as an argument that may be left out is left out.
WITH wanted AS (SELECT unnest(%(oids)s::bigint[])::oid AS oid), ours AS (SELECT unnest(ARRAY['imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace])::oid AS oid),
routines AS (
    SELECT p.* FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
    WHERE p.proname !~ '^attached_\d+(_write|_read|_tell)?$' AND NOT (p.pronamespace::regnamespace || '.' || p.proname = ANY (%(written)s))
)
SELECT 'VIEW ' || c.oid::regclass AS called, false AS at_once FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.oid NOT IN (SELECT oid FROM wanted) AND NOT (c.relnamespace::regnamespace || '.' || c.relname = ANY (%(written)s))
UNION ALL
SELECT 'ROUTINE ' || p.oid::regprocedure, EXISTS (SELECT 1 FROM pg_proc w JOIN wanted ON wanted.oid = w.oid
    WHERE w.pronamespace = p.pronamespace AND w.proname = p.proname AND (p.pronargdefaults > 0 OR w.pronargdefaults > 0))
FROM routines p WHERE p.oid NOT IN (SELECT oid FROM wanted)
UNION ALL
SELECT 'TYPE ' || t.oid::regtype, false FROM pg_type t JOIN ours ON ours.oid = t.typnamespace JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
WHERE t.oid NOT IN (SELECT oid FROM wanted)

-- name: running
-- Transactions of others that are running now: whoever is in one may still call what it began with.
SELECT l.virtualtransaction AS one FROM pg_locks l
WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid()
  AND EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.pid = l.pid AND a.datid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))

-- name: in_the_way
-- Who holds locks on tables and views of ours, or on tables that are attached, for longest.
SELECT a.pid, coalesce(a.usename, '?') AS role, coalesce(a.state, '?') AS state, a.application_name AS application,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds,
       coalesce(nullif(left(regexp_replace(a.query, '\s+', ' ', 'g'), 120), ''), 'what it runs is not shown to this role') AS query,
       a.backend_type AS kind
FROM pg_stat_activity a
WHERE a.pid <> pg_backend_pid() AND EXISTS (
    SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
      AND (c.relnamespace::regnamespace::text ~ '^imgsearch' OR EXISTS (
          SELECT 1 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND p.pronamespace = 'imgsearch_internal'::regnamespace)))
ORDER BY a.xact_start NULLS LAST LIMIT 1

-- name: calm_lock
-- A lock for which nobody waits but upkeep: an autovacuum gives way to it.
LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE

-- name: index_state
-- How an index is: none, valid, invalid (its build was interrupted); building: some session is at an index of its table.
SELECT CASE WHEN x.indisvalid THEN 'valid'
            WHEN EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.relid = to_regclass(%(table)s)) THEN 'building'
            WHEN x.indexrelid IS NULL THEN 'none' ELSE 'invalid' END
FROM (SELECT to_regclass(%(index)s) AS oid) i LEFT JOIN pg_index x ON x.indexrelid = i.oid

-- name: drop_index
-- Take away what an interrupted build left.
DROP INDEX CONCURRENTLY IF EXISTS {index}

-- name: patience_begins
-- What a build may wait for others, and that nothing else ends it. For this session, which is set back after it.
SELECT set_config('lock_timeout', %(patience)s, false), set_config('statement_timeout', '0', false)

-- name: patience_ends
-- Back to what this session had.
SELECT set_config('lock_timeout', %(lock)s, false), set_config('statement_timeout', %(statement)s, false)

-- name: patience
-- What this session has.
SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement

-- name: grant_one
-- Rights of one table or view.
SELECT imgsearch_internal.grant_rights(%(relation)s::regclass)

-- name: make_tables
-- Tables that functions make for each space, behind the walls at once: who reads a table reads those that inherit from it.
SELECT imgsearch_internal.make_tables(), imgsearch.enable_rls()

-- name: view_reads
-- What a view reads, and its options.
SELECT md5(pg_get_viewdef(c.oid) || coalesce(c.reloptions::text, '')) FROM pg_class c WHERE c.oid = to_regclass(%(view)s)

-- name: rebuild_generated
-- What is written for each space and each attached table.
SELECT imgsearch_internal.rebuild_generated()

-- name: rebuild_spaces
-- What is written for each space.
SELECT imgsearch_internal.make_tables(), imgsearch_internal.write_image_triggers(), imgsearch_internal.write_vectors()

-- name: rebuild_attached
-- What is written for each attached table.
SELECT imgsearch_internal.rebuild_attached()

-- name: mend_vocabulary
-- What finds each word, where another version wrote something else.
SELECT imgsearch_internal.mend_vocabulary()

-- name: sweep_engines
-- What spaces were searched with before, and are no longer.
SELECT imgsearch_internal.sweep_engines()

-- name: rows
-- About how many rows a table has.
SELECT greatest(c.reltuples, 0)::bigint FROM pg_class c WHERE c.oid = to_regclass(%(table)s)

-- name: missing_roles
-- Which roles of imgsearch this server lacks.
SELECT imgsearch_internal.missing_roles() AS missing

-- name: missing_grants
-- What an administrator types for roles that are missing, or that the owner may not step down to; '' for nothing.
SELECT array_to_string(imgsearch_internal.missing_grants(), ' ')

-- name: missing_rights
-- How many rights are not as they must be.
SELECT count(*) FROM imgsearch_internal.missing_rights()

-- name: is_replica
-- Whether this server follows another one.
SELECT pg_is_in_recovery()
