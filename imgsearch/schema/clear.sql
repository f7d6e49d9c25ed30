-- Before functions and views are applied: drop those that are there, so that a changed signature, type or column needs no
-- word of its own and what is no longer in the files goes. Nothing is dropped by CASCADE: what others build on (a view of
-- yours, a trigger) stays in place and is replaced there. Types go with the functions that take them.
DO $$
DECLARE
    object  record;
    dropped integer;
    kept_by text;
BEGIN
    -- Ours alone, and written anew with what follows; they take types that are to go.
    FOR object IN SELECT n.nspname AS called FROM pg_namespace n WHERE n.nspname ~ '^imgsearch_space_\d+$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', object.called);
    END LOOP;
    LOOP
        dropped := 0;
        FOR object IN
            SELECT 'VIEW ' || c.oid::regclass AS called FROM pg_class c
            WHERE c.relnamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace) AND c.relkind = 'v'
            UNION ALL
            SELECT 'ROUTINE ' || p.oid::regprocedure FROM pg_proc p
            WHERE p.pronamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace) AND p.proname !~ '^attached_\d+(_write)?$'
            UNION ALL
            SELECT 'TYPE ' || t.oid::regtype FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
            WHERE t.typnamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace)
        LOOP
            BEGIN
                EXECUTE 'DROP ' || object.called;
                dropped := dropped + 1;
            EXCEPTION WHEN dependent_objects_still_exist THEN
                NULL;
            END;
        END LOOP;
        EXIT WHEN dropped = 0;
    END LOOP;
    -- A type cannot be replaced in place.
    SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ') INTO kept_by
    FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' JOIN pg_depend d ON d.refobjid = t.oid AND d.deptype = 'n'
    WHERE t.typnamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace);
    IF kept_by IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: types of imgsearch are used by %', kept_by
            USING HINT = 'Drop it, run `imgsearch db upgrade`, and create it again.', ERRCODE = 'IM009';
    END IF;
END $$;
