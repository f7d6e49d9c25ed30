-- What is written by the schema itself, because it names the spaces and the attached tables that are there. An upgrade
-- writes all of it anew, so that a correction here reaches every installation.

-- A new picture waits once for each space that workers fill. One whose bytes are others now is unsearchable until they are
-- embedded. One whose address is another, or is to be read again, keeps its vectors until a worker has found other bytes.
-- The spaces stand in the text of the functions and are not read from their table: whoever writes to image after a space was
-- made sees the functions that know it, whatever the snapshot of the transaction. Before the first space a picture waits for "0".
CREATE OR REPLACE FUNCTION imgsearch_internal.write_image_triggers() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    filled integer[] := ARRAY(SELECT s.space_id FROM imgsearch.space s WHERE s.kind = 'model' ORDER BY 1);
    forget text := (SELECT string_agg(format(
        '    NEW.bits_%1$s := NULL; DELETE FROM imgsearch.embedding_%1$s e WHERE e.tenant_id = NEW.tenant_id AND e.image_id = NEW.image_id; DELETE FROM imgsearch.region_%1$s r WHERE r.tenant_id = NEW.tenant_id AND r.image_id = NEW.image_id;',
        s.space_id), E'\n' ORDER BY s.space_id) FROM imgsearch.space s);
BEGIN
    IF forget IS NULL THEN
        filled := '{0}';
    END IF;
    EXECUTE format($f$
CREATE OR REPLACE FUNCTION imgsearch_internal.image_replaced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    spaces  CONSTANT integer[] := %2$L;
    named   CONSTANT boolean := imgsearch_internal.is_named_alike(OLD.uri, NEW.uri);
    keeps   CONSTANT boolean := imgsearch_internal.keeps_vectors(OLD.sha256, NEW.uri, NEW.sha256) AND (named OR spaces <> '{}');
    adopted CONSTANT boolean := OLD.uri = NEW.uri AND NEW.sha256 IS NOT NULL;  -- a worker found these bytes there
BEGIN
    NEW.updated_at := now();
    IF keeps THEN
        NEW.sha256 := OLD.sha256;
    ELSE
        NEW.incomplete := false;
%1$s
        DELETE FROM imgsearch.region_state r WHERE r.tenant_id = NEW.tenant_id AND r.image_id = NEW.image_id;
        DELETE FROM imgsearch.fingerprint f WHERE f.tenant_id = NEW.tenant_id AND f.image_id = NEW.image_id;
        DELETE FROM imgsearch.capture c WHERE c.tenant_id = NEW.tenant_id AND c.image_id = NEW.image_id;
    END IF;
    INSERT INTO imgsearch.job AS j (tenant_id, image_id, space_id, anew)
    SELECT NEW.tenant_id, NEW.image_id, s, keeps AND NEW.uri !~* '^store:' FROM unnest(spaces) s
    WHERE NOT named OR EXISTS (SELECT 1 FROM imgsearch.job w
        WHERE w.tenant_id = NEW.tenant_id AND w.image_id = NEW.image_id AND w.space_id = s)
    ON CONFLICT (tenant_id, image_id, space_id) DO UPDATE
        SET state = 'pending', due = EXCLUDED.due, lease = NULL, token = NULL, attempts = 0,
            error_code = NULL, error = NULL, created_at = EXCLUDED.created_at, anew = EXCLUDED.anew
        WHERE NOT (adopted AND j.anew AND j.state = 'leased');
    UPDATE imgsearch.job j SET anew = false WHERE adopted AND j.anew AND j.tenant_id = NEW.tenant_id AND j.image_id = NEW.image_id;
    DELETE FROM imgsearch.query_vector q WHERE NOT keeps AND q.tenant_id IN (NEW.tenant_id, '') AND q.kind = 'picture'
        AND q.key >= OLD.sha256 AND q.key < OLD.sha256 || '\x80'::bytea;
    PERFORM pg_notify('imgsearch_image', '');
    RETURN NEW;
END $body$ $f$, coalesce(forget, ''), filled);
    COMMENT ON FUNCTION imgsearch_internal.image_replaced() IS 'Trigger: new bytes → the old vectors go; another address → they stay until it is read. The picture waits again, for each space.';
    EXECUTE format($f$
CREATE OR REPLACE FUNCTION imgsearch_internal.image_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    INSERT INTO imgsearch.job (tenant_id, image_id, space_id) SELECT i.tenant_id, i.image_id, s FROM inserted i, unnest(%L::integer[]) s
    ON CONFLICT (tenant_id, image_id, space_id) DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('imgsearch_image', '');
    END IF;
    RETURN NULL;
END $body$ $f$, filled);
    COMMENT ON FUNCTION imgsearch_internal.image_inserted() IS 'Trigger: a new picture waits for a worker, for each space.';
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_image_triggers() IS 'Writes the trigger functions that queue pictures and forget the vectors of replaced ones; they name every space.';

-- Whoever searches waits while a view is replaced: so only one that reads otherwise is.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_view(name text, query text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE VIEW imgsearch_internal.written_view AS %s', query);
    IF pg_get_viewdef(to_regclass(name)) IS DISTINCT FROM pg_get_viewdef('imgsearch_internal.written_view'::regclass) THEN
        EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS %s', name, query);
    END IF;
    DROP VIEW imgsearch_internal.written_view;
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_view(text, text) IS 'Writes a view, unless it reads like this already.';

-- The searched space behind stable names: its number, the view vectors, and the bits of a picture. The view is typmod-less
-- on purpose, so that a model of another dimension can take over without dropping the views that people built on top.
-- The functions are inlined by the planner, so that the indexes which hold the bits answer. They follow the catalogue:
-- whoever holds a lock on the view sees one space until its transaction ends.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_vectors() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id integer := (SELECT s.space_id FROM imgsearch.space s WHERE s.state = 'active');
BEGIN
    PERFORM imgsearch_internal.write_view('imgsearch.vectors', CASE WHEN id IS NULL
           THEN 'SELECT NULL::text AS tenant_id, NULL::bigint AS image_id, NULL::bytea AS sha256, NULL::halfvec AS embedding, NULL::integer AS space_id WHERE false'
           ELSE format('SELECT tenant_id, image_id, sha256, embedding::halfvec AS embedding, %1$s AS space_id FROM imgsearch.embedding_%1$s', id) END);
    COMMENT ON VIEW imgsearch.vectors IS 'Vectors of the active space; replaced when another space becomes active.';
    PERFORM imgsearch_internal.write_view('imgsearch.graph_vectors', CASE WHEN id IS NULL THEN 'SELECT * FROM imgsearch.vectors'
           ELSE format('SELECT tenant_id, image_id, sha256, embedding::halfvec AS embedding, %1$s AS space_id FROM ONLY imgsearch.embedding_%1$s', id) END);
    COMMENT ON VIEW imgsearch.graph_vectors IS 'Of imgsearch.vectors those that are in the graph, where there is one.';
    PERFORM imgsearch_internal.write_view('imgsearch.tail_vectors', CASE WHEN id IS NULL THEN 'SELECT * FROM imgsearch.vectors'
           ELSE format('SELECT tenant_id, image_id, sha256, embedding::halfvec AS embedding, %1$s AS space_id FROM imgsearch.embedding_%1$s_tail', id) END);
    COMMENT ON VIEW imgsearch.tail_vectors IS 'Of imgsearch.vectors those that are not in the graph yet.';
    PERFORM imgsearch_internal.write_view('imgsearch.regions', imgsearch_internal.regions_view(id));
    COMMENT ON VIEW imgsearch.regions IS 'Parts of pictures in the active space, of shops that ask for them, with their vectors; replaced when another space becomes active.';
    EXECUTE format('CREATE OR REPLACE FUNCTION imgsearch_internal.bits_of(picture imgsearch.image) RETURNS bit varying LANGUAGE sql STABLE AS %L',
                   CASE WHEN id IS NULL THEN 'SELECT NULL::bit varying' ELSE format('SELECT ($1).bits_%s::bit varying', id) END);
    COMMENT ON FUNCTION imgsearch_internal.bits_of(imgsearch.image) IS 'The bits of a picture in the active space; null until it is embedded.';
    EXECUTE format('CREATE OR REPLACE FUNCTION imgsearch_internal.searched_space() RETURNS integer LANGUAGE sql STABLE AS %L', format('SELECT %s::integer', coalesce(id::text, 'NULL')));
    COMMENT ON FUNCTION imgsearch_internal.searched_space() IS 'The number of the active space as the view vectors shows it; null before there is one.';
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_vectors() IS 'Writes the view vectors and the functions bits_of() and searched_space() for the active space.';

-- Tables beside those of the steps. An upgrade makes them before functions change that read them, in a moment of its own.
CREATE OR REPLACE FUNCTION imgsearch_internal.make_tables() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM imgsearch_internal.make_tail(s.space_id), imgsearch_internal.tie_vectors(s.space_id) FROM imgsearch.space s;
    PERFORM imgsearch_internal.make_regions(s.space_id, s.dimension), imgsearch_internal.tie_regions(s.space_id)
    FROM imgsearch.space s ORDER BY s.space_id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.make_tables() IS 'Makes the tables that each space has beside its own, where they are not there.';

CREATE OR REPLACE FUNCTION imgsearch_internal.rebuild_generated() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM imgsearch_internal.make_tables();
    PERFORM imgsearch_internal.write_image_triggers();
    PERFORM imgsearch_internal.write_vectors();
    PERFORM imgsearch_internal.rebuild_attached();
END $$;
COMMENT ON FUNCTION imgsearch_internal.rebuild_generated() IS 'Writes anew what is generated for each space and each attached table.';

CREATE OR REPLACE FUNCTION imgsearch_internal.rebuild_attached() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at imgsearch.attachment;
BEGIN
    FOR at IN SELECT a.* FROM imgsearch.attachment a WHERE a.attached_at IS NOT NULL LOOP
        BEGIN
            PERFORM imgsearch_internal.write_attached(at);
        EXCEPTION WHEN undefined_column OR undefined_table OR undefined_function OR SQLSTATE 'IM021' THEN
            RAISE WARNING 'imgsearch: what keeps % in step stays as it was (%); attach it again: SELECT imgsearch.detach(%, keep => true);',
                at.name, SQLERRM, quote_literal(at.name);
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.rebuild_attached() IS 'Writes anew what follows each attached table: where triggers change, under a lock of that table.';
