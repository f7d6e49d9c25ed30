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
