-- What could not follow: your statement goes on, and the keys stand in imgsearch.attachment_failure until they do.

-- Tries the keys in halves, until those that fail stand alone; what is wrong with all of them (a column that is gone, a
-- right that is missing) is not tried again for each. Returns how many pictures were written.
CREATE OR REPLACE FUNCTION imgsearch_internal.try_keys(attachment_id integer, keys text[], deep boolean, INOUT failed integer DEFAULT 0, OUT done bigint) LANGUAGE plpgsql AS $$
DECLARE
    half integer := cardinality(keys) / 2;
    part record;
BEGIN
    BEGIN
        EXECUTE format('SELECT imgsearch_internal.attached_%s_write($1, $2)', attachment_id) INTO done USING keys, deep;
    EXCEPTION WHEN OTHERS THEN
        done := 0;
        IF cardinality(keys) > 1 AND failed < 100 AND SQLSTATE ~ '^(2|P0|IM|54)' THEN
            part := imgsearch_internal.try_keys(attachment_id, keys[:half], deep, failed);
            done := part.done;
            part := imgsearch_internal.try_keys(attachment_id, keys[half + 1:], deep, part.failed);
            failed := part.failed; done := done + part.done;
        ELSE
            failed := failed + 1;
            PERFORM imgsearch_internal.note_failure(attachment_id, keys, SQLSTATE, SQLERRM);
        END IF;
    END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.try_keys(integer, text[], boolean, integer) IS 'Brings keys of an attachment in step; those that fail are noted.';

CREATE OR REPLACE FUNCTION imgsearch_internal.note_failure(which integer, keys text[], code text, error text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    called text := (SELECT a.name FROM imgsearch.attachment a WHERE a.attachment_id = which);
    moment timestamptz := now();
BEGIN
    INSERT INTO imgsearch.attachment_failure AS f (attachment_id, key, tenant_id, product_id, error_code, error)
    SELECT a.attachment_id, u.k, coalesce((SELECT i.tenant_id FROM imgsearch.image i WHERE i.product_id = a.prefix || u.k AND i.attachment_id = a.attachment_id LIMIT 1), ''),
           CASE WHEN u.k = '' THEN a.name ELSE a.prefix || u.k END, code, error
    FROM imgsearch.attachment a, (SELECT DISTINCT unnest(CASE WHEN cardinality(keys) BETWEEN 1 AND 100 THEN keys ELSE ARRAY[''] END)) u (k)
    WHERE a.attachment_id = which
    ON CONFLICT ON CONSTRAINT attachment_failure_pkey DO UPDATE SET error_code = EXCLUDED.error_code, error = EXCLUDED.error, product_id = EXCLUDED.product_id, times = f.times + 1, failed_at = moment,
        tenant_id = CASE WHEN EXCLUDED.tenant_id = '' THEN f.tenant_id ELSE EXCLUDED.tenant_id END;
    RAISE WARNING 'imgsearch: % is written, but image search could not follow it: %', called || coalesce(' ' || CASE WHEN cardinality(keys) <= 3 THEN array_to_string(keys, ', ') END, ''), error
        USING HINT = format('SELECT * FROM imgsearch.failures; mend the cause, then SELECT imgsearch.repair(%L);', called);
END $$;
COMMENT ON FUNCTION imgsearch_internal.note_failure(integer, text[], text, text) IS 'Notes that rows of an attached table could not be followed, and warns.';

-- Called by the trigger function alone. A table or column that was renamed is followed: what is generated is written
-- anew with the names of today, and the keys are tried again.
CREATE OR REPLACE FUNCTION imgsearch_internal.keep_failure(which integer, keys text[], deep boolean, code text, error text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone boolean := false;
BEGIN
    IF code IN ('42703', '42P01') THEN
        BEGIN
            PERFORM imgsearch_internal.write_functions(a) FROM imgsearch.attachment a WHERE a.attachment_id = which;
        EXCEPTION WHEN OTHERS THEN
            error := SQLERRM;
            gone := true;
        END;
    END IF;
    IF keys IS NULL OR gone OR code = '55P03' THEN  -- who holds the lock holds it still; a worker tries again
        PERFORM imgsearch_internal.note_failure(which, keys, code, error);
    ELSE
        PERFORM imgsearch_internal.try_keys(which, keys, deep);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'imgsearch: attached table % is written, but image search could not follow it, nor note that: %; %', which, error, SQLERRM;
END $$;
COMMENT ON FUNCTION imgsearch_internal.keep_failure(integer, text[], boolean, text, text) IS 'What a trigger function does about an error of its own.';
