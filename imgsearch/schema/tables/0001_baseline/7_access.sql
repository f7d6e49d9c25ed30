-- Who may ask: keys of the HTTP API, browsers that are signed in, and what links are signed with.

CREATE TABLE imgsearch.api_key (
    handle       text        PRIMARY KEY CONSTRAINT handle_is_named CHECK (handle <> ''),
    tenant_id    text        NOT NULL CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    scope        text        NOT NULL
        CONSTRAINT scope_is_known CHECK (scope IN ('search', 'write', 'admin')),
    name         text        NOT NULL,
    digest       bytea       NOT NULL
        CONSTRAINT digest_has_32_bytes CHECK (octet_length(digest) = 32),
    filters      jsonb
        CONSTRAINT filters_are_an_object CHECK (jsonb_typeof(filters) = 'object')
        CONSTRAINT filters_are_for_searching CHECK (filters IS NULL OR scope = 'search'),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    replaced_by  text,
    last_used_at timestamptz
) WITH (fillfactor = 70);  -- last_used_at changes in place
COMMENT ON TABLE imgsearch.api_key IS
    'Keys of the HTTP API. Make one with: imgsearch key create --tenant acme --scope search';
COMMENT ON COLUMN imgsearch.api_key.handle IS
    'The part of the key that may be shown: it finds the row and names the key in lists.';
COMMENT ON COLUMN imgsearch.api_key.tenant_id IS 'Whose pictures the key reaches, and no other''s.';
COMMENT ON COLUMN imgsearch.api_key.scope IS
    'search (ask), write (and add and delete), admin (and read status and metrics).';
COMMENT ON COLUMN imgsearch.api_key.name IS 'What it is for, in your words.';
COMMENT ON COLUMN imgsearch.api_key.digest IS
    'SHA-256 of the key''s secret part; the key itself is shown once and kept nowhere.';
COMMENT ON COLUMN imgsearch.api_key.filters IS
    'What every search with this key is kept within, as imgsearch.filters_of() reads it; null: '
    'all of the tenant''s images. A key with filters may stand in a browser.';
COMMENT ON COLUMN imgsearch.api_key.created_at IS 'When it was made.';
COMMENT ON COLUMN imgsearch.api_key.expires_at IS 'When it stops working by itself; null: never.';
COMMENT ON COLUMN imgsearch.api_key.revoked_at IS 'When it was ended by hand; null: it was not.';
COMMENT ON COLUMN imgsearch.api_key.replaced_by IS
    'The handle of the key that took its place; it works beside that one until expires_at.';
COMMENT ON COLUMN imgsearch.api_key.last_used_at IS 'When it was last used, to the minute.';

CREATE TABLE imgsearch.page_session (
    digest     bytea       PRIMARY KEY
        CONSTRAINT digest_has_32_bytes CHECK (octet_length(digest) = 32),
    handle     text        NOT NULL REFERENCES imgsearch.api_key ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE imgsearch.page_session IS
    'Browsers that are signed in to the page; each ends with its key.';
COMMENT ON COLUMN imgsearch.page_session.digest IS 'SHA-256 of the token in the browser''s cookie.';
COMMENT ON COLUMN imgsearch.page_session.handle IS 'The key that signed in.';
COMMENT ON COLUMN imgsearch.page_session.created_at IS 'When it signed in.';
COMMENT ON COLUMN imgsearch.page_session.expires_at IS 'Until when it is good; use moves it on.';

CREATE TABLE imgsearch.http_secret (
    only_one boolean PRIMARY KEY DEFAULT true CONSTRAINT there_is_one CHECK (only_one),
    secret   bytea   NOT NULL CONSTRAINT secret_has_32_bytes CHECK (octet_length(secret) = 32)
);
-- gen_random_uuid() is PostgreSQL's own strong random source without an extension: 122 bits each.
INSERT INTO imgsearch.http_secret (secret)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
               || uuid_send(gen_random_uuid())));
COMMENT ON TABLE imgsearch.http_secret IS
    'What web processes sign links to thumbnails with; replacing it makes every link given out '
    'so far useless.';
COMMENT ON COLUMN imgsearch.http_secret.only_one IS 'Keeps the table at one row.';
COMMENT ON COLUMN imgsearch.http_secret.secret IS '32 random bytes.';
