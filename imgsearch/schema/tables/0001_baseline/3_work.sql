-- Work: pictures that wait for a vector, questions that wait for one, and who works on them.

CREATE TABLE imgsearch.job (
    tenant_id  text        NOT NULL,
    image_id   bigint      NOT NULL,
    space_id   integer     NOT NULL DEFAULT 0,
    state      text        NOT NULL DEFAULT 'pending',
    due        timestamptz NOT NULL DEFAULT now(),
    lease      timestamptz,
    token      uuid,
    worker     text,
    attempts   integer     NOT NULL DEFAULT 0,
    error_code text,
    error      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    anew       boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, image_id, space_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE,
    CONSTRAINT state_is_known CHECK (state IN ('pending', 'leased', 'failed')),
    CONSTRAINT leased_has_lease_and_token
        CHECK ((state = 'leased') = (lease IS NOT NULL AND token IS NOT NULL)),
    CONSTRAINT failed_has_reason CHECK (state <> 'failed' OR error_code IS NOT NULL)
) WITH (
    -- Small and hot: every row is updated at least once and deleted within seconds. Dead rows slow
    -- the claim, so vacuum after 1,000 of them whatever the size, and leave room on the page for
    -- the lease update.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.1
);
CREATE INDEX job_pending ON imgsearch.job (space_id, due) WHERE state = 'pending';
CREATE INDEX job_leased ON imgsearch.job (lease) WHERE state = 'leased';
COMMENT ON TABLE imgsearch.job IS
    'The queue of record: one row per picture and space that is waiting, leased or failed. '
    'Delivery deletes it.';
COMMENT ON COLUMN imgsearch.job.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.job.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.job.space_id IS
    'For which space it is to be embedded; 0: for the first there will be.';
COMMENT ON COLUMN imgsearch.job.state IS
    'pending (waits), leased (a worker has it), failed (set aside, see error).';
COMMENT ON COLUMN imgsearch.job.due IS 'Not claimed before this moment (back-off).';
COMMENT ON COLUMN imgsearch.job.lease IS 'The worker''s claim ends here unless it is extended.';
COMMENT ON COLUMN imgsearch.job.token IS
    'Fence: only the holder of this token may deliver or fail the picture.';
COMMENT ON COLUMN imgsearch.job.worker IS 'Who claimed it last.';
COMMENT ON COLUMN imgsearch.job.attempts IS
    'Claims so far; counted at the claim, so that a crash counts.';
COMMENT ON COLUMN imgsearch.job.error_code IS 'Why the last attempt failed, for programs.';
COMMENT ON COLUMN imgsearch.job.error IS 'Why the last attempt failed, for people.';
COMMENT ON COLUMN imgsearch.job.created_at IS 'When the picture began to wait.';
COMMENT ON COLUMN imgsearch.job.anew IS
    'The address is read anew; the vector of before answers until other bytes are embedded.';

CREATE TABLE imgsearch.query_vector (
    tenant_id   text        NOT NULL DEFAULT '',
    space_id    integer     NOT NULL REFERENCES imgsearch.space ON DELETE CASCADE,
    kind        text        NOT NULL,
    key         bytea       NOT NULL,
    query       text,
    picture     bytea,
    embedding   halfvec,
    boxes       real[],
    tokens      integer,
    tokens_read integer,
    error_code  text,
    error       text,
    claimed     timestamptz,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    ticket      uuid        NOT NULL DEFAULT gen_random_uuid(),
    PRIMARY KEY (tenant_id, kind, key, space_id),
    CONSTRAINT kind_is_known CHECK (kind IN ('text', 'picture')),
    CONSTRAINT waiting_has_a_question
        CHECK (answered_at IS NOT NULL OR query IS NOT NULL OR picture IS NOT NULL),
    CONSTRAINT answered_has_an_answer
        CHECK (answered_at IS NULL OR embedding IS NOT NULL OR error_code IS NOT NULL)
);
CREATE INDEX query_vector_waiting ON imgsearch.query_vector (asked_at) WHERE answered_at IS NULL;
COMMENT ON TABLE imgsearch.query_vector IS
    'Texts and pictures already asked → vector, shared by psql, web processes and workers; each '
    'tenant has its own, so that none learns what another asked.';
COMMENT ON COLUMN imgsearch.query_vector.tenant_id IS
    'Who asked; empty: somebody who stands above tenants.';
COMMENT ON COLUMN imgsearch.query_vector.space_id IS 'The space the vector belongs to.';
COMMENT ON COLUMN imgsearch.query_vector.kind IS 'text or picture.';
COMMENT ON COLUMN imgsearch.query_vector.key IS
    'SHA-256 of the canonical text, or of the picture''s bytes.';
COMMENT ON COLUMN imgsearch.query_vector.query IS
    'The text, only while it waits: what people asked is not kept.';
COMMENT ON COLUMN imgsearch.query_vector.picture IS 'The picture''s bytes, only while it waits.';
COMMENT ON COLUMN imgsearch.query_vector.embedding IS 'The answer.';
COMMENT ON COLUMN imgsearch.query_vector.boxes IS
    'Of a picture: parts that stand out, x, y, w, h in shares of its sides each, for a page to '
    'propose.';
COMMENT ON COLUMN imgsearch.query_vector.tokens IS
    'How many tokens the text has, where the model did not read all of them.';
COMMENT ON COLUMN imgsearch.query_vector.tokens_read IS 'How many of them it read.';
COMMENT ON COLUMN imgsearch.query_vector.error_code IS 'Why there is no answer, for programs.';
COMMENT ON COLUMN imgsearch.query_vector.error IS 'Why there is no answer, for people.';
COMMENT ON COLUMN imgsearch.query_vector.claimed IS 'A query worker is on it until then.';
COMMENT ON COLUMN imgsearch.query_vector.asked_at IS 'When it was first asked.';
COMMENT ON COLUMN imgsearch.query_vector.answered_at IS 'When it was answered.';
COMMENT ON COLUMN imgsearch.query_vector.ticket IS
    'What NOTIFY imgsearch_answer says when it is answered: everybody may listen, and learns '
    'nothing from it.';

CREATE TABLE imgsearch.second_look (
    tenant_id   text        NOT NULL DEFAULT '',
    ticket      uuid        NOT NULL DEFAULT gen_random_uuid(),
    space_id    integer     NOT NULL,
    steps       jsonb       NOT NULL,
    question    jsonb       NOT NULL,
    picture     bytea,
    images      bigint[]    NOT NULL,
    pool        jsonb       NOT NULL,
    belongs_to  text        NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    until       timestamptz NOT NULL,
    claimed     timestamptz,
    answered_at timestamptz,
    answer      jsonb,
    PRIMARY KEY (tenant_id, ticket),
    CONSTRAINT answered_has_an_order CHECK (answered_at IS NULL OR answer IS NOT NULL),
    CONSTRAINT pool_is_small CHECK (cardinality(images) <= 500)
);
-- Apart from CREATE TABLE, which takes STORAGE from PostgreSQL 16 on only.
ALTER TABLE imgsearch.second_look ALTER COLUMN picture SET STORAGE EXTERNAL;
CREATE INDEX second_look_waiting ON imgsearch.second_look (asked_at) WHERE claimed IS NULL;
COMMENT ON TABLE imgsearch.second_look IS
    'The first rows of answers, to be ranked anew by workers; kept for an hour, so that further '
    'pages show the same order.';
COMMENT ON COLUMN imgsearch.second_look.tenant_id IS
    'Whose pictures it is about, and the only ones its worker reads; empty: of somebody who '
    'stands above tenants.';
COMMENT ON COLUMN imgsearch.second_look.ticket IS
    'What NOTIFY imgsearch_answer says when it is answered, and what cursors name.';
COMMENT ON COLUMN imgsearch.second_look.space_id IS 'The space in which vectors are compared.';
COMMENT ON COLUMN imgsearch.second_look.steps IS 'The steps with their parameters, in order.';
COMMENT ON COLUMN imgsearch.second_look.question IS
    'Its text, vector and image, only while it waits.';
COMMENT ON COLUMN imgsearch.second_look.picture IS
    'The picture that was asked with, only while it waits.';
COMMENT ON COLUMN imgsearch.second_look.images IS 'The rows by their images, best first.';
COMMENT ON COLUMN imgsearch.second_look.pool IS
    'The same rows with their products, distances and cursors, and how they were found.';
COMMENT ON COLUMN imgsearch.second_look.belongs_to IS
    'Tells its question, filters, ranking and steps from others.';
COMMENT ON COLUMN imgsearch.second_look.asked_at IS 'When it was asked.';
COMMENT ON COLUMN imgsearch.second_look.until IS 'When its asker gives up.';
COMMENT ON COLUMN imgsearch.second_look.claimed IS 'When a worker took it; none takes it again.';
COMMENT ON COLUMN imgsearch.second_look.answered_at IS 'When it was answered.';
COMMENT ON COLUMN imgsearch.second_look.answer IS
    'The new order as places in images, from 0, what each step did, and what it says of single '
    'rows.';

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
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 500
);
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

CREATE TABLE imgsearch.upkeep_failure (
    step      text        PRIMARY KEY,
    times     integer     NOT NULL DEFAULT 1,
    error     text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    failed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE imgsearch.upkeep_failure IS
    'Steps of upkeep that failed when they were last tried; one that succeeds has no row.';
COMMENT ON COLUMN imgsearch.upkeep_failure.step IS 'Its name, as the log of the workers has it.';
COMMENT ON COLUMN imgsearch.upkeep_failure.times IS 'How often in a row.';
COMMENT ON COLUMN imgsearch.upkeep_failure.error IS 'What it failed at, the last time.';
COMMENT ON COLUMN imgsearch.upkeep_failure.since IS 'When it failed first.';
COMMENT ON COLUMN imgsearch.upkeep_failure.failed_at IS 'When it failed last.';
