-- The tail of a space: vectors that are not in its HNSW yet. To put one there costs about a millisecond, so many at once
-- go into a table of their own, which inherits from that of the space: whoever reads embedding_<n> reads both, by any
-- statement, and a walk is merged with the tail's own order. The workers move it into the graph while others search.

CREATE OR REPLACE FUNCTION imgsearch_internal.make_tail(space integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    about record;
BEGIN
    IF to_regclass(format('imgsearch.embedding_%s_tail', space)) IS NULL THEN
        -- It is emptied again and again: what died is to be cleared away soon, for searches read all of it.
        EXECUTE format('CREATE TABLE imgsearch.embedding_%1$s_tail (PRIMARY KEY (tenant_id, image_id)) INHERITS (imgsearch.embedding_%1$s)
            WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000)', space);
        EXECUTE format('CREATE INDEX embedding_%1$s_tail_by_id ON imgsearch.embedding_%1$s_tail (image_id)', space);
        EXECUTE format('COMMENT ON TABLE imgsearch.embedding_%1$s_tail IS %2$L', space,
                       'Vectors of space ' || space || ' that are not in the graph yet; read through embedding_' || space || '.');
        FOR about IN SELECT a.attname, col_description(a.attrelid, a.attnum) AS said FROM pg_attribute a
                     WHERE a.attrelid = format('imgsearch.embedding_%s', space)::regclass AND a.attnum > 0 AND NOT a.attisdropped LOOP
            EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s_tail.%I IS %L', space, about.attname, about.said);
        END LOOP;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.make_tail(integer) IS 'Makes the table of vectors that are not in a space''s graph yet, where there is none; tie_vectors() ties it to the pictures.';

-- Takes a lock that writers of pictures wait for: for milliseconds, the tables are empty or were tied before.
CREATE OR REPLACE FUNCTION imgsearch_internal.tie_vectors(space integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    loose regclass;
BEGIN
    FOR loose IN SELECT c.oid FROM pg_class c
                 WHERE c.oid IN (to_regclass('imgsearch.embedding_' || space), to_regclass('imgsearch.embedding_' || space || '_tail'))
                   AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f') LOOP
        EXECUTE format('ALTER TABLE %s ADD FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE', loose);
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.tie_vectors(integer) IS 'Has the vectors of a picture go with it, where that was not said yet.';

-- By its pages, of which dead rows are a part: searches read those, too.
CREATE OR REPLACE FUNCTION imgsearch_internal.tail_rows(space integer) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(pg_relation_size(to_regclass('imgsearch.embedding_' || space || '_tail')), 0)
        / (SELECT 2 * s.dimension + 80.0 FROM imgsearch.space s WHERE s.space_id = tail_rows.space);
END $$;
COMMENT ON FUNCTION imgsearch_internal.tail_rows(integer) IS 'About how many vectors a search of that space compares besides its walk.';

-- 16: fewer go into the graph at once, where they cost nobody anything. 100,000: searches that walk compare all of the
-- tail, 1.5 µs each, and beyond that bits, of which a search reads as many either way, are the quicker way anyhow.
CREATE OR REPLACE FUNCTION imgsearch_internal.takes_tail(space integer, many integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN many >= 16 AND coalesce(current_setting('imgsearch.tail', true), '') <> 'off' AND imgsearch_internal.tail_rows(space) < 100000
        AND EXISTS (SELECT 1 FROM pg_catalog.pg_index x WHERE x.indexrelid = to_regclass('imgsearch.embedding_' || space || '_hnsw'));
END $$;
COMMENT ON FUNCTION imgsearch_internal.takes_tail(integer, integer) IS 'Whether that many new vectors at once go into the tail of a space; never where imgsearch.tail is off.';

-- The pictures are locked first: who replaces one, or delivers it again, waits or is skipped here. So a vector never moves
-- behind the back of a statement that is about to delete it. Small parts: a price may wait for one.
CREATE OR REPLACE FUNCTION imgsearch_internal.merge_tail(space integer, size integer DEFAULT 16) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('imgsearch.merge'), space) THEN
        RETURN 0;
    END IF;
    EXECUTE format($f$
        WITH locked AS MATERIALIZED (  -- LATERAL: of the tail no more is read than it takes to find so many that nobody holds
            SELECT i.tenant_id, i.image_id FROM imgsearch.embedding_%1$s_tail t CROSS JOIN LATERAL (
                SELECT i.tenant_id, i.image_id FROM imgsearch.image i WHERE i.tenant_id = t.tenant_id AND i.image_id = t.image_id
                FOR NO KEY UPDATE OF i SKIP LOCKED) i LIMIT $1
        ), gone AS (
            DELETE FROM imgsearch.embedding_%1$s_tail t USING locked l WHERE t.tenant_id = l.tenant_id AND t.image_id = l.image_id
            RETURNING t.tenant_id, t.image_id, t.sha256, t.embedding
        ), put AS (
            INSERT INTO imgsearch.embedding_%1$s (tenant_id, image_id, sha256, embedding) SELECT g.tenant_id, g.image_id, g.sha256, g.embedding FROM gone g
            ON CONFLICT (tenant_id, image_id) DO UPDATE SET sha256 = EXCLUDED.sha256, embedding = EXCLUDED.embedding
        ) SELECT count(*) FROM gone $f$, space) INTO moved USING size;
    RETURN moved;
END $$;
COMMENT ON FUNCTION imgsearch_internal.merge_tail(integer, integer) IS 'Moves some vectors of a space into its graph; returns how many. 0: the tail is empty, somebody else moves them, or all pictures in it are being written.';
