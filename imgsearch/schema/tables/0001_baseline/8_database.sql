-- The database: what an upgrade made from which text, and settings of pgvector for consoles.

-- An upgrade makes anew only what changed since.
CREATE TABLE imgsearch.applied_object (
    object text PRIMARY KEY,
    digest text NOT NULL,
    found  text NOT NULL
);
COMMENT ON TABLE imgsearch.applied_object IS
    'Types, functions, views and triggers that an upgrade made; what is as it was made is left '
    'alone by the next one.';
COMMENT ON COLUMN imgsearch.applied_object.object IS 'Its kind and its name.';
COMMENT ON COLUMN imgsearch.applied_object.digest IS 'SHA-256 of the text it was made from.';
COMMENT ON COLUMN imgsearch.applied_object.found IS
    'MD5 of what the catalogue said of it then: another one was changed by hand, or by an older '
    'release.';

DO $$
BEGIN
    PERFORM '[1]'::vector;  -- loads the library: its settings cannot be set before
    EXECUTE format('ALTER DATABASE %I SET hnsw.iterative_scan = %L',
        current_database(), 'strict_order');
    EXECUTE format('ALTER DATABASE %I SET hnsw.ef_search = %L', current_database(), '100');
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'imgsearch: not the owner of this database, so hnsw.iterative_scan stays as it is;'
        ' ask its owner for: ALTER DATABASE % SET hnsw.iterative_scan = strict_order',
        current_database();
END $$;
