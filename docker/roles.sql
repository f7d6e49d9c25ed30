-- The roles that the processes of docker-compose.yml log in as; run once, when the database server is made.
-- Neither owns anything: the worker sees every tenant's images but no keys, the web process is behind row-level security.
-- The group roles get their rights from `imgsearch db upgrade`, which also makes those that are missing.
\getenv worker_password WORKER_PASSWORD
\getenv web_password WEB_PASSWORD
SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['imgsearch_worker', 'imgsearch_reader', 'imgsearch_writer']) name WHERE to_regrole(name) IS NULL \gexec
CREATE ROLE shop_worker LOGIN PASSWORD :'worker_password' IN ROLE imgsearch_worker;
CREATE ROLE shop_web LOGIN PASSWORD :'web_password' IN ROLE imgsearch_writer;
