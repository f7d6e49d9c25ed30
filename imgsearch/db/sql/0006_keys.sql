-- Who may use the HTTP API: keys, each of one tenant and one scope; and the secret that signs links.
-- A key is `imgs_<handle>_<secret>`: the handle finds the row, of the secret only its SHA-256 is kept. The secret is
-- 256 random bits, so a slow hash would add nothing but load.

CREATE TABLE imgsearch.api_key (
    handle     text        PRIMARY KEY,
    tenant_id  text        NOT NULL,
    scope      text        NOT NULL,
    name       text        NOT NULL,
    digest     bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT handle_is_named CHECK (handle <> ''),
    CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    CONSTRAINT scope_is_known CHECK (scope IN ('search', 'write', 'admin')),
    CONSTRAINT digest_has_32_bytes CHECK (octet_length(digest) = 32)
);
COMMENT ON TABLE imgsearch.api_key IS 'Keys of the HTTP API. Make one with: imgsearch key create --tenant acme --scope search';
COMMENT ON COLUMN imgsearch.api_key.handle IS 'The part of the key that may be shown: it finds the row and names the key in lists.';
COMMENT ON COLUMN imgsearch.api_key.tenant_id IS 'Whose pictures the key reaches, and no other''s.';
COMMENT ON COLUMN imgsearch.api_key.scope IS 'search (ask), write (and add and delete), admin (and read status and metrics).';
COMMENT ON COLUMN imgsearch.api_key.name IS 'What it is for, in your words.';
COMMENT ON COLUMN imgsearch.api_key.digest IS 'SHA-256 of the key''s secret part; the key itself is shown once and kept nowhere.';
COMMENT ON COLUMN imgsearch.api_key.created_at IS 'When it was made.';
COMMENT ON COLUMN imgsearch.api_key.revoked_at IS 'When it stopped working; null: it works.';

CREATE TABLE imgsearch.http_secret (
    only_one boolean PRIMARY KEY DEFAULT true,
    secret   bytea   NOT NULL,
    CONSTRAINT there_is_one CHECK (only_one),
    CONSTRAINT secret_has_32_bytes CHECK (octet_length(secret) = 32)
);
-- gen_random_uuid() is PostgreSQL's own strong random source without an extension: 122 bits each.
INSERT INTO imgsearch.http_secret (secret)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
COMMENT ON TABLE imgsearch.http_secret IS 'What web processes sign links to thumbnails with; replacing it makes every link given out so far useless.';
COMMENT ON COLUMN imgsearch.http_secret.only_one IS 'Keeps the table at one row.';
COMMENT ON COLUMN imgsearch.http_secret.secret IS '32 random bytes.';

-- A web process knows the tenant only after it has seen the key, so both are read by functions that stand outside the
-- walls between tenants and answer one row. Nobody may call them until it is granted.
CREATE FUNCTION imgsearch.key_of(handle text, OUT tenant_id text, OUT scope text, OUT name text, OUT digest bytea)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.tenant_id, k.scope, k.name, k.digest FROM imgsearch.api_key k
    WHERE k.handle = key_of.handle AND k.revoked_at IS NULL
$$;
REVOKE ALL ON FUNCTION imgsearch.key_of(text) FROM PUBLIC;
COMMENT ON FUNCTION imgsearch.key_of(text) IS 'The working key with this handle, for web processes: whose it is, what it may do, and the digest to compare with.';

CREATE FUNCTION imgsearch.link_secret() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT secret FROM imgsearch.http_secret
$$;
REVOKE ALL ON FUNCTION imgsearch.link_secret() FROM PUBLIC;
COMMENT ON FUNCTION imgsearch.link_secret() IS 'What web processes sign links with.';

-- The keys of a tenant stand behind the wall like its pictures. A web process may log in as the owner and step down to
-- imgsearch_reader or imgsearch_writer for each request (SET LOCAL ROLE), for which the owner must be their member; as
-- one of them it needs no more than to read a key, to sign, and to see that the schema is as it should be.
SELECT imgsearch.raise_walls();
DO $$
BEGIN
    REVOKE ALL ON imgsearch.api_key, imgsearch.http_secret FROM PUBLIC;
    IF to_regrole('imgsearch_worker') IS NOT NULL THEN
        REVOKE ALL ON imgsearch.api_key, imgsearch.http_secret FROM imgsearch_worker;
    END IF;
    IF to_regrole('imgsearch_reader') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION imgsearch.key_of(text), imgsearch.link_secret() TO imgsearch_reader;
        GRANT SELECT ON imgsearch.schema_version TO imgsearch_reader;
    END IF;
    IF to_regrole('imgsearch_writer') IS NOT NULL AND NOT pg_has_role(current_user, 'imgsearch_writer', 'MEMBER') THEN
        EXECUTE format('GRANT imgsearch_writer TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'imgsearch: this role may not grant rights to the roles of imgsearch (they were made by another); ask an administrator for: GRANT imgsearch_writer TO %; GRANT EXECUTE ON FUNCTION imgsearch.key_of(text), imgsearch.link_secret() TO imgsearch_reader; GRANT SELECT ON imgsearch.schema_version TO imgsearch_reader;', current_user;
END $$;
