-- The shop: settings of tenants, what products are called, and what stands first.
-- A text search configuration is kept by its name: pg_upgrade refuses columns of type regconfig.

CREATE TABLE imgsearch.shop (
    tenant_id      text        NOT NULL PRIMARY KEY,
    language       text        NOT NULL DEFAULT 'simple',
    keep_questions boolean     NOT NULL DEFAULT false,
    duplicates     text        NOT NULL DEFAULT 'keep',
    describe_pictures boolean  NOT NULL DEFAULT false,
    keep_captures  boolean     NOT NULL DEFAULT false,
    region_proposer text,
    regions_per_picture smallint NOT NULL DEFAULT 5,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    CONSTRAINT duplicates_is_known CHECK (duplicates IN ('keep', 'link', 'refuse')),
    CONSTRAINT region_proposer_is_known
        CHECK (region_proposer ~ '^(grid|salient|detector:\S.{0,199})$'),
    CONSTRAINT regions_per_picture_are_few CHECK (regions_per_picture BETWEEN 1 AND 9)
);
COMMENT ON TABLE imgsearch.shop IS
    'Settings of a tenant that differ from what goes without saying; a tenant without a row is '
    'as the defaults are.';
COMMENT ON COLUMN imgsearch.shop.tenant_id IS 'Whose settings.';
COMMENT ON COLUMN imgsearch.shop.language IS
    'The language of its titles and words: a text search configuration. Set it with '
    'imgsearch.set_shop().';
COMMENT ON COLUMN imgsearch.shop.keep_questions IS
    'Whether texts that were searched for are kept, to suggest them to others; off unless the '
    'shop says so.';
COMMENT ON COLUMN imgsearch.shop.duplicates IS
    'What becomes of a new picture that is certainly a duplicate: keep (nobody looks for '
    'others), link (it is marked), refuse (it fails with the code duplicate).';
COMMENT ON COLUMN imgsearch.shop.describe_pictures IS
    'Whether colours and composition of its pictures become attributes (picture_colours, '
    'picture_shape, …); off unless the shop says so.';
COMMENT ON COLUMN imgsearch.shop.keep_captures IS
    'Whether it is kept when and where its pictures were taken; off unless the shop says so.';
COMMENT ON COLUMN imgsearch.shop.region_proposer IS
    'Who says which parts its pictures are found by: salient, grid, detector:NAME; null: nobody, '
    'pictures are found as wholes.';
COMMENT ON COLUMN imgsearch.shop.regions_per_picture IS
    'How many parts of a picture get a vector at most.';
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
    CONSTRAINT codes_are_at_most_100
        CHECK (cardinality(codes) <= 100 AND array_position(codes, NULL) IS NULL)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- Without a pending list, which every search would have to read through after a load.
CREATE INDEX product_by_words ON imgsearch.product USING gin (document) WITH (fastupdate = off);
CREATE INDEX product_by_code ON imgsearch.product USING gin (keys) WITH (fastupdate = off);
COMMENT ON TABLE imgsearch.product IS
    'What a product is called: title, words and codes, beside the pictures in image. It goes '
    'with the product''s last picture.';
COMMENT ON COLUMN imgsearch.product.tenant_id IS 'Whose product.';
COMMENT ON COLUMN imgsearch.product.product_id IS 'Your key of the product, as in image.';
COMMENT ON COLUMN imgsearch.product.title IS 'What it is called; at most 1,000 characters.';
COMMENT ON COLUMN imgsearch.product.words IS
    'Any other words to find it by; at most 10,000 characters.';
COMMENT ON COLUMN imgsearch.product.codes IS
    'SKU, EAN and the like: found whole, before anything else. At most 100.';
COMMENT ON COLUMN imgsearch.product.language IS
    'The language of title and words: a text search configuration; the shop''s where none is '
    'given.';
COMMENT ON COLUMN imgsearch.product.document IS
    'Title and words as they are searched, and a mark of the tenant; written by a trigger.';
COMMENT ON COLUMN imgsearch.product.keys IS
    'Codes and product id as they are searched: small letters and digits alone; written by a '
    'trigger.';
COMMENT ON COLUMN imgsearch.product.attachment_id IS
    'The attached table that these words come from; null: they were added by hand.';
COMMENT ON COLUMN imgsearch.product.updated_at IS 'When its words last changed.';

-- Not unique: whoever adds a new word waits for nobody who adds the same; refresh_vocabulary()
-- makes one row of two.
CREATE TABLE imgsearch.vocabulary (
    tenant_id  text     NOT NULL,
    word       text     COLLATE "C" NOT NULL,
    products   integer,
    pieces     bigint[] NOT NULL,
    counted_at timestamptz
) WITH (fillfactor = 80);  -- counts change in place
CREATE INDEX vocabulary_by_word ON imgsearch.vocabulary (tenant_id, word);
CREATE INDEX vocabulary_by_pieces ON imgsearch.vocabulary USING gin (pieces)
    WITH (fastupdate = off);
-- Without a key all of a row says which one it is: a publication for all tables refuses it else.
ALTER TABLE imgsearch.vocabulary REPLICA IDENTITY FULL;
COMMENT ON TABLE imgsearch.vocabulary IS
    'Every word of a tenant''s titles and words: how common it is, and what mends a misspelt '
    'one. A stale count costs time and order, never a row.';
COMMENT ON COLUMN imgsearch.vocabulary.tenant_id IS 'Whose word.';
COMMENT ON COLUMN imgsearch.vocabulary.word IS
    'As it is written, in small letters without accents; empty: the row that counts all products.';
COMMENT ON COLUMN imgsearch.vocabulary.products IS
    'How many products had it when that was last counted; null: not yet.';
COMMENT ON COLUMN imgsearch.vocabulary.pieces IS
    'What is left of it without one of its letters, as numbers: a misspelling leaves the same.';
COMMENT ON COLUMN imgsearch.vocabulary.counted_at IS
    'When the tenant''s words were counted; of the empty word alone.';

CREATE TABLE imgsearch.past_question (
    tenant_id text        NOT NULL,
    words     text        COLLATE "C" NOT NULL,
    asked     integer     NOT NULL DEFAULT 1,
    asked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, words),
    CONSTRAINT words_have_100_characters CHECK (length(words) <= 100)
) WITH (fillfactor = 70);
COMMENT ON TABLE imgsearch.past_question IS
    'Texts that were searched for, of shops that keep them (shop.keep_questions); suggested once '
    'several have asked them.';
COMMENT ON COLUMN imgsearch.past_question.tenant_id IS 'Whose shop.';
COMMENT ON COLUMN imgsearch.past_question.words IS 'The text in small letters, single spaces.';
COMMENT ON COLUMN imgsearch.past_question.asked IS 'How often.';
COMMENT ON COLUMN imgsearch.past_question.asked_at IS 'When last.';

CREATE TABLE imgsearch.merchandise (
    tenant_id  text        NOT NULL,
    query      text        NOT NULL DEFAULT '',
    category   text        NOT NULL DEFAULT '',
    product_id text        NOT NULL,
    place      integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, query, category, product_id),
    CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    CONSTRAINT product_is_named CHECK (product_id <> ''),
    CONSTRAINT place_is_one_of_25 CHECK (place BETWEEN 1 AND 25),
    CONSTRAINT query_has_2000_characters CHECK (length(query) <= 2000),
    CONSTRAINT category_has_1000_characters CHECK (length(category) <= 1000)
);
COMMENT ON TABLE imgsearch.merchandise IS
    'Products that stand first, or never stand, in a tenant''s answers: SELECT '
    'imgsearch.pin(''acme'', ''p42'', query => ''red shoe'').';
COMMENT ON COLUMN imgsearch.merchandise.tenant_id IS 'Whose answers.';
COMMENT ON COLUMN imgsearch.merchandise.query IS
    'For this text, as questions are compared: imgsearch_internal.canonical(). Empty: whatever '
    'is asked.';
COMMENT ON COLUMN imgsearch.merchandise.category IS
    'Where this category alone is asked for; empty: whatever the filters.';
COMMENT ON COLUMN imgsearch.merchandise.product_id IS 'Which product.';
COMMENT ON COLUMN imgsearch.merchandise.place IS 'Where it is pinned, 1 first; null: it is hidden.';
COMMENT ON COLUMN imgsearch.merchandise.created_at IS 'Since when.';
