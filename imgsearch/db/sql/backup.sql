-- Statements of a backup and a restore.

-- name: about
-- What no dump says: the server, pgvector, how many images, and what ALTER DATABASE … SET said.
SELECT current_setting('server_version_num')::integer / 10000 AS server,
       (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'vector') AS pgvector,
       (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector') AS pgvector_schema,
       (SELECT count(*) FROM imgsearch.image) AS images,
       coalesce((SELECT jsonb_object_agg(split_part(c, '=', 1), substr(c, strpos(c, '=') + 1))
                 FROM pg_db_role_setting s, unnest(s.setconfig) c
                 WHERE s.setrole = 0 AND s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())), jsonb_build_object()) AS settings

-- name: still
-- Before a snapshot is handed on: what this transaction reads, pg_dump reads.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: snapshot
-- The snapshot by which pg_dump reads the same; nobody ends this transaction because it rests meanwhile.
SELECT pg_export_snapshot(), ARRAY(SELECT set_config(s.name, '0', true) FROM pg_settings s
    WHERE s.name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'))

-- name: stored
-- The pictures whose bytes are in the store.
SELECT DISTINCT i.uri FROM imgsearch.image i WHERE starts_with(i.uri, 'store:')

-- name: filled
-- What is in a database that should be empty; relations of extensions do not count.
SELECT count(*) AS relations, coalesce(min(c.oid::regclass::text), '') AS one, to_regnamespace('imgsearch') IS NOT NULL AS ours,
       current_database() AS database, current_setting('server_version_num')::integer / 10000 AS server
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')

-- name: begun
-- The digest of the dump whose restore was begun here and has not ended; null: none was.
SELECT obj_description(to_regnamespace('imgsearch_restore')::oid, 'pg_namespace')

-- name: begin
-- An empty schema says from then on what is on its way.
CREATE SCHEMA imgsearch_restore

-- name: note
-- Which restore it is.
COMMENT ON SCHEMA imgsearch_restore IS {digest}

-- name: end
-- The restore is whole.
DROP SCHEMA IF EXISTS imgsearch_restore

-- name: schemas
-- Those that are here already, as those of a rented server for its extensions.
SELECT n.nspname AS name FROM pg_namespace n WHERE n.nspname <> 'public'

-- name: roles
-- The roles that a dump names, and which of them this server has; whether this one may make the others.
SELECT r.name, to_regrole(r.name) IS NOT NULL AS there, (SELECT m.rolsuper OR m.rolcreaterole FROM pg_roles m WHERE m.rolname = current_user) AS may_create
FROM unnest(ARRAY['imgsearch_reader', 'imgsearch_writer', 'imgsearch_worker', 'imgsearch_admin']) WITH ORDINALITY r (name, n) ORDER BY r.n

-- name: create_role
-- Make one of them.
CREATE ROLE {role} NOLOGIN

-- name: is_super
-- Whether objects may be given to the owners they had.
SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user

-- name: pgvector_schema
-- Where pgvector is.
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'

-- name: load_pgvector
-- Its settings are anybody's to set as soon as it is loaded, and a superuser's before.
SELECT '[1]'::{schema}.vector

-- name: set
-- A setting of the whole database, for new connections.
ALTER DATABASE {database} SET {name} = {values}

-- name: unhurried
-- A shop's bound on statements is none for what reads its whole database once.
SELECT set_config('statement_timeout', '0', true)

-- name: analyze
-- Statistics are in no dump.
ANALYZE
