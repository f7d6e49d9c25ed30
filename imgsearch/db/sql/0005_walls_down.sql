-- Take the walls down. The roles stay: they belong to the whole server and others may use them.
CREATE OR REPLACE FUNCTION imgsearch.space_made(id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    NULL;
END $$;
DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT polrelid FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
                    WHERE c.relnamespace = 'imgsearch'::regnamespace GROUP BY polrelid LOOP
        EXECUTE format('DROP POLICY IF EXISTS one_tenant ON %s', relation);
        EXECUTE format('DROP POLICY IF EXISTS open_for_all_tenants ON %s', relation);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', relation);
    END LOOP;
END $$;
ALTER FUNCTION imgsearch.image_inserted() SECURITY INVOKER RESET ALL;
ALTER FUNCTION imgsearch.image_replaced() SECURITY INVOKER RESET ALL;
ALTER FUNCTION imgsearch.ask(text, bytea) SECURITY INVOKER RESET ALL;
ALTER FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec) SECURITY INVOKER RESET ALL;
ALTER FUNCTION imgsearch.activate_space(integer) SECURITY INVOKER RESET ALL;
DROP FUNCTION imgsearch.grant_rights();
DROP FUNCTION imgsearch.raise_walls(regclass);
DROP FUNCTION imgsearch.walled();
DROP FUNCTION imgsearch.current_tenant();
