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
        WHERE k.prosrc ~ 'imgsearch\.(vectors|graph_vectors|tail_vectors|regions|image_sample)\M|\mstate = ''?''active''' OR k.called IN ('imgsearch_internal.bits_of(', 'imgsearch_internal.searched_space(')
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
        '\mimgsearch\.(vectors|graph_vectors|tail_vectors|regions|image_sample)\M', format('imgsearch_space_%s.\1', space), 'g'),
        '\mstate = (''?)''active''\1', format('space_id = %s', space), 'g')
$$;
COMMENT ON FUNCTION imgsearch_internal.engine_text(regprocedure, integer, text) IS 'The definition of a function of a search, over another space.';

CREATE OR REPLACE FUNCTION imgsearch_internal.engine_called(one regprocedure, space integer) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('imgsearch_space_%s.%I(%s)', space, p.proname, (SELECT string_agg(format_type(t.type, NULL), ', ' ORDER BY t.n) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY t (type, n)))
    FROM pg_proc p WHERE p.oid = one
$$;
COMMENT ON FUNCTION imgsearch_internal.engine_called(regprocedure, integer) IS 'How a function of a search is called over another space, with the types it takes.';

-- Whoever searches there waits while a view is replaced: so only one that reads otherwise is.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_engine_views(space integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    home    CONSTANT text := format('imgsearch_space_%s', space);
    columns CONSTANT text := (SELECT string_agg(CASE a.attname WHEN 'bits' THEN format('i.bits_%s::bit varying AS bits', space) ELSE format('i.%I', a.attname) END, ', ' ORDER BY a.attnum)
                              FROM pg_attribute a WHERE a.attrelid = 'imgsearch.image_sample'::regclass AND a.attnum > 0 AND NOT a.attisdropped);
    made    record;
BEGIN
    FOR made IN SELECT v.* FROM (VALUES ('vectors', '', '', 'Vectors of space %s.'), ('graph_vectors', 'ONLY ', '', 'Those of space %s that are in its graph.'),
                                        ('tail_vectors', '', '_tail', 'Those of space %s that are not in its graph yet.')) v (name, only_, suffix, about) LOOP
        PERFORM imgsearch_internal.write_view(home || '.' || made.name, format('SELECT tenant_id, image_id, sha256, embedding::@extschema:vector@.halfvec AS embedding, %1$s AS space_id FROM %2$simgsearch.embedding_%1$s%3$s',
                                                                               space, made.only_, made.suffix));
        EXECUTE format('COMMENT ON VIEW %I.%I IS %L', home, made.name, format(made.about, space));
    END LOOP;
    PERFORM imgsearch_internal.write_view(home || '.regions', imgsearch_internal.regions_view(space));
    EXECUTE format('COMMENT ON VIEW %I.regions IS %L', home, format('Parts of pictures in space %s.', space));
    PERFORM imgsearch_internal.write_view(home || '.image_sample', format('SELECT %s FROM imgsearch.image_sample s JOIN imgsearch.image i ON i.tenant_id = s.tenant_id AND i.image_id = s.image_id WHERE i.bits_%s IS NOT NULL', columns, space));
    EXECUTE format('COMMENT ON VIEW %I.image_sample IS %L', home, format('The sampled images, with their bits in space %s.', space));
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_engine_views(integer) IS 'Writes the views that a space is searched through beside the active one, where they read otherwise.';

-- In place: whoever searches there meanwhile goes on with what he began with. What is written no longer stays until an
-- upgrade ends, unless calls could not tell it from what is.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_engine(space integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = off AS $$
DECLARE
    home  CONSTANT text := format('imgsearch_space_%s', space);
    these CONSTANT regprocedure[] := ARRAY(SELECT f FROM imgsearch_internal.engine_functions() f ORDER BY f::oid);
    names CONSTANT text := (SELECT string_agg(DISTINCT p.proname, '|') FROM pg_proc p WHERE p.oid = ANY (these::oid[]));
    one   regprocedure;
    made  regprocedure;
    text_ text;
BEGIN
    IF NOT imgsearch_internal.has_engine(space) THEN
        EXECUTE format('CREATE SCHEMA %I', home);
        EXECUTE format('COMMENT ON SCHEMA %I IS %L', home, format('How space %s is searched beside the active one; written by imgsearch, never by hand.', space));
    END IF;
    PERFORM imgsearch_internal.write_engine_views(space);
    FOREACH one IN ARRAY these LOOP
        text_ := CASE WHEN one::text LIKE 'imgsearch_internal.bits_of(%' THEN
                          format('CREATE OR REPLACE FUNCTION %I.bits_of(picture imgsearch.image) RETURNS bit varying LANGUAGE sql STABLE AS %L', home, format('SELECT ($1).bits_%s::bit varying', space))
                      WHEN one::text LIKE 'imgsearch_internal.searched_space(%' THEN
                          format('CREATE OR REPLACE FUNCTION %I.searched_space() RETURNS integer LANGUAGE sql STABLE AS %L', home, format('SELECT %s', space))
                      ELSE imgsearch_internal.engine_text(one, space, names) END;
        made := to_regprocedure(imgsearch_internal.engine_called(one, space));
        CONTINUE WHEN pg_get_functiondef(made) = text_;
        BEGIN
            EXECUTE text_;
        EXCEPTION WHEN invalid_function_definition THEN  -- it answers something else now
            EXECUTE format('DROP FUNCTION %s', made);
            EXECUTE text_;
        END;
    END LOOP;
    PERFORM imgsearch_internal.sweep_engine(space, at_once => true);
    PERFORM imgsearch_internal.grant_engine(home);
EXCEPTION WHEN invalid_table_definition THEN  -- a view lost a column, which none can in place
    PERFORM imgsearch_internal.drop_engine(space);
    PERFORM imgsearch_internal.write_engine(space);
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_engine(integer) IS 'Writes the functions that search a space beside the active one into a schema of their own; what is as it was is left alone.';

CREATE OR REPLACE FUNCTION imgsearch_internal.sweep_engine(space integer, at_once boolean DEFAULT false) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept oid[] := ARRAY(SELECT to_regprocedure(imgsearch_internal.engine_called(f, space)) FROM imgsearch_internal.engine_functions() f);
    gone regprocedure;
BEGIN
    FOR gone IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = to_regnamespace('imgsearch_space_' || space) AND p.oid <> ALL (kept)
                AND (NOT at_once OR EXISTS (SELECT 1 FROM pg_proc w WHERE w.oid = ANY (kept) AND w.proname = p.proname AND (w.pronargdefaults > 0 OR p.pronargdefaults > 0))) LOOP
        EXECUTE format('DROP FUNCTION %s', gone);
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.sweep_engine(integer, boolean) IS 'Takes away what write_engine() writes no longer; at_once: only what calls could not tell from what it does.';

CREATE OR REPLACE FUNCTION imgsearch_internal.sweep_engines() RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch_internal.sweep_engine(s.space_id) FROM imgsearch.space s WHERE imgsearch_internal.has_engine(s.space_id)
$$;
COMMENT ON FUNCTION imgsearch_internal.sweep_engines() IS 'The same for every space; an upgrade ends with it.';

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

CREATE OR REPLACE FUNCTION imgsearch_internal.has_engine(space integer) RETURNS boolean LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT to_regnamespace('imgsearch_space_' || space) IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.has_engine(integer) IS 'Whether a space can be searched beside the active one.';

-- What a search guesses from: how many of the sampled images are in this space too, and how far they lie from its mean.
CREATE OR REPLACE FUNCTION imgsearch_internal.measure_engine(space integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
-- One that was filled stays so: a few of the newest images may always be on their way.
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
