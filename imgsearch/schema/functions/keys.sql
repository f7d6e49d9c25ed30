-- Who may use the HTTP API: keys, each of one tenant and one scope; and the secret that signs links.
-- A key is `imgs_<handle>_<secret>`: the handle finds the row, of the secret only its SHA-256 is kept. The secret is
-- 256 random bits, so a slow hash would add nothing but load.

-- A web process knows the tenant only after it has seen the key, so these are functions that stand outside the walls
-- between tenants and answer one row. Nobody may call them until it is granted. Handle and digest are asked for
-- together: no role of a web process reads digests, and only who holds the secret learns that its key has expired.
CREATE OR REPLACE FUNCTION imgsearch_internal.check_api_key(handle text, digest bytea,
    OUT tenant_id text, OUT scope text, OUT name text, OUT filters jsonb, OUT expired_at timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, k.scope, k.name, k.filters, CASE WHEN k.expires_at <= now() THEN k.expires_at END FROM imgsearch.api_key k
    WHERE k.handle = check_api_key.handle AND k.digest = check_api_key.digest AND k.revoked_at IS NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.check_api_key(text, bytea) IS 'The key with this handle and this digest of its secret, for web processes: whose it is, what it may do and see, and when it expired if it did.';

CREATE OR REPLACE FUNCTION imgsearch_internal.note_key_use(handle text, session bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_read_only')::boolean THEN
        RETURN;  -- a copy that only reads: searching there needs no note
    END IF;
    -- Whoever else is writing the same row down writes the same.
    UPDATE imgsearch.api_key k SET last_used_at = now()
    FROM (SELECT o.handle FROM imgsearch.api_key o
          WHERE o.handle = note_key_use.handle AND (o.last_used_at IS NULL OR o.last_used_at < now() - interval '1 minute')
          FOR UPDATE SKIP LOCKED) due
    WHERE k.handle = due.handle;
    UPDATE imgsearch.page_session s SET expires_at = imgsearch_internal.session_end(s.created_at)
    FROM (SELECT o.digest FROM imgsearch.page_session o
          WHERE o.digest = note_key_use.session AND o.expires_at > now()
            AND o.expires_at < imgsearch_internal.session_end(o.created_at) - interval '1 hour'
          FOR UPDATE SKIP LOCKED) due
    WHERE s.digest = due.digest;
END $$;
COMMENT ON FUNCTION imgsearch_internal.note_key_use(text, bytea) IS 'Writes down that a key was used, at most once a minute, and moves its session''s end on, at most once an hour.';

CREATE OR REPLACE FUNCTION imgsearch_internal.link_secret() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT secret FROM imgsearch.http_secret
$$;
COMMENT ON FUNCTION imgsearch_internal.link_secret() IS 'What web processes sign links with.';
