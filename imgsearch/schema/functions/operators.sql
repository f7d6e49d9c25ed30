-- pgvector's types and operators by names that hold wherever the extension is, also off the session's search_path.
-- The planner inlines them (SQL, no settings of their own, each argument named once), so that indexes answer as ever.

CREATE OR REPLACE FUNCTION imgsearch_internal.as_vector(written text) RETURNS halfvec LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT written::@extschema:vector@.halfvec
$$;
COMMENT ON FUNCTION imgsearch_internal.as_vector(text) IS 'A vector from its text form.';

CREATE OR REPLACE FUNCTION imgsearch_internal.as_vectors(written text[]) RETURNS halfvec[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT written::@extschema:vector@.halfvec[]
$$;
COMMENT ON FUNCTION imgsearch_internal.as_vectors(text[]) IS 'Vectors from their text forms.';

CREATE OR REPLACE FUNCTION imgsearch_internal.vector_from(numbers real[]) RETURNS halfvec LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT numbers::@extschema:vector@.halfvec
$$;
COMMENT ON FUNCTION imgsearch_internal.vector_from(real[]) IS 'A vector from its numbers.';

CREATE OR REPLACE FUNCTION imgsearch_internal.apart(a halfvec, b halfvec) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT a OPERATOR(@extschema:vector@.<=>) b
$$;
COMMENT ON FUNCTION imgsearch_internal.apart(halfvec, halfvec) IS 'The cosine distance of two vectors.';

CREATE OR REPLACE FUNCTION imgsearch_internal.differ(a bit, b bit) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT a OPERATOR(@extschema:vector@.<~>) b
$$;
COMMENT ON FUNCTION imgsearch_internal.differ(bit, bit) IS 'In how many places bits differ.';

-- 0.8.3 and 0.8.4 repair what vacuum does to an HNSW. Bits and exact comparison need none: nothing can be lost there.
CREATE OR REPLACE FUNCTION imgsearch_internal.may_have_graph() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_to_array(substring(e.extversion FROM '^\d+(?:\.\d+)*'), '.')::integer[] >= ARRAY[0, 8, 4] FROM pg_extension e WHERE e.extname = 'vector'
$$;
COMMENT ON FUNCTION imgsearch_internal.may_have_graph() IS 'Whether this pgvector keeps an HNSW whole; with one that does not none is made, and searches compare bits.';

-- pgvector's own 16 and 64 leave parts of a large catalogue that no walk reaches; as many bytes at 768 numbers
-- (docs/decisions/0037-graphs.md).
CREATE OR REPLACE FUNCTION imgsearch_internal.graph_sql() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT 'USING hnsw (embedding @extschema:vector@.halfvec_cosine_ops) WITH (m = 24, ef_construction = 200)'
$$;
COMMENT ON FUNCTION imgsearch_internal.graph_sql() IS 'What stands behind CREATE INDEX … ON a table of vectors for its HNSW.';
