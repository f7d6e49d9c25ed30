-- Rows to be ordered, as arrays: made of what find() found, picked from, and marked so that a cursor can name them.

-- Eight letters for 48 bits. Of two rows with the same mark one would be left out: with 200 rows that is one window of
-- ten thousand million.
CREATE OR REPLACE FUNCTION imgsearch_internal.mark_of(tenant text, key text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT translate(encode(substring(decode(md5(tenant || E'\x01' || key), 'hex') FROM 1 FOR 6), 'base64'), '+/', '_-')
$$;
COMMENT ON FUNCTION imgsearch_internal.mark_of(text, text) IS 'What tells a row in a cursor; it never holds an id of the table.';

CREATE OR REPLACE FUNCTION imgsearch_internal.marks_in(listed text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT substring(listed FROM n FOR 8) FROM generate_series(1, length(listed), 8) n)
$$;
COMMENT ON FUNCTION imgsearch_internal.marks_in(text) IS 'The marks of a list.';

CREATE OR REPLACE FUNCTION imgsearch_internal.pool_of(answer imgsearch_internal.page) RETURNS imgsearch_internal.pool LANGUAGE plpgsql STABLE AS $$
DECLARE
    pool imgsearch_internal.pool;
BEGIN
    pool.tenants := answer.tenants; pool.images := answer.images; pool.distances := answer.distances;
    pool.keys := CASE WHEN answer.products IS NOT NULL THEN answer.products ELSE ARRAY(
        SELECT i.product_id || E'\x01' || i.position FROM unnest(answer.tenants, answer.images) WITH ORDINALITY u (tenant_id, image_id, place)
        LEFT JOIN imgsearch.image i ON i.tenant_id = u.tenant_id AND i.image_id = u.image_id ORDER BY u.place) END;
    pool.scores := ARRAY(SELECT 1 - d.d FROM unnest(answer.distances) WITH ORDINALITY d (d, place) ORDER BY d.place);
    pool.marks := ARRAY(SELECT imgsearch_internal.mark_of(u.tenant, u.key) FROM unnest(pool.tenants, pool.keys) WITH ORDINALITY u (tenant, key, place) ORDER BY u.place);
    pool.firsts := array_fill(false, ARRAY[cardinality(pool.images)]);
    RETURN pool;
END $$;
COMMENT ON FUNCTION imgsearch_internal.pool_of(imgsearch_internal.page) IS 'What was found as rows to be ordered: by their distance, so far.';

CREATE OR REPLACE FUNCTION imgsearch_internal.picked(pool imgsearch_internal.pool, chosen integer[]) RETURNS imgsearch_internal.pool LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(coalesce(array_agg(u.tenant ORDER BY c.place), '{}'), coalesce(array_agg(u.key ORDER BY c.place), '{}'), coalesce(array_agg(u.image ORDER BY c.place), '{}'),
               coalesce(array_agg(u.distance ORDER BY c.place), '{}'), coalesce(array_agg(u.score ORDER BY c.place), '{}'), coalesce(array_agg(u.first ORDER BY c.place), '{}'),
               coalesce(array_agg(u.mark ORDER BY c.place), '{}'), coalesce(array_agg(u.class ORDER BY c.place), '{}'), coalesce(array_agg(u.number ORDER BY c.place), '{}'),
               coalesce(array_agg(u.text ORDER BY c.place), '{}'), NULL, NULL)::imgsearch_internal.pool
    FROM unnest(chosen) WITH ORDINALITY c (n, place)
    JOIN unnest((pool).tenants, (pool).keys, (pool).images, (pool).distances, (pool).scores, (pool).firsts, (pool).marks, (pool).classes, (pool).numbers, (pool).texts)
        WITH ORDINALITY u (tenant, key, image, distance, score, first, mark, class, number, text, n) ON u.n = c.n
$$;
COMMENT ON FUNCTION imgsearch_internal.picked(imgsearch_internal.pool, integer[]) IS 'Those of the rows that were chosen, in the order of the choice.';

CREATE OR REPLACE FUNCTION imgsearch_internal.without_marks(pool imgsearch_internal.pool, marks text[]) RETURNS imgsearch_internal.pool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF marks = '{}' THEN
        RETURN pool;
    END IF;
    RETURN imgsearch_internal.picked(pool, ARRAY(SELECT m.n::integer FROM unnest(pool.marks) WITH ORDINALITY m (mark, n) WHERE m.mark <> ALL (marks) ORDER BY m.n));
END $$;
COMMENT ON FUNCTION imgsearch_internal.without_marks(imgsearch_internal.pool, text[]) IS 'The rows less those with these marks.';
