-- Who may use the HTTP API: keys, each of one tenant and one scope; and the secret that signs links.
-- A key is `imgs_<handle>_<secret>`: the handle finds the row, of the secret only its SHA-256 is kept. The secret is
-- 256 random bits, so a slow hash would add nothing but load.

-- A web process knows the tenant only after it has seen the key, so both are read by functions that stand outside the
-- walls between tenants and answer one row. Nobody may call them until it is granted.
CREATE OR REPLACE FUNCTION imgsearch_internal.find_api_key(handle text, OUT tenant_id text, OUT scope text, OUT name text, OUT digest bytea)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, k.scope, k.name, k.digest FROM imgsearch.api_key k
    WHERE k.handle = find_api_key.handle AND k.revoked_at IS NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.find_api_key(text) IS 'The working key with this handle, for web processes: whose it is, what it may do, and the digest to compare with.';

CREATE OR REPLACE FUNCTION imgsearch_internal.link_secret() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT secret FROM imgsearch.http_secret
$$;
COMMENT ON FUNCTION imgsearch_internal.link_secret() IS 'What web processes sign links with.';
