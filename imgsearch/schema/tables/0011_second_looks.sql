-- A second look at the first of an answer: what is asked of the workers, and in which order the rows belong.

CREATE TABLE IF NOT EXISTS imgsearch.second_look (
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
CREATE INDEX IF NOT EXISTS second_look_waiting ON imgsearch.second_look (asked_at) WHERE claimed IS NULL;
COMMENT ON TABLE imgsearch.second_look IS 'The first rows of answers, to be ranked anew by workers; kept for an hour, so that further pages show the same order.';
COMMENT ON COLUMN imgsearch.second_look.tenant_id IS 'Whose pictures it is about, and the only ones its worker reads; empty: of somebody who stands above tenants.';
COMMENT ON COLUMN imgsearch.second_look.ticket IS 'What NOTIFY imgsearch_answer says when it is answered, and what cursors name.';
COMMENT ON COLUMN imgsearch.second_look.space_id IS 'The space in which vectors are compared.';
COMMENT ON COLUMN imgsearch.second_look.steps IS 'The steps with their parameters, in order.';
COMMENT ON COLUMN imgsearch.second_look.question IS 'Its text, vector and image, only while it waits.';
COMMENT ON COLUMN imgsearch.second_look.picture IS 'The picture that was asked with, only while it waits.';
COMMENT ON COLUMN imgsearch.second_look.images IS 'The rows by their images, best first.';
COMMENT ON COLUMN imgsearch.second_look.pool IS 'The same rows with their products, distances and cursors, and how they were found.';
COMMENT ON COLUMN imgsearch.second_look.belongs_to IS 'Tells its question, filters, ranking and steps from others.';
COMMENT ON COLUMN imgsearch.second_look.asked_at IS 'When it was asked.';
COMMENT ON COLUMN imgsearch.second_look.until IS 'When its asker gives up.';
COMMENT ON COLUMN imgsearch.second_look.claimed IS 'When a worker took it; none takes it again.';
COMMENT ON COLUMN imgsearch.second_look.answered_at IS 'When it was answered.';
COMMENT ON COLUMN imgsearch.second_look.answer IS 'The new order as places in images, from 0, what each step did, and what it says of single rows.';
