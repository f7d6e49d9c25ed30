-- Keys for browsers: filters that are part of a key, which a request can only narrow.

ALTER TABLE imgsearch.api_key ADD COLUMN filters jsonb
    CONSTRAINT filters_are_an_object CHECK (jsonb_typeof(filters) = 'object')
    CONSTRAINT filters_are_for_searching CHECK (filters IS NULL OR scope = 'search');
COMMENT ON COLUMN imgsearch.api_key.filters IS 'What every search with this key is kept within, as imgsearch.filters_of() reads it; null: all of the tenant''s images. A key with filters may stand in a browser.';
