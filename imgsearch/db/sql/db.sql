-- name: extension
-- The installed version of pgvector, if any.
SELECT extversion FROM pg_extension WHERE extname = 'vector'

-- name: extension_available
-- The version of pgvector this server could install, if any.
SELECT default_version FROM pg_available_extensions WHERE name = 'vector'

-- name: create_extension
-- Install pgvector.
CREATE EXTENSION IF NOT EXISTS vector

-- name: has_version
-- Whether imgsearch was ever set up here.
SELECT to_regclass('imgsearch.schema_version') IS NOT NULL

-- name: version
-- The revision the schema is at.
SELECT version_num FROM imgsearch.schema_version

-- name: lock_migrations
-- Migrations go one at a time, whoever runs them; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('imgsearch.migrations'))

-- name: create_schema
-- The schema, which holds its own version.
CREATE SCHEMA IF NOT EXISTS imgsearch

-- name: create_version
-- Alembic's own table, as it makes it.
CREATE TABLE IF NOT EXISTS imgsearch.schema_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT schema_version_pkc PRIMARY KEY (version_num)
)

-- name: stamp
-- Say which revision the schema is at; null: none.
WITH gone AS (DELETE FROM imgsearch.schema_version WHERE version_num IS DISTINCT FROM %(revision)s::text)
INSERT INTO imgsearch.schema_version SELECT %(revision)s::text WHERE %(revision)s::text IS NOT NULL
ON CONFLICT DO NOTHING
