-- diversity => 0.3: MMR (Carbonell and Goldstein, SIGIR 1998). Of the rows that are left, next comes the one with the
-- largest (1 - diversity) * score - diversity * max cos(row, any row shown); the first one is the best.

CREATE OR REPLACE FUNCTION imgsearch_internal.looks_of(pool imgsearch_internal.pool) RETURNS halfvec[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(v.embedding ORDER BY u.n) FROM unnest((pool).tenants, (pool).images) WITH ORDINALITY u (tenant_id, image_id, n)
    LEFT JOIN imgsearch.vectors v ON v.tenant_id = u.tenant_id AND v.image_id = u.image_id
$$;
COMMENT ON FUNCTION imgsearch_internal.looks_of(imgsearch_internal.pool) IS 'The vectors of the rows; null where there is none yet.';

-- What was shown of this window (`listed`) counts as shown; `most` more are chosen. Exact finds stand first.
CREATE OR REPLACE FUNCTION imgsearch_internal.diversified(pool imgsearch_internal.pool, diversity double precision, listed text[], most integer)
RETURNS imgsearch_internal.pool LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    looks  halfvec[] := imgsearch_internal.looks_of(pool);
    chosen integer[] := '{}';
    gone   integer[] := ARRAY(SELECT m.n FROM unnest(pool.marks) WITH ORDINALITY m (mark, n) WHERE m.mark = ANY (listed));
    near   double precision[];  -- each row's cosine to the most alike of those that were shown
    next_  integer;
BEGIN
    near := ARRAY(SELECT (SELECT max(1 - (u.look <=> looks[g.n])) FROM unnest(gone) g (n)) FROM unnest(looks) WITH ORDINALITY u (look, n) ORDER BY u.n);
    WHILE cardinality(chosen) < most LOOP
        SELECT u.n INTO next_ FROM unnest(pool.scores, pool.firsts, near) WITH ORDINALITY u (score, first, near, n)
        WHERE u.n <> ALL (gone) ORDER BY u.first DESC, (1 - diversity) * u.score - diversity * coalesce(u.near, 0) DESC, u.n LIMIT 1;
        EXIT WHEN next_ IS NULL;
        chosen := chosen || next_; gone := gone || next_;
        near := ARRAY(SELECT greatest(u.near, 1 - (u.look <=> looks[next_])) FROM unnest(looks, near) WITH ORDINALITY u (look, near, n) ORDER BY u.n);
    END LOOP;
    RETURN imgsearch_internal.picked(pool, chosen);
END $$;
COMMENT ON FUNCTION imgsearch_internal.diversified(imgsearch_internal.pool, double precision, text[], integer) IS 'The next rows of a window so that they do not all look alike.';
