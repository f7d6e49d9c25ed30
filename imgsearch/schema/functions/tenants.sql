-- Row-level security on every table with a tenant. The tenant is a setting of the transaction:
-- SELECT set_config('imgsearch.tenant', 'acme', true). Roles and rights: grants.sql.
--
-- A role that is none of imgsearch's sees nothing. The owner sees all (it could take row-level security off anyway): serve
-- strangers as imgsearch_reader or imgsearch_writer, never as the owner. Not forced on the owner: that would limit nobody,
-- and keep an owner who is no superuser from pg_dump (docs/decisions/0024-backup.md).

CREATE OR REPLACE FUNCTION imgsearch.current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    -- '' is what a setting of an ended transaction leaves behind on a pooled connection: it must mean nobody.
    SELECT nullif(pg_catalog.current_setting('imgsearch.tenant', true), '')
$$;
COMMENT ON FUNCTION imgsearch.current_tenant() IS 'The tenant this transaction speaks for: SELECT set_config(''imgsearch.tenant'', ''acme'', true). Null: nobody.';

CREATE OR REPLACE FUNCTION imgsearch_internal.is_restricted(role name) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NOT r.rolsuper AND NOT r.rolbypassrls
       AND NOT EXISTS (SELECT 1 FROM unnest(ARRAY['imgsearch_admin', 'imgsearch_worker']) AS open (name)
                       WHERE to_regrole(open.name) IS NOT NULL AND pg_has_role(is_restricted.role, open.name, 'USAGE'))
       AND NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass AND pg_has_role(is_restricted.role, c.relowner, 'USAGE'))
       AND NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                       WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p')
                         AND NOT c.relrowsecurity)
    FROM pg_roles r WHERE r.rolname = is_restricted.role
$$;
COMMENT ON FUNCTION imgsearch_internal.is_restricted(name) IS 'Whether row-level security limits a role to one tenant at a time.';

CREATE OR REPLACE FUNCTION imgsearch.is_tenant_restricted() RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch_internal.is_restricted(current_user)
$$;
COMMENT ON FUNCTION imgsearch.is_tenant_restricted() IS 'Whether row-level security limits this role to one tenant at a time. `imgsearch serve` refuses a role it does not limit.';

CREATE OR REPLACE FUNCTION imgsearch.enable_rls(one regclass DEFAULT NULL) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    relation   regclass;
    owner      name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    unlimited  name[] := ARRAY(SELECT r.name::name FROM unnest(ARRAY[owner, 'imgsearch_admin', 'imgsearch_worker']) r (name) WHERE to_regrole(quote_ident(r.name)) IS NOT NULL GROUP BY 1 ORDER BY 1);
    restricted name[] := ARRAY(SELECT r.name::name FROM unnest(ARRAY['imgsearch_reader', 'imgsearch_writer']) r (name) WHERE to_regrole(r.name) IS NOT NULL ORDER BY 1);
BEGIN
    FOR relation IN
        SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.oid = coalesce(one, c.oid)
          -- What is as it should be is left alone: each of these takes the table's strongest lock.
          AND NOT (c.relrowsecurity AND NOT c.relforcerowsecurity
              AND ARRAY(SELECT r::name FROM pg_policy p, unnest(p.polroles) x, pg_get_userbyid(x) r WHERE p.polrelid = c.oid AND p.polname = 'open_for_all_tenants' ORDER BY 1) = unlimited
              AND ARRAY(SELECT r::name FROM pg_policy p, unnest(p.polroles) x, pg_get_userbyid(x) r WHERE p.polrelid = c.oid AND p.polname = 'one_tenant' ORDER BY 1) = restricted)
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('DROP POLICY IF EXISTS open_for_all_tenants ON %s', relation);
        EXECUTE format('CREATE POLICY open_for_all_tenants ON %s TO %s USING (true) WITH CHECK (true)', relation, (SELECT string_agg(quote_ident(r), ', ') FROM unnest(unlimited) r));
        EXECUTE format('DROP POLICY IF EXISTS one_tenant ON %s', relation);
        IF restricted <> '{}' THEN
            EXECUTE format('CREATE POLICY one_tenant ON %s TO %s
                USING (tenant_id = nullif(current_setting(''imgsearch.tenant'', true), ''''))
                WITH CHECK (tenant_id = nullif(current_setting(''imgsearch.tenant'', true), ''''))', relation, (SELECT string_agg(quote_ident(r), ', ') FROM unnest(restricted) r));
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch.enable_rls(regclass) IS 'Puts row-level security on every table with a tenant, or on that one; safe to run again.';
