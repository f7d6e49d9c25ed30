-- Which database this is: what a picture store knows its owner by.

-- A copy is another database: by dump it has another oid or server, by a template another oid, and a server that was
-- copied before imgsearch was installed has another time of its first step. Only a copy of the whole server, file by
-- file, is the same, for it may as well be the replica that takes over.
CREATE OR REPLACE FUNCTION imgsearch_internal.database_id() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    server text := '';
BEGIN
    IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN  -- some rented servers keep it back
        SELECT s.system_identifier::text INTO server FROM pg_control_system() s;
    END IF;
    RETURN (SELECT md5(format('%s/%s/%s', server, d.oid, extract(epoch FROM min(v.applied_at))))
            FROM pg_database d, imgsearch.schema_version v
            WHERE d.datname = current_database() AND v.step <> 'functions' GROUP BY d.oid);
END $$;
COMMENT ON FUNCTION imgsearch_internal.database_id() IS 'What tells this database from every other one, its copies and dumps included; a picture store is marked with it.';
