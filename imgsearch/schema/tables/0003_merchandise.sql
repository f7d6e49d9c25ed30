-- What a shop pins to the top of an answer, and what it hides.

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
COMMENT ON TABLE imgsearch.merchandise IS 'Products that stand first, or never stand, in a tenant''s answers: SELECT imgsearch.pin(''acme'', ''p42'', query => ''red shoe'').';
COMMENT ON COLUMN imgsearch.merchandise.tenant_id IS 'Whose answers.';
COMMENT ON COLUMN imgsearch.merchandise.query IS 'For this text, as questions are compared: imgsearch_internal.canonical(). Empty: whatever is asked.';
COMMENT ON COLUMN imgsearch.merchandise.category IS 'Where this category alone is asked for; empty: whatever the filters.';
COMMENT ON COLUMN imgsearch.merchandise.product_id IS 'Which product.';
COMMENT ON COLUMN imgsearch.merchandise.place IS 'Where it is pinned, 1 first; null: it is hidden.';
COMMENT ON COLUMN imgsearch.merchandise.created_at IS 'Since when.';
