-- Searching another space than the active one. The functions of a search name the active space's vectors, sample and
-- bits; for every other space that is full and indexed, write_engine() writes them anew over that space's own, into a
-- schema imgsearch_space_<n>. So each space has plans of its own, and a search of the active one pays nothing for it.

-- Which functions depend on the active space, and are reached from a search: names stand in their text.
CREATE OR REPLACE FUNCTION imgsearch_internal.engine_functions() RETURNS SETOF regprocedure LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE known AS MATERIALIZED (
        SELECT p.oid, n.nspname || '.' || p.proname || '(' AS called, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
        WHERE n.nspname IN ('imgsearch', 'imgsearch_internal') AND l.lanname IN ('sql', 'plpgsql') AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
    ), calls AS MATERIALIZED (
        SELECT DISTINCT a.oid AS caller, b.oid AS callee FROM known a JOIN known b ON strpos(a.prosrc, b.called) > 0 AND a.oid <> b.oid
    ), of_space (oid) AS (
        SELECT k.oid FROM known k
        WHERE k.prosrc ~ 'imgsearch\.(vectors|image_sample)\M|\mstate = ''?''active''' OR k.called IN ('imgsearch_internal.bits_of(', 'imgsearch_internal.searched_space(')
        UNION SELECT c.caller FROM calls c JOIN of_space s ON s.oid = c.callee
    ), reached (oid) AS (
        SELECT k.oid FROM known k WHERE k.called IN ('imgsearch_internal.answer(', 'imgsearch_internal.unfold(', 'imgsearch.explain_search(')
        UNION SELECT c.callee FROM calls c JOIN reached r ON r.oid = c.caller
    )
    SELECT s.oid::regprocedure FROM of_space s JOIN reached r ON r.oid = s.oid
$$;
COMMENT ON FUNCTION imgsearch_internal.engine_functions() IS 'The functions of a search that depend on which space is searched.';

-- The text of one of them over another space: names of functions that are written too, the view, the sample, the state.
CREATE OR REPLACE FUNCTION imgsearch_internal.engine_text(one regprocedure, space integer, names text) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(regexp_replace(regexp_replace(pg_get_functiondef(one),
        '\mimgsearch(?:_internal)?\.(' || names || ')\(', format('imgsearch_space_%s.\1(', space), 'g'),
        '\mimgsearch\.(vectors|image_sample)\M', format('imgsearch_space_%s.\1', space), 'g'),
        '\mstate = (''?)''active''\1', format('space_id = %s', space), 'g')
$$;
COMMENT ON FUNCTION imgsearch_internal.engine_text(regprocedure, integer, text) IS 'The definition of a function of a search, over another space.';

CREATE OR REPLACE FUNCTION imgsearch_internal.write_engine(space integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = off AS $$
DECLARE
    home    CONSTANT text := format('imgsearch_space_%s', space);
    these   CONSTANT regprocedure[] := ARRAY(SELECT f FROM imgsearch_internal.engine_functions() f ORDER BY f::oid);
    names   CONSTANT text := (SELECT string_agg(DISTINCT p.proname, '|') FROM pg_proc p WHERE p.oid = ANY (these::oid[]));
    columns CONSTANT text := (SELECT string_agg(CASE a.attname WHEN 'bits' THEN format('i.bits_%s::bit varying AS bits', space) ELSE format('i.%I', a.attname) END, ', ' ORDER BY a.attnum)
                              FROM pg_attribute a WHERE a.attrelid = 'imgsearch.image_sample'::regclass AND a.attnum > 0 AND NOT a.attisdropped);
    one     regprocedure;
BEGIN
    PERFORM imgsearch_internal.drop_engine(space);
    EXECUTE format('CREATE SCHEMA %I', home);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', home, format('How space %s is searched beside the active one; written by imgsearch, never by hand.', space));
    EXECUTE format('CREATE VIEW %1$I.vectors WITH (security_invoker = true) AS SELECT tenant_id, image_id, sha256, embedding::@extschema:vector@.halfvec AS embedding, %2$s AS space_id FROM imgsearch.embedding_%2$s', home, space);
    EXECUTE format('COMMENT ON VIEW %I.vectors IS %L', home, format('Vectors of space %s.', space));
    EXECUTE format('CREATE VIEW %I.image_sample WITH (security_invoker = true) AS SELECT %s FROM imgsearch.image_sample s JOIN imgsearch.image i ON i.tenant_id = s.tenant_id AND i.image_id = s.image_id WHERE i.bits_%s IS NOT NULL', home, columns, space);
    EXECUTE format('COMMENT ON VIEW %I.image_sample IS %L', home, format('The sampled images, with their bits in space %s.', space));
    FOREACH one IN ARRAY these LOOP
        IF one::text LIKE 'imgsearch_internal.bits_of(%' THEN
            EXECUTE format('CREATE FUNCTION %I.bits_of(picture imgsearch.image) RETURNS bit varying LANGUAGE sql STABLE AS %L', home, format('SELECT ($1).bits_%s::bit varying', space));
        ELSIF one::text LIKE 'imgsearch_internal.searched_space(%' THEN
            EXECUTE format('CREATE FUNCTION %I.searched_space() RETURNS integer LANGUAGE sql STABLE AS %L', home, format('SELECT %s', space));
        ELSE
            EXECUTE imgsearch_internal.engine_text(one, space, names);
        END IF;
    END LOOP;
    PERFORM imgsearch_internal.grant_engine(home);
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_engine(integer) IS 'Writes the functions that search a space beside the active one into a schema of their own.';

CREATE OR REPLACE FUNCTION imgsearch_internal.grant_engine(home text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT r.role FROM unnest(ARRAY['imgsearch_reader', 'imgsearch_writer', 'imgsearch_worker', 'imgsearch_admin']) r (role) WHERE to_regrole(r.role) IS NOT NULL LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', home, given.role);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', home, given.role);
    END LOOP;
    FOR given IN SELECT p.oid::regprocedure AS one, (SELECT string_agg(DISTINCT quote_ident(r.role), ', ') FROM imgsearch_internal.rights r WHERE r.kind = 'function' AND r.object = p.proname AND to_regrole(r.role) IS NOT NULL) AS roles
                 FROM pg_proc p WHERE p.pronamespace = to_regnamespace(home) AND EXISTS (SELECT 1 FROM imgsearch_internal.rights r WHERE r.kind = 'function' AND r.object = p.proname) LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', given.one);
        EXECUTE coalesce(format('GRANT EXECUTE ON FUNCTION %s TO %s', given.one, given.roles), 'SELECT 1');
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.grant_engine(text) IS 'Gives each role the rights on what write_engine() wrote that it has on what it was written from.';

CREATE OR REPLACE FUNCTION imgsearch_internal.drop_engine(space integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
BEGIN
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', format('imgsearch_space_%s', space));
END $$;
COMMENT ON FUNCTION imgsearch_internal.drop_engine(integer) IS 'Takes away what write_engine() wrote.';

CREATE OR REPLACE FUNCTION imgsearch_internal.has_engine(space integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT to_regnamespace('imgsearch_space_' || space) IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.has_engine(integer) IS 'Whether a space can be searched beside the active one.';

-- What a search guesses from: how many of the sampled images are in this space too, and how far they lie from its mean.
CREATE OR REPLACE FUNCTION imgsearch_internal.measure_engine(space integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, @extschema:vector@, pg_temp AS $$
BEGIN
    IF space IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('UPDATE imgsearch.space s SET parameters = s.parameters || jsonb_build_object(''sample'', jsonb_build_object(''at'', now(), ''size'', x.size, ''radius'', x.radius,
            ''pictures'', greatest((SELECT c.reltuples FROM pg_class c WHERE c.oid = ''imgsearch.embedding_%1$s''::regclass), x.size)))
        FROM (SELECT count(*) AS size, max(v.embedding <=> o.mean) AS radius FROM imgsearch.space o, imgsearch_space_%1$s.image_sample i
              JOIN imgsearch.embedding_%1$s v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id WHERE o.space_id = %1$s) x
        WHERE s.space_id = %1$s', space);
END $$;
COMMENT ON FUNCTION imgsearch_internal.measure_engine(integer) IS 'What a space knows of the sample; drawn anew with it.';

-- A space that has just been filled: what came meanwhile is on its way, and what failed there fails.
CREATE OR REPLACE FUNCTION imgsearch_internal.open_space(space integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM imgsearch_internal.change_spaces();
    IF EXISTS (SELECT 1 FROM imgsearch.space a WHERE a.state = 'active' AND a.space_id <> space) AND NOT imgsearch_internal.has_engine(space)
       AND imgsearch_internal.index_health(space) = 'valid' THEN
        PERFORM imgsearch_internal.write_engine(space), imgsearch_internal.measure_engine(space);
    END IF;
    RETURN imgsearch_internal.has_engine(space);
END $$;
COMMENT ON FUNCTION imgsearch_internal.open_space(integer) IS 'Lets a filled space be searched beside the active one; returns whether it can be.';

-- Those that can be searched beside the active one: what is searched now would be found there, and its indexes stand.
-- One that was filled stays so: a few of the newest images may always be on their way. Whoever upgrades has none open.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_engines() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT s.space_id, s.state <> 'active' AND CASE WHEN imgsearch_internal.index_health(s.space_id) = 'valid' AND (s.state = 'standby' OR s.filled_at IS NOT NULL) THEN true
                      ELSE (imgsearch_internal.index_health(s.space_id) = 'valid' OR pg_table_size('imgsearch.image') <= 8 * 1024 * 1024) AND (s.state = 'standby' OR imgsearch_internal.lost_by(s.space_id) = 0) END AS ready
               FROM imgsearch.space s WHERE EXISTS (SELECT 1 FROM imgsearch.space a WHERE a.state = 'active') ORDER BY 1 LOOP
        IF one.ready THEN
            PERFORM imgsearch_internal.write_engine(one.space_id), imgsearch_internal.measure_engine(one.space_id);
        ELSE
            PERFORM imgsearch_internal.drop_engine(one.space_id);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_engines() IS 'Writes what each space is searched with beside the active one, where it is full and indexed.';
