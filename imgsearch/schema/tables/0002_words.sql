-- What a product is called: the words that a search finds beside its looks. One row per product, for one that has words.

CREATE TABLE imgsearch.product (
    tenant_id  text        NOT NULL,
    product_id text        NOT NULL,
    title      text,
    words      text,
    codes      text[]      NOT NULL DEFAULT '{}',
    language   regconfig   NOT NULL DEFAULT 'pg_catalog.simple',
    document   tsvector    GENERATED ALWAYS AS (setweight(to_tsvector(language, coalesce(title, '')), 'A') || setweight(to_tsvector(language, coalesce(words, '')), 'B')) STORED,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, product_id),
    CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    CONSTRAINT product_is_named CHECK (product_id <> '')
);
COMMENT ON TABLE imgsearch.product IS 'What a product is called: title, words and codes, beside the pictures in image.';
COMMENT ON COLUMN imgsearch.product.tenant_id IS 'Whose product.';
COMMENT ON COLUMN imgsearch.product.product_id IS 'Your key of the product, as in image.';
COMMENT ON COLUMN imgsearch.product.title IS 'What it is called.';
COMMENT ON COLUMN imgsearch.product.words IS 'Any other words to find it by.';
COMMENT ON COLUMN imgsearch.product.codes IS 'SKU, EAN and the like: found whole, before anything else.';
COMMENT ON COLUMN imgsearch.product.language IS 'The language of title and words: a text search configuration.';
COMMENT ON COLUMN imgsearch.product.document IS 'Title and words as they are searched.';
COMMENT ON COLUMN imgsearch.product.updated_at IS 'When its words last changed.';
