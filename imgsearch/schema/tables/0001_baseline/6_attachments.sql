-- Tables of yours that image follows, and what could not follow.

CREATE TABLE imgsearch.attachment (
    attachment_id integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        NOT NULL UNIQUE,
    relation      regclass    UNIQUE,
    query         text,
    pictures      regclass,
    prefix        text        NOT NULL UNIQUE,
    key_columns   name[]      NOT NULL,
    key_types     text[]      NOT NULL,
    mapping       jsonb       NOT NULL,
    resolved      jsonb       NOT NULL,
    generated     text,
    attached_at   timestamptz,
    backfilled_to text,
    backfilled_at timestamptz,
    CONSTRAINT table_or_query CHECK ((relation IS NULL) = (query IS NOT NULL))
);
COMMENT ON TABLE imgsearch.attachment IS
    'Tables and queries of yours that image is kept in step with; look at the view attachments.';
COMMENT ON COLUMN imgsearch.attachment.attachment_id IS
    'Names the functions attached_<attachment_id> and attached_<attachment_id>_write.';
COMMENT ON COLUMN imgsearch.attachment.name IS
    'The table as it was called when it was attached, or the name of the query.';
COMMENT ON COLUMN imgsearch.attachment.relation IS
    'The table with a row per product; null: a query.';
COMMENT ON COLUMN imgsearch.attachment.query IS 'The query with a row per product; null: a table.';
COMMENT ON COLUMN imgsearch.attachment.pictures IS
    'The table with a row per picture, where it is another one.';
COMMENT ON COLUMN imgsearch.attachment.prefix IS
    'Stands before the key in product_id, so that the keys of two tables never meet.';
COMMENT ON COLUMN imgsearch.attachment.key_columns IS
    'What tells rows apart, as it was called then: the key, after the tenant''s column where the '
    'key is unique only with it.';
COMMENT ON COLUMN imgsearch.attachment.key_types IS 'Their types.';
COMMENT ON COLUMN imgsearch.attachment.mapping IS 'What attach() was asked for.';
COMMENT ON COLUMN imgsearch.attachment.resolved IS
    'The same with every name in full and columns by number, as functions and triggers are '
    'written from it.';
COMMENT ON COLUMN imgsearch.attachment.generated IS
    'Digest of the functions and the triggers that were written.';
COMMENT ON COLUMN imgsearch.attachment.attached_at IS
    'Since when triggers keep it in step; null: detached, its pictures were kept.';
COMMENT ON COLUMN imgsearch.attachment.backfilled_to IS 'Rows up to this key have been copied.';
COMMENT ON COLUMN imgsearch.attachment.backfilled_at IS
    'When the last of the rows that were there before had been copied.';

-- Your statement always succeeds: what could not follow it stands here.
CREATE TABLE imgsearch.attachment_failure (
    attachment_id integer     NOT NULL REFERENCES imgsearch.attachment ON DELETE CASCADE,
    key           text        NOT NULL,
    tenant_id     text        NOT NULL DEFAULT '',
    product_id    text        NOT NULL,
    error_code    text        NOT NULL,
    error         text        NOT NULL,
    times         integer     NOT NULL DEFAULT 1,
    failed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (attachment_id, key)
);
COMMENT ON TABLE imgsearch.attachment_failure IS
    'Rows of attached tables that were written but could not be followed, and why. SELECT '
    'imgsearch.repair(''shop.product'') tries them again.';
COMMENT ON COLUMN imgsearch.attachment_failure.attachment_id IS 'The attached table.';
COMMENT ON COLUMN imgsearch.attachment_failure.key IS
    'The key of its row; empty: rows that are not known one by one.';
COMMENT ON COLUMN imgsearch.attachment_failure.tenant_id IS
    'Whose row, where pictures of it tell; else empty.';
COMMENT ON COLUMN imgsearch.attachment_failure.product_id IS
    'The product of that key; the name of the table where rows are not known one by one.';
COMMENT ON COLUMN imgsearch.attachment_failure.error_code IS 'The SQLSTATE.';
COMMENT ON COLUMN imgsearch.attachment_failure.error IS 'What went wrong, in words.';
COMMENT ON COLUMN imgsearch.attachment_failure.times IS 'How often, in a row.';
COMMENT ON COLUMN imgsearch.attachment_failure.failed_at IS 'When it last did.';
