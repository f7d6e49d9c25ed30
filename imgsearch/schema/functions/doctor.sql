-- What the doctor's views say their fixes with, and the fix of violations.

CREATE OR REPLACE FUNCTION imgsearch_internal.reset_setting(name text) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE s.source
        WHEN 'session' THEN format('RESET %s;', name)
        WHEN 'user' THEN format('ALTER ROLE %I RESET %s;', session_user, name)
        WHEN 'database user' THEN format('ALTER ROLE %I IN DATABASE %I RESET %s;', session_user, current_database(), name)
        WHEN 'database' THEN format('ALTER DATABASE %I RESET %s;', current_database(), name)
        ELSE format(E'ALTER SYSTEM RESET %s;\nSELECT pg_reload_conf();  -- if it still holds: it stands in postgresql.conf or on the command line', name) END
    FROM pg_settings s WHERE s.name = reset_setting.name
$$;
COMMENT ON FUNCTION imgsearch_internal.reset_setting(text) IS 'The statement that takes a setting back to its default where this session has it from: itself, its role, its database or the server.';

CREATE OR REPLACE FUNCTION imgsearch_internal.shell_word(word text) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN word ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]*$' THEN word ELSE '''' || replace(word, '''', '''"''"''') || '''' END
$$;
COMMENT ON FUNCTION imgsearch_internal.shell_word(text) IS 'A text as one word of a shell command.';

CREATE OR REPLACE FUNCTION imgsearch.repair_violations() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := now();  -- a variable: no volatile function in what a distributed table is updated with
    broken record;
    count  bigint := 0;
BEGIN
    FOR broken IN SELECT s.space_id, s.kind, v.tenant_id, v.image_id, bool_or(v.violation <> 'region of other bytes') AS whole FROM imgsearch.violations v JOIN imgsearch.space s ON s.name = v.space WHERE v.image_id IS NOT NULL
                  GROUP BY s.space_id, s.kind, v.tenant_id, v.image_id
                  ORDER BY v.tenant_id, v.image_id, s.space_id LOOP
        EXECUTE format('DELETE FROM imgsearch.region_%s WHERE tenant_id = $1 AND image_id = $2', broken.space_id) USING broken.tenant_id, broken.image_id;
        DELETE FROM imgsearch.region_state r WHERE r.tenant_id = broken.tenant_id AND r.image_id = broken.image_id AND r.space_id = broken.space_id;
        CONTINUE WHEN NOT broken.whole;
        EXECUTE format('DELETE FROM imgsearch.embedding_%s WHERE tenant_id = $1 AND image_id = $2', broken.space_id) USING broken.tenant_id, broken.image_id;
        EXECUTE format('UPDATE imgsearch.image SET bits_%s = NULL WHERE tenant_id = $1 AND image_id = $2', broken.space_id) USING broken.tenant_id, broken.image_id;
        INSERT INTO imgsearch.job (tenant_id, image_id, space_id, due) SELECT broken.tenant_id, broken.image_id, broken.space_id, moment WHERE broken.kind = 'model'
        ON CONFLICT (tenant_id, image_id, space_id) DO UPDATE
        SET state = 'pending', due = excluded.due, lease = NULL, token = NULL, attempts = 0, error_code = NULL, error = NULL;
        count := count + 1;
    END LOOP;
    UPDATE imgsearch.job j SET state = 'pending', due = moment, lease = NULL, token = NULL
    WHERE j.state = 'leased' AND j.lease < moment - interval '5 minutes';
    PERFORM imgsearch_internal.enqueue_missing();
    PERFORM pg_notify('imgsearch_image', '');
    RETURN count;
END $$;
COMMENT ON FUNCTION imgsearch.repair_violations() IS 'Has every picture in imgsearch.violations embedded anew; returns how many. Until a worker has done so they are not found.';
