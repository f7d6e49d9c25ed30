-- Remove everything: the way back to a database that never saw imgsearch. Pictures in the store stay, so do the roles
-- (they belong to the whole server) and the extension, which others may use.
DO $$
DECLARE
    built_on text;
BEGIN
    IF to_regclass('imgsearch.attachment') IS NOT NULL AND to_regprocedure('imgsearch.detach(text, boolean, boolean)') IS NOT NULL THEN
        PERFORM imgsearch.detach(name, keep => true) FROM imgsearch.attachment WHERE attached_at IS NOT NULL;
    END IF;
    FOR built_on IN SELECT n.nspname FROM pg_namespace n WHERE n.nspname ~ '^imgsearch_space_\d+$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', built_on);
    END LOOP;
    SELECT string_agg(DISTINCT v.oid::regclass::text, ', ') INTO built_on
    FROM pg_depend d JOIN pg_class o ON o.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_rewrite w ON w.oid = d.objid AND d.classid = 'pg_rewrite'::regclass JOIN pg_class v ON v.oid = w.ev_class
    WHERE o.relnamespace IN (to_regnamespace('imgsearch'), to_regnamespace('imgsearch_internal'))
      AND v.relnamespace NOT IN (to_regnamespace('imgsearch'), coalesce(to_regnamespace('imgsearch_internal'), 0));
    IF built_on IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: % would go too: built on tables or views of imgsearch', built_on
            USING HINT = format('If you do not need it any more: DROP VIEW %s;', built_on), ERRCODE = 'IM009';
    END IF;
    DROP SCHEMA IF EXISTS imgsearch_internal CASCADE;
    DROP SCHEMA IF EXISTS imgsearch CASCADE;
END $$;
