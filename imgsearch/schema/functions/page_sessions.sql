-- Browsers signed in to the page: a random token in a cookie, of which only the SHA-256 is kept. A session is as good as
-- the key that signed in and ends with it: revoked, expired, or its grace over after a rotation.

CREATE OR REPLACE FUNCTION imgsearch_internal.session_end(began timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT least(now() + interval '12 hours', began + interval '7 days')
$$;
COMMENT ON FUNCTION imgsearch_internal.session_end(timestamptz) IS 'Until when a session that is used now is good: twelve hours more, at most a week in all.';

CREATE OR REPLACE FUNCTION imgsearch_internal.begin_session(handle text, digest bytea, session bytea) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH begun AS (
        INSERT INTO imgsearch.page_session (digest, handle, expires_at)
        SELECT begin_session.session, begin_session.handle, imgsearch_internal.session_end(now())
        FROM imgsearch_internal.check_api_key(begin_session.handle, begin_session.digest) k WHERE k.expired_at IS NULL
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM begun)
$$;
COMMENT ON FUNCTION imgsearch_internal.begin_session(text, bytea, bytea) IS 'Signs a browser in with a key that works; returns whether it does.';

CREATE OR REPLACE FUNCTION imgsearch_internal.find_session(session bytea, OUT handle text, OUT tenant_id text, OUT scope text, OUT name text, OUT filters jsonb)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.handle, k.tenant_id, k.scope, k.name, k.filters FROM imgsearch.page_session s JOIN imgsearch.api_key k ON k.handle = s.handle
    WHERE s.digest = find_session.session AND s.expires_at > now()
      AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
$$;
COMMENT ON FUNCTION imgsearch_internal.find_session(bytea) IS 'The working key behind a session that is still good, for web processes.';

CREATE OR REPLACE FUNCTION imgsearch_internal.end_session(session bytea) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH ended AS (DELETE FROM imgsearch.page_session s WHERE s.digest = end_session.session RETURNING 1)
    SELECT EXISTS (SELECT 1 FROM ended)
$$;
COMMENT ON FUNCTION imgsearch_internal.end_session(bytea) IS 'Signs a browser out; returns whether it was signed in.';

CREATE OR REPLACE FUNCTION imgsearch_internal.sweep_sessions() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH ended AS (
        DELETE FROM imgsearch.page_session s USING imgsearch.api_key k
        WHERE k.handle = s.handle AND (s.expires_at <= now() OR k.revoked_at IS NOT NULL OR k.expires_at <= now())
        RETURNING 1
    ), expired AS (
        -- Of keys that stand in browsers there may be one for each visitor.
        DELETE FROM imgsearch.api_key k WHERE k.filters IS NOT NULL AND k.expires_at < now() - interval '7 days'
    )
    SELECT count(*) FROM ended
$$;
COMMENT ON FUNCTION imgsearch_internal.sweep_sessions() IS 'Deletes sessions that are no longer good, and keys with filters that expired a week ago; the sweep calls this.';
