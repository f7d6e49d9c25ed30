-- What a product is called: the words that a search finds beside its looks. One row per product, for one that has words.
-- A text search configuration is kept by its name: pg_upgrade refuses columns of type regconfig.

CREATE TABLE imgsearch.shop (
    tenant_id      text        NOT NULL PRIMARY KEY,
    language       text        NOT NULL DEFAULT 'simple',
    keep_questions boolean     NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenant_is_named CHECK (tenant_id <> '')
);
COMMENT ON TABLE imgsearch.shop IS 'Settings of a tenant that differ from what goes without saying; a tenant without a row is as the defaults are.';
COMMENT ON COLUMN imgsearch.shop.tenant_id IS 'Whose settings.';
COMMENT ON COLUMN imgsearch.shop.language IS 'The language of its titles and words: a text search configuration. Set it with imgsearch.set_shop().';
COMMENT ON COLUMN imgsearch.shop.keep_questions IS 'Whether texts that were searched for are kept, to suggest them to others; off unless the shop says so.';
COMMENT ON COLUMN imgsearch.shop.created_at IS 'When it was first set.';

CREATE TABLE imgsearch.product (
    tenant_id     text        NOT NULL,
    product_id    text        NOT NULL,
    title         text,
    words         text,
    codes         text[]      NOT NULL DEFAULT '{}',
    language      text,
    document      tsvector    NOT NULL,
    keys          text[]      NOT NULL,
    attachment_id integer,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, product_id),
    CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    CONSTRAINT product_is_named CHECK (product_id <> ''),
    CONSTRAINT title_has_1000_characters CHECK (length(title) <= 1000),
    CONSTRAINT words_have_10000_characters CHECK (length(words) <= 10000),
    CONSTRAINT codes_are_at_most_100 CHECK (cardinality(codes) <= 100 AND array_position(codes, NULL) IS NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- Without a pending list, which every search would have to read through after a load.
CREATE INDEX product_by_words ON imgsearch.product USING gin (document) WITH (fastupdate = off);
CREATE INDEX product_by_code ON imgsearch.product USING gin (keys) WITH (fastupdate = off);
COMMENT ON TABLE imgsearch.product IS 'What a product is called: title, words and codes, beside the pictures in image. It goes with the product''s last picture.';
COMMENT ON COLUMN imgsearch.product.tenant_id IS 'Whose product.';
COMMENT ON COLUMN imgsearch.product.product_id IS 'Your key of the product, as in image.';
COMMENT ON COLUMN imgsearch.product.title IS 'What it is called; at most 1,000 characters.';
COMMENT ON COLUMN imgsearch.product.words IS 'Any other words to find it by; at most 10,000 characters.';
COMMENT ON COLUMN imgsearch.product.codes IS 'SKU, EAN and the like: found whole, before anything else. At most 100.';
COMMENT ON COLUMN imgsearch.product.language IS 'The language of title and words: a text search configuration; the shop''s where none is given.';
COMMENT ON COLUMN imgsearch.product.document IS 'Title and words as they are searched, and a mark of the tenant; written by a trigger.';
COMMENT ON COLUMN imgsearch.product.keys IS 'Codes and product id as they are searched: small letters and digits alone; written by a trigger.';
COMMENT ON COLUMN imgsearch.product.attachment_id IS 'The attached table that these words come from; null: they were added by hand.';
COMMENT ON COLUMN imgsearch.product.updated_at IS 'When its words last changed.';

-- Not unique: whoever adds a new word waits for nobody who adds the same; refresh_vocabulary() makes one row of two.
CREATE TABLE imgsearch.vocabulary (
    tenant_id  text     NOT NULL,
    word       text     COLLATE "C" NOT NULL,
    products   integer,
    pieces     bigint[] NOT NULL,
    counted_at timestamptz
) WITH (fillfactor = 80);  -- counts change in place
CREATE INDEX vocabulary_by_word ON imgsearch.vocabulary (tenant_id, word);
CREATE INDEX vocabulary_by_pieces ON imgsearch.vocabulary USING gin (pieces) WITH (fastupdate = off);
COMMENT ON TABLE imgsearch.vocabulary IS 'Every word of a tenant''s titles and words: how common it is, and what mends a misspelt one. A stale count costs time and order, never a row.';
COMMENT ON COLUMN imgsearch.vocabulary.tenant_id IS 'Whose word.';
COMMENT ON COLUMN imgsearch.vocabulary.word IS 'As it is written, in small letters without accents; empty: the row that counts all products.';
COMMENT ON COLUMN imgsearch.vocabulary.products IS 'How many products had it when that was last counted; null: not yet.';
COMMENT ON COLUMN imgsearch.vocabulary.pieces IS 'What is left of it without one of its letters, as numbers: a misspelling leaves the same.';
COMMENT ON COLUMN imgsearch.vocabulary.counted_at IS 'When the tenant''s words were counted; of the empty word alone.';

CREATE TABLE imgsearch.past_question (
    tenant_id text        NOT NULL,
    words     text        COLLATE "C" NOT NULL,
    asked     integer     NOT NULL DEFAULT 1,
    asked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, words),
    CONSTRAINT words_have_100_characters CHECK (length(words) <= 100)
) WITH (fillfactor = 70);
COMMENT ON TABLE imgsearch.past_question IS 'Texts that were searched for, of shops that keep them (shop.keep_questions); suggested once several have asked them.';
COMMENT ON COLUMN imgsearch.past_question.tenant_id IS 'Whose shop.';
COMMENT ON COLUMN imgsearch.past_question.words IS 'The text in small letters, single spaces.';
COMMENT ON COLUMN imgsearch.past_question.asked IS 'How often.';
COMMENT ON COLUMN imgsearch.past_question.asked_at IS 'When last.';
