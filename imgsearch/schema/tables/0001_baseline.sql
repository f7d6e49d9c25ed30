-- The tables of imgsearch: what you filter on (image), what you rank on (embedding_<space>),
-- what waits (job), what was asked (query_vector). Keys carry tenant_id first and it never changes.

CREATE TABLE imgsearch.space (
    space_id      integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state         text        NOT NULL DEFAULT 'building',
    model         text        NOT NULL,
    revision      text        NOT NULL,
    fingerprint   text        NOT NULL,
    dimension     integer     NOT NULL,
    preprocessing text        NOT NULL,
    mean          halfvec     NOT NULL,
    mean_text     halfvec,
    probe_picture halfvec,
    probe_text    halfvec,
    parameters    jsonb       NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    activated_at  timestamptz,
    CONSTRAINT state_is_known CHECK (state IN ('building', 'active', 'retired')),
    CONSTRAINT dimension_fits_halfvec CHECK (dimension BETWEEN 1 AND 4000),
    CONSTRAINT mean_has_dimension CHECK (vector_dims(mean) = dimension),
    CONSTRAINT mean_text_has_dimension CHECK (vector_dims(mean_text) = dimension)
);
CREATE UNIQUE INDEX one_active_space ON imgsearch.space (state) WHERE state = 'active';
COMMENT ON TABLE imgsearch.space IS 'Where vectors are comparable: one row per model and way of preparing pictures. Vectors of different spaces are never compared.';
COMMENT ON COLUMN imgsearch.space.space_id IS 'Names the table embedding_<space_id> and the column image.bits_<space_id>.';
COMMENT ON COLUMN imgsearch.space.state IS 'building (being filled), active (searched; at most one), retired.';
COMMENT ON COLUMN imgsearch.space.model IS 'Hub name or folder the model was loaded from.';
COMMENT ON COLUMN imgsearch.space.revision IS 'Revision of the model on the hub, or empty.';
COMMENT ON COLUMN imgsearch.space.fingerprint IS 'Digest of configuration, weights and preprocessing: a worker with another one refuses to write.';
COMMENT ON COLUMN imgsearch.space.dimension IS 'Numbers per vector.';
COMMENT ON COLUMN imgsearch.space.preprocessing IS 'Version of the way pictures become pixels.';
COMMENT ON COLUMN imgsearch.space.mean IS 'Mean image vector; subtracted before binary quantisation, because SigLIP vectors are not centred.';
COMMENT ON COLUMN imgsearch.space.mean_text IS 'Mean of the texts asked, once there are some; subtracted from a text before binary quantisation, because texts lie apart from pictures.';
COMMENT ON COLUMN imgsearch.space.probe_picture IS 'Vector of a fixed drawn picture; every worker compares its own at start.';
COMMENT ON COLUMN imgsearch.space.probe_text IS 'Vector of a fixed text; every query worker compares its own at start.';
COMMENT ON COLUMN imgsearch.space.parameters IS 'Search parameters tuned on this space''s own vectors.';
COMMENT ON COLUMN imgsearch.space.created_at IS 'When a worker registered the model.';
COMMENT ON COLUMN imgsearch.space.activated_at IS 'When searches began to use it.';

CREATE TABLE imgsearch.image (
    tenant_id  text             NOT NULL,
    image_id   bigint           GENERATED ALWAYS AS IDENTITY,
    product_id text             NOT NULL,
    position   integer          NOT NULL DEFAULT 0,
    category   text,
    price      double precision,
    in_stock   boolean          NOT NULL DEFAULT true,
    attributes jsonb            NOT NULL DEFAULT '{}',
    uri        text             NOT NULL,
    sha256     bytea,
    phash      bit(64),
    attachment_id integer,
    incomplete boolean          NOT NULL DEFAULT false,
    created_at timestamptz      NOT NULL DEFAULT now(),
    updated_at timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, image_id),
    CONSTRAINT one_picture_per_position UNIQUE (tenant_id, product_id, position),
    CONSTRAINT image_id_leaves_room CHECK (image_id < 2251799813685248),  -- search sorts by (bits apart << 51) | image_id
    CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    CONSTRAINT product_is_named CHECK (product_id <> ''),
    CONSTRAINT uri_is_named CHECK (uri <> ''),
    CONSTRAINT price_is_a_number CHECK (price >= 0 AND price < 'Infinity'),
    CONSTRAINT sha256_has_32_bytes CHECK (octet_length(sha256) = 32),
    CONSTRAINT attributes_are_an_object CHECK (jsonb_typeof(attributes) = 'object')
) WITH (
    -- Bits are compared in index-only scans, which look into the table for every page that is not all-visible: vacuum
    -- after 2 % of updates or 5 % of new rows, not after 20 %. Statistics steer which index a filter takes.
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);
CREATE INDEX image_by_id ON imgsearch.image (image_id);
CREATE INDEX image_by_sha256 ON imgsearch.image (tenant_id, sha256);
CREATE INDEX image_by_attributes ON imgsearch.image USING gin (attributes jsonb_path_ops);
CREATE INDEX image_by_product ON imgsearch.image (product_id);  -- joins to the shop's own table, which seldom name the tenant
COMMENT ON TABLE imgsearch.image IS 'One row per picture: narrow and mutable, what you filter on. INSERT here, from anywhere, and the picture is embedded.';
COMMENT ON COLUMN imgsearch.image.tenant_id IS 'Whose picture; part of every key, never changes.';
COMMENT ON COLUMN imgsearch.image.image_id IS 'Identity of the picture.';
COMMENT ON COLUMN imgsearch.image.product_id IS 'Your key of the product it shows.';
COMMENT ON COLUMN imgsearch.image.position IS 'Which picture of the product, from 0. Adding the same position again replaces the picture.';
COMMENT ON COLUMN imgsearch.image.category IS 'Filter: category.';
COMMENT ON COLUMN imgsearch.image.price IS 'Filter: price. Double precision, because its comparisons are leakproof (numeric''s are not) and stay index conditions under row-level security.';
COMMENT ON COLUMN imgsearch.image.in_stock IS 'Filter: in stock.';
COMMENT ON COLUMN imgsearch.image.attributes IS 'Filter: anything else, one JSON object.';
COMMENT ON COLUMN imgsearch.image.uri IS 'Where the bytes are: store:<key> in the picture store, or an http(s) address.';
COMMENT ON COLUMN imgsearch.image.sha256 IS 'Digest of the bytes; null until a worker has fetched an http(s) address.';
COMMENT ON COLUMN imgsearch.image.phash IS 'dHash of the picture (64 bits), for near-duplicates.';
COMMENT ON COLUMN imgsearch.image.attachment_id IS 'The attached table that this picture comes from; null: it was added by hand.';
COMMENT ON COLUMN imgsearch.image.incomplete IS 'The file lacks its last bytes. It was embedded, for what is missing hardly shows; upload it again.';
COMMENT ON COLUMN imgsearch.image.created_at IS 'When the picture was first added.';
COMMENT ON COLUMN imgsearch.image.updated_at IS 'When the picture itself was last replaced.';

CREATE TABLE imgsearch.job (
    tenant_id  text        NOT NULL,
    image_id   bigint      NOT NULL,
    state      text        NOT NULL DEFAULT 'pending',
    due        timestamptz NOT NULL DEFAULT now(),
    lease      timestamptz,
    token      uuid,
    worker     text,
    attempts   integer     NOT NULL DEFAULT 0,
    error_code text,
    error      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, image_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE,
    CONSTRAINT state_is_known CHECK (state IN ('pending', 'leased', 'failed')),
    CONSTRAINT leased_has_lease_and_token CHECK ((state = 'leased') = (lease IS NOT NULL AND token IS NOT NULL)),
    CONSTRAINT failed_has_reason CHECK (state <> 'failed' OR error_code IS NOT NULL)
) WITH (
    -- Small and hot: every row is updated at least once and deleted within seconds. Dead rows slow the claim,
    -- so vacuum after 1,000 of them whatever the size, and leave room on the page for the lease update.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.1
);
CREATE INDEX job_pending ON imgsearch.job (due) WHERE state = 'pending';
CREATE INDEX job_leased ON imgsearch.job (lease) WHERE state = 'leased';
COMMENT ON TABLE imgsearch.job IS 'The queue of record: one row per picture that is waiting, leased or failed. Delivery deletes it.';
COMMENT ON COLUMN imgsearch.job.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.job.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.job.state IS 'pending (waits), leased (a worker has it), failed (set aside, see error).';
COMMENT ON COLUMN imgsearch.job.due IS 'Not claimed before this moment (back-off).';
COMMENT ON COLUMN imgsearch.job.lease IS 'The worker''s claim ends here unless it is extended.';
COMMENT ON COLUMN imgsearch.job.token IS 'Fence: only the holder of this token may deliver or fail the picture.';
COMMENT ON COLUMN imgsearch.job.worker IS 'Who claimed it last.';
COMMENT ON COLUMN imgsearch.job.attempts IS 'Claims so far; counted at the claim, so that a crash counts.';
COMMENT ON COLUMN imgsearch.job.error_code IS 'Why the last attempt failed, for programs.';
COMMENT ON COLUMN imgsearch.job.error IS 'Why the last attempt failed, for people.';
COMMENT ON COLUMN imgsearch.job.created_at IS 'When the picture began to wait.';

CREATE TABLE imgsearch.query_vector (
    tenant_id   text        NOT NULL DEFAULT '',
    space_id    integer     NOT NULL REFERENCES imgsearch.space ON DELETE CASCADE,
    kind        text        NOT NULL,
    key         bytea       NOT NULL,
    query       text,
    picture     bytea,
    embedding   halfvec,
    error_code  text,
    error       text,
    claimed     timestamptz,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    ticket      uuid        NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (tenant_id, kind, key, space_id),
    CONSTRAINT kind_is_known CHECK (kind IN ('text', 'picture')),
    CONSTRAINT waiting_has_a_question CHECK (answered_at IS NOT NULL OR query IS NOT NULL OR picture IS NOT NULL),
    CONSTRAINT answered_has_an_answer CHECK (answered_at IS NULL OR embedding IS NOT NULL OR error_code IS NOT NULL)
);
CREATE INDEX query_vector_waiting ON imgsearch.query_vector (asked_at) WHERE answered_at IS NULL;
COMMENT ON TABLE imgsearch.query_vector IS 'Texts and pictures already asked → vector, shared by psql, web processes and workers; each tenant has its own, so that none learns what another asked.';
COMMENT ON COLUMN imgsearch.query_vector.tenant_id IS 'Who asked; empty: somebody who stands above tenants.';
COMMENT ON COLUMN imgsearch.query_vector.space_id IS 'The space the vector belongs to.';
COMMENT ON COLUMN imgsearch.query_vector.kind IS 'text or picture.';
COMMENT ON COLUMN imgsearch.query_vector.key IS 'SHA-256 of the canonical text, or of the picture''s bytes.';
COMMENT ON COLUMN imgsearch.query_vector.query IS 'The text, only while it waits: what people asked is not kept.';
COMMENT ON COLUMN imgsearch.query_vector.picture IS 'The picture''s bytes, only while it waits.';
COMMENT ON COLUMN imgsearch.query_vector.embedding IS 'The answer.';
COMMENT ON COLUMN imgsearch.query_vector.error_code IS 'Why there is no answer, for programs.';
COMMENT ON COLUMN imgsearch.query_vector.error IS 'Why there is no answer, for people.';
COMMENT ON COLUMN imgsearch.query_vector.claimed IS 'A query worker is on it until then.';
COMMENT ON COLUMN imgsearch.query_vector.asked_at IS 'When it was first asked.';
COMMENT ON COLUMN imgsearch.query_vector.answered_at IS 'When it was answered.';
COMMENT ON COLUMN imgsearch.query_vector.ticket IS 'What NOTIFY imgsearch_answer says when it is answered: everybody may listen, and learns nothing from it.';

CREATE TABLE imgsearch.worker (
    name       text        PRIMARY KEY,
    queue      text        NOT NULL,
    host       text        NOT NULL,
    pid        integer     NOT NULL,
    device     text        NOT NULL,
    space_id   integer     REFERENCES imgsearch.space ON DELETE SET NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    forward_at timestamptz,
    CONSTRAINT queue_is_known CHECK (queue IN ('images', 'queries', 'both'))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE imgsearch.worker IS 'Workers seen: each renews its row every few seconds.';
COMMENT ON COLUMN imgsearch.worker.name IS 'queue@host:pid.';
COMMENT ON COLUMN imgsearch.worker.queue IS 'What it works on: images, queries or both.';
COMMENT ON COLUMN imgsearch.worker.host IS 'Where it runs.';
COMMENT ON COLUMN imgsearch.worker.pid IS 'Its process there.';
COMMENT ON COLUMN imgsearch.worker.device IS 'Where its model runs: cpu, cuda:0, …';
COMMENT ON COLUMN imgsearch.worker.space_id IS 'The space it writes to.';
COMMENT ON COLUMN imgsearch.worker.started_at IS 'When it started.';
COMMENT ON COLUMN imgsearch.worker.seen_at IS 'Its last sign of life.';
COMMENT ON COLUMN imgsearch.worker.forward_at IS 'Its last forward pass that really ran.';

-- A few hundred random pictures, to guess how many match a filter and whether it favours the query's neighbourhood.
-- The columns are those of image, so that any WHERE on image fits.
CREATE TABLE imgsearch.image_sample (
    LIKE imgsearch.image INCLUDING COMMENTS,
    bits bit varying NOT NULL,
    PRIMARY KEY (tenant_id, image_id)
);
COMMENT ON TABLE imgsearch.image_sample IS 'A few hundred random pictures of the active space, from which a search guesses how many match. A stale sample costs time, never recall.';
COMMENT ON COLUMN imgsearch.image_sample.bits IS 'The picture''s bits in the active space.';

CREATE TABLE imgsearch.promoted_attribute (
    name        text        PRIMARY KEY,
    type        text        NOT NULL,
    column_name text        NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT type_is_known CHECK (type IN ('text', 'number', 'boolean'))
);
COMMENT ON TABLE imgsearch.promoted_attribute IS 'Attributes that have a column of their own. SELECT imgsearch.promote_attribute(''colour'', ''text'');';
COMMENT ON COLUMN imgsearch.promoted_attribute.name IS 'The attribute''s name in image.attributes.';
COMMENT ON COLUMN imgsearch.promoted_attribute.type IS 'text, number or boolean: values of another type stay in attributes alone and are found there.';
COMMENT ON COLUMN imgsearch.promoted_attribute.column_name IS 'Its column in image and image_sample.';
COMMENT ON COLUMN imgsearch.promoted_attribute.created_at IS 'When it was promoted.';

CREATE TABLE imgsearch.api_key (
    handle       text        PRIMARY KEY CONSTRAINT handle_is_named CHECK (handle <> ''),
    tenant_id    text        NOT NULL CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    scope        text        NOT NULL CONSTRAINT scope_is_known CHECK (scope IN ('search', 'write', 'admin')),
    name         text        NOT NULL,
    digest       bytea       NOT NULL CONSTRAINT digest_has_32_bytes CHECK (octet_length(digest) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    replaced_by  text,
    last_used_at timestamptz
) WITH (fillfactor = 70);  -- last_used_at changes in place
COMMENT ON TABLE imgsearch.api_key IS 'Keys of the HTTP API. Make one with: imgsearch key create --tenant acme --scope search';
COMMENT ON COLUMN imgsearch.api_key.handle IS 'The part of the key that may be shown: it finds the row and names the key in lists.';
COMMENT ON COLUMN imgsearch.api_key.tenant_id IS 'Whose pictures the key reaches, and no other''s.';
COMMENT ON COLUMN imgsearch.api_key.scope IS 'search (ask), write (and add and delete), admin (and read status and metrics).';
COMMENT ON COLUMN imgsearch.api_key.name IS 'What it is for, in your words.';
COMMENT ON COLUMN imgsearch.api_key.digest IS 'SHA-256 of the key''s secret part; the key itself is shown once and kept nowhere.';
COMMENT ON COLUMN imgsearch.api_key.created_at IS 'When it was made.';
COMMENT ON COLUMN imgsearch.api_key.expires_at IS 'When it stops working by itself; null: never.';
COMMENT ON COLUMN imgsearch.api_key.revoked_at IS 'When it was ended by hand; null: it was not.';
COMMENT ON COLUMN imgsearch.api_key.replaced_by IS 'The handle of the key that took its place; it works beside that one until expires_at.';
COMMENT ON COLUMN imgsearch.api_key.last_used_at IS 'When it was last used, to the minute.';

CREATE TABLE imgsearch.page_session (
    digest     bytea       PRIMARY KEY CONSTRAINT digest_has_32_bytes CHECK (octet_length(digest) = 32),
    handle     text        NOT NULL REFERENCES imgsearch.api_key ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE imgsearch.page_session IS 'Browsers that are signed in to the page; each ends with its key.';
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
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
COMMENT ON TABLE imgsearch.http_secret IS 'What web processes sign links to thumbnails with; replacing it makes every link given out so far useless.';
COMMENT ON COLUMN imgsearch.http_secret.only_one IS 'Keeps the table at one row.';
COMMENT ON COLUMN imgsearch.http_secret.secret IS '32 random bytes.';

DO $$
BEGIN
    PERFORM '[1]'::vector;  -- loads the library: its settings cannot be set before
    EXECUTE format('ALTER DATABASE %I SET hnsw.iterative_scan = %L', current_database(), 'strict_order');
    EXECUTE format('ALTER DATABASE %I SET hnsw.ef_search = %L', current_database(), '100');
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'imgsearch: not the owner of this database, so hnsw.iterative_scan stays as it is; ask its owner for: ALTER DATABASE % SET hnsw.iterative_scan = strict_order', current_database();
END $$;
