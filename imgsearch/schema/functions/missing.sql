-- What a restore into another cluster leaves out: roles belong to the server and are in no dump, and what was granted to
-- them goes with them.

CREATE OR REPLACE FUNCTION imgsearch_internal.missing_roles() RETURNS text[] LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(SELECT r.name FROM unnest(ARRAY['imgsearch_reader', 'imgsearch_writer', 'imgsearch_worker', 'imgsearch_admin']) WITH ORDINALITY r (name, n)
                 WHERE to_regrole(r.name) IS NULL ORDER BY r.n)
$$;
COMMENT ON FUNCTION imgsearch_internal.missing_roles() IS 'Which roles of imgsearch this server lacks.';

-- A process that logs in as the owner steps down to a reader or writer for each request: for that the owner is a member.
CREATE OR REPLACE FUNCTION imgsearch_internal.missing_grants() RETURNS text[] LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH owner AS (
        SELECT pg_get_userbyid(c.relowner) AS name FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass
    ), wanted (n, member, role) AS (
        SELECT 1, 'imgsearch_writer'::name, 'imgsearch_reader' UNION ALL SELECT 2, o.name, 'imgsearch_writer' FROM owner o
    )
    SELECT ARRAY(SELECT format('CREATE ROLE %I NOLOGIN;', r) FROM unnest(imgsearch_internal.missing_roles()) r)
        || ARRAY(SELECT format('GRANT %I TO %I;', w.role, w.member) FROM wanted w
                 WHERE CASE WHEN to_regrole(w.role) IS NOT NULL AND to_regrole(quote_ident(w.member)) IS NOT NULL
                     THEN NOT pg_has_role(w.member, w.role, 'MEMBER') ELSE true END ORDER BY w.n)
$$;
COMMENT ON FUNCTION imgsearch_internal.missing_grants() IS 'What an administrator types so that there are the roles of imgsearch, and its owner may step down to them.';

-- Rights on some columns are not looked at one by one: they go with the others. A function that is somebody's is not
-- everybody's: EXECUTE is given to PUBLIC until it is taken away.
CREATE OR REPLACE FUNCTION imgsearch_internal.missing_rights() RETURNS TABLE (role text, kind text, object text, problem text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS MATERIALIZED (
        SELECT r.role, r.kind, r.object, upper(trim(p)) AS one
        FROM imgsearch_internal.rights r, unnest(string_to_array(regexp_replace(r.rights, '\([^)]*\)', '(…)', 'g'), ',')) p
        WHERE to_regrole(r.role) IS NOT NULL
    ), there AS MATERIALIZED (
        SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END AS kind, regexp_replace(regexp_replace(c.relname, '^embedding_\d+(_tail)?$', 'embedding_<n>'), '^region_\d+$', 'region_<n>') AS object, c.oid, c.oid::regclass::text AS called
        FROM pg_class c WHERE c.relnamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v')
    )
    SELECT w.role, w.kind, t.called, 'lacks ' || w.one FROM wanted w JOIN there t ON t.kind = w.kind
        AND (w.object = t.object OR w.object = '*' AND NOT EXISTS (SELECT 1 FROM wanted o WHERE o.role = w.role AND o.kind = w.kind AND o.object = t.object))
    WHERE w.one ~ '^(SELECT|INSERT|UPDATE|DELETE)$' AND NOT has_table_privilege(w.role, t.oid, w.one)
    UNION ALL
    SELECT DISTINCT w.role, w.kind, w.object, 'lacks USAGE' FROM wanted w WHERE w.kind = 'schema' AND NOT has_schema_privilege(w.role, w.object, 'USAGE')
    UNION ALL
    SELECT w.role, w.kind, p.oid::regprocedure::text, 'lacks EXECUTE' FROM wanted w JOIN pg_proc p ON p.proname = w.object AND p.pronamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace)
    WHERE w.kind = 'function' AND NOT has_function_privilege(w.role, p.oid, 'EXECUTE')
    UNION ALL
    SELECT DISTINCT 'PUBLIC', 'function', p.oid::regprocedure::text, 'may EXECUTE' FROM imgsearch_internal.rights r
    JOIN pg_proc p ON p.proname = r.object AND p.pronamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace)
    WHERE r.kind = 'function' AND has_function_privilege('public', p.oid, 'EXECUTE')
    UNION ALL
    SELECT 'all', 'table', c.oid::regclass::text, w.problem FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped,
    LATERAL (SELECT 'has row-level security off' AS problem WHERE NOT c.relrowsecurity
             UNION ALL SELECT 'lacks the policy ' || n.name FROM (VALUES ('one_tenant'), ('open_for_all_tenants')) n (name)
             WHERE NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = n.name)) w
    WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND to_regrole('imgsearch_reader') IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.missing_rights() IS 'What imgsearch_internal.rights says and the catalogue does not, and functions and tables that are open to all.';
