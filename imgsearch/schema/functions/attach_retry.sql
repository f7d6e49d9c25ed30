-- What could not be followed is tried again by the sweep and by idle workers: a deadlock or a lock that was not had is mended
-- by time alone. Bounded: some keys at once, each later every time, after a minute at first and once a day at last.

-- Rows that are not known one by one: all are compared, so only where they are few. More: the doctor says what to call.
CREATE OR REPLACE FUNCTION imgsearch_internal.retry_unknown(at imgsearch.attachment) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before integer := (SELECT f.times FROM imgsearch.attachment_failure f
        WHERE f.attachment_id = at.attachment_id AND f.key = '' AND f.failed_at < now() - least(interval '1 day', interval '1 minute' * 2 ^ least(f.times - 1, 11)));
    done   bigint;
BEGIN
    IF before IS NULL OR coalesce((SELECT c.reltuples FROM pg_class c WHERE c.oid = at.relation), 0) > 50000 THEN
        RETURN 0;
    END IF;
    done := imgsearch_internal.repair(at);
    UPDATE imgsearch.attachment_failure f SET times = before + 1 WHERE f.attachment_id = at.attachment_id AND f.key = '';
    RETURN done;
END $$;
COMMENT ON FUNCTION imgsearch_internal.retry_unknown(imgsearch.attachment) IS 'Repairs a small attached table of which rows could not be followed that are not known one by one, if its time has come.';

CREATE OR REPLACE FUNCTION imgsearch.retry_attached(most integer DEFAULT 200) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' SET client_min_messages = error AS $$
DECLARE
    at    imgsearch.attachment;
    keys  text[];
    codes text[];
    done  bigint := 0;
BEGIN
    -- lock_timeout: nobody of the shop's waits long for us, and none of theirs is ended by a deadlock in which we are.
    FOR at IN SELECT a.* FROM imgsearch.attachment a WHERE a.attached_at IS NOT NULL AND EXISTS (SELECT 1 FROM imgsearch.attachment_failure f WHERE f.attachment_id = a.attachment_id) ORDER BY 1 LOOP
        BEGIN
            SELECT array_agg(d.key), array_agg(d.error_code) INTO keys, codes FROM (
                SELECT f.key, f.error_code FROM imgsearch.attachment_failure f
                WHERE f.attachment_id = at.attachment_id AND f.key <> '' AND f.failed_at < now() - least(interval '1 day', interval '1 minute' * 2 ^ least(f.times - 1, 11))
                ORDER BY f.failed_at LIMIT greatest(1, least(most, 2000)) FOR UPDATE SKIP LOCKED) d;
            IF keys IS NULL THEN
                done := done + imgsearch_internal.retry_unknown(at);
                CONTINUE;
            END IF;
            IF codes && '{42703,42P01}' THEN  -- a table or column that has another name now
                PERFORM imgsearch_internal.write_functions(at);
            END IF;
            PERFORM imgsearch_internal.locked_write(at, imgsearch_internal.whole_families(at, keys));
            done := done + cardinality(keys) - (SELECT count(*) FROM imgsearch.attachment_failure f WHERE f.attachment_id = at.attachment_id AND f.key = ANY (keys));
        EXCEPTION WHEN OTHERS THEN
            -- A row that is locked is tried at the next sweep; a table that is gone, later and later.
            IF SQLSTATE NOT IN ('55P03', '40P01') THEN
                PERFORM imgsearch_internal.note_failure(at.attachment_id, keys, SQLSTATE, SQLERRM);
            END IF;
        END;
    END LOOP;
    RETURN done;
END $$;
COMMENT ON FUNCTION imgsearch.retry_attached(integer) IS 'Tries rows of attached tables that could not be followed again, those whose time has come; returns how many are followed now. Workers and the sweep call it. SELECT imgsearch.retry_attached();';
