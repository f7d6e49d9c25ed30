-- The roles that the processes of docker-compose.yml log in as; run once, when the database server is made, by its
-- superuser, whom nothing of imgsearch logs in as. shop_owner owns the database and may upgrade it and make keys; shop_worker
-- sees every tenant's images but no keys; shop_web is behind row-level security. Rights: `imgsearch db upgrade`.
\set owner_password `cat "${SECRETS:-/run/secrets}/owner_password"`
\set worker_password `cat "${SECRETS:-/run/secrets}/worker_password"`
\set web_password `cat "${SECRETS:-/run/secrets}/web_password"`
-- In a schema of its own, where nobody else may create: what programs name bare is then pgvector's and nobody else's.
CREATE SCHEMA IF NOT EXISTS extensions;
CREATE EXTENSION IF NOT EXISTS vector SCHEMA extensions;
GRANT USAGE ON SCHEMA extensions TO PUBLIC;
ALTER DATABASE :"DBNAME" SET search_path = "$user", public, extensions;
SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['imgsearch_worker', 'imgsearch_reader', 'imgsearch_writer', 'imgsearch_admin']) name WHERE to_regrole(name) IS NULL \gexec
GRANT imgsearch_reader TO imgsearch_writer;
CREATE ROLE shop_owner LOGIN PASSWORD :'owner_password' IN ROLE imgsearch_admin;
CREATE ROLE shop_worker LOGIN PASSWORD :'worker_password' IN ROLE imgsearch_worker;
CREATE ROLE shop_web LOGIN PASSWORD :'web_password' IN ROLE imgsearch_writer;
ALTER DATABASE :"DBNAME" OWNER TO shop_owner;
