-- name: lock
-- Upgrades go one at a time, whoever runs them; held until the transaction ends, so it passes through any pooler.
SELECT pg_advisory_xact_lock(hashtext('imgsearch.migrations'))

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
SELECT name, setting FROM pg_settings WHERE name IN ('search_path', 'lock_timeout', 'check_function_bodies')

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
