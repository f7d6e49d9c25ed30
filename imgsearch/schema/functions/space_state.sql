-- What each space holds, what is wrong with it, and what is missing from its queue.

CREATE OR REPLACE FUNCTION imgsearch_internal.count_space(space integer, OUT embedded bigint, OUT waiting bigint, OUT failed bigint, OUT disk bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM imgsearch.embedding_%s', space) INTO embedded;
    SELECT count(*) FILTER (WHERE j.state <> 'failed'), count(*) FILTER (WHERE j.state = 'failed') INTO waiting, failed
    FROM imgsearch.job j WHERE j.space_id = space;
    SELECT pg_total_relation_size(to_regclass('imgsearch.embedding_' || space)) + pg_total_relation_size(to_regclass('imgsearch.region_' || space)) + coalesce(sum(pg_relation_size(to_regclass('imgsearch.' || quote_ident(o.name)))), 0) INTO disk
    FROM imgsearch_internal.indexes_of(space) o WHERE o.relation = 'image';
END $$;
COMMENT ON FUNCTION imgsearch_internal.count_space(integer) IS 'How many images a space holds, how many wait and failed, and how many bytes it takes with its indexes.';

CREATE OR REPLACE FUNCTION imgsearch_internal.index_health(space integer) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN bool_and(x.indisvalid) THEN 'valid' WHEN bool_or(p.pid IS NOT NULL) THEN 'being built' WHEN bool_or(NOT x.indisvalid) THEN 'invalid'
                WHEN bool_and(x.indexrelid IS NULL) THEN 'none' ELSE 'incomplete' END
    FROM (SELECT o.name, o.relation, to_regclass('imgsearch.' || quote_ident(o.name)) AS oid FROM imgsearch_internal.indexes_of(space) o) o
    LEFT JOIN pg_index x ON x.indexrelid = o.oid
    LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = o.oid
$$;
COMMENT ON FUNCTION imgsearch_internal.index_health(integer) IS 'How the indexes are that a space is searched with: valid, being built, invalid, incomplete or none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.violations_of(space integer) RETURNS TABLE (violation text, tenant_id text, image_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    here imgsearch.space := (SELECT s FROM imgsearch.space s WHERE s.space_id = violations_of.space);
BEGIN
    IF here.kind = 'model' AND (here.state <> 'building' OR here.filled_at IS NOT NULL) THEN
        RETURN QUERY EXECUTE format('SELECT ''neither vector nor job'', i.tenant_id, i.image_id FROM imgsearch.image i
            WHERE NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id AND j.space_id IN (%1$s, 0))
              AND NOT EXISTS (SELECT 1 FROM imgsearch.embedding_%1$s v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id)', space);
    END IF;
    RETURN QUERY EXECUTE format('SELECT ''vector of other bytes'', i.tenant_id, i.image_id
        FROM imgsearch.image i JOIN imgsearch.embedding_%s v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
        WHERE v.sha256 IS DISTINCT FROM i.sha256%s', space, CASE WHEN here.kind = 'given' THEN ' AND v.sha256 <> ''''' ELSE '' END);
    RETURN QUERY EXECUTE format('SELECT ''two vectors'', t.tenant_id, t.image_id FROM imgsearch.embedding_%1$s_tail t
        JOIN ONLY imgsearch.embedding_%1$s v ON v.tenant_id = t.tenant_id AND v.image_id = t.image_id', space);
    RETURN QUERY EXECUTE format('SELECT DISTINCT ''region of other bytes'', i.tenant_id, i.image_id
        FROM imgsearch.image i JOIN imgsearch.region_%s r ON r.tenant_id = i.tenant_id AND r.image_id = i.image_id WHERE r.sha256 IS DISTINCT FROM i.sha256', space);
    RETURN QUERY EXECUTE format('SELECT ''vector and bits disagree'', i.tenant_id, i.image_id
        FROM imgsearch.image i LEFT JOIN imgsearch.embedding_%1$s v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
        WHERE (i.bits_%1$s IS NULL) <> (v.image_id IS NULL)', space);
END $$;
COMMENT ON FUNCTION imgsearch_internal.violations_of(integer) IS 'What is broken in a space; see imgsearch.violations.';

CREATE OR REPLACE FUNCTION imgsearch_internal.adopt_jobs(size integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    adopted bigint;
BEGIN
    WITH first AS (
        DELETE FROM imgsearch.job j USING (
            SELECT w.tenant_id, w.image_id FROM imgsearch.job w
            WHERE w.space_id = 0 AND w.state = 'pending' AND EXISTS (SELECT 1 FROM imgsearch.space) LIMIT size FOR UPDATE SKIP LOCKED) w
        WHERE j.tenant_id = w.tenant_id AND j.image_id = w.image_id AND j.space_id = 0 RETURNING j.*
    ), put AS (
        INSERT INTO imgsearch.job (tenant_id, image_id, space_id, due, created_at)
        SELECT f.tenant_id, f.image_id, s.space_id, f.due, f.created_at FROM first f, imgsearch.space s WHERE s.kind = 'model'
        ON CONFLICT (tenant_id, image_id, space_id) DO NOTHING
    ) SELECT count(*) INTO adopted FROM first;
    RETURN adopted;
END $$;
COMMENT ON FUNCTION imgsearch_internal.adopt_jobs(integer) IS 'Has what waited for the first space wait for those there are; returns how many images.';

-- The net under every writer.
CREATE OR REPLACE FUNCTION imgsearch_internal.enqueue_missing(size integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id     integer;
    queued bigint;
    total  bigint := 0;
BEGIN
    PERFORM imgsearch_internal.adopt_jobs(size);
    -- What waited for a space that was dropped waits for nothing.
    DELETE FROM imgsearch.job j USING (
        SELECT w.tenant_id, w.image_id, w.space_id FROM imgsearch.job w
        WHERE w.space_id <> 0 AND NOT EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.space_id = w.space_id) LIMIT size FOR UPDATE SKIP LOCKED) w
    WHERE j.tenant_id = w.tenant_id AND j.image_id = w.image_id AND j.space_id = w.space_id;
    FOR id IN SELECT s.space_id FROM imgsearch.space s WHERE s.kind = 'model' AND (s.state <> 'building' OR s.filled_at IS NOT NULL) ORDER BY 1 LOOP
        EXECUTE format('INSERT INTO imgsearch.job (tenant_id, image_id, space_id)
            SELECT i.tenant_id, i.image_id, %1$s FROM imgsearch.image i
            WHERE NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id AND j.space_id IN (%1$s, 0))
              AND NOT EXISTS (SELECT 1 FROM imgsearch.embedding_%1$s v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id)
            LIMIT $1 ON CONFLICT (tenant_id, image_id, space_id) DO NOTHING', id) USING size;
        GET DIAGNOSTICS queued = ROW_COUNT;
        total := total + queued;
    END LOOP;
    RETURN total;
END $$;
COMMENT ON FUNCTION imgsearch_internal.enqueue_missing(integer) IS 'Queues images that have neither vector nor job in a space; returns how many. Jobs of before the first space, and of spaces that are gone, are put in order, too.';
