-- What is written by the schema itself, because it names the spaces and the attached tables that are there. An upgrade
-- writes all of it anew, so that a correction here reaches every installation.

-- A picture whose bytes change is unsearchable until the new bytes are embedded: an old vector never answers for a new
-- picture. Written anew when a space is made or retired.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_image_replaced() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    forget text;
BEGIN
    SELECT coalesce(string_agg(format(
        '    NEW.bits_%1$s := NULL; DELETE FROM imgsearch.embedding_%1$s e WHERE e.tenant_id = NEW.tenant_id AND e.image_id = NEW.image_id;',
        space_id), E'\n' ORDER BY space_id), '')
    INTO forget FROM imgsearch.space WHERE state <> 'retired';
    EXECUTE format($f$
CREATE OR REPLACE FUNCTION imgsearch_internal.image_replaced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    NEW.updated_at := now();
    NEW.incomplete := false;
%s
    INSERT INTO imgsearch.job AS j (tenant_id, image_id) VALUES (NEW.tenant_id, NEW.image_id)
    ON CONFLICT (tenant_id, image_id) DO UPDATE
        SET state = 'pending', due = EXCLUDED.due, lease = NULL, token = NULL, attempts = 0,
            error_code = NULL, error = NULL, created_at = EXCLUDED.created_at;
    DELETE FROM imgsearch.query_vector q WHERE q.tenant_id IN (NEW.tenant_id, '') AND q.kind = 'picture' AND q.key = OLD.sha256;
    PERFORM pg_notify('imgsearch_image', '');
    RETURN NEW;
END $body$ $f$, forget);
    COMMENT ON FUNCTION imgsearch_internal.image_replaced() IS 'Trigger: new bytes → the old vectors go, the picture waits again.';
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_image_replaced() IS 'Writes the trigger function that forgets the vectors of replaced pictures; it names every live space.';

-- The searched space behind stable names: the view vectors, and the bits of a picture. The view is typmod-less on purpose,
-- so that a model of another dimension can take over without dropping the views that people built on top. bits_of() is
-- inlined by the planner, so that the indexes which hold the bits answer.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_vectors() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, @extschema:vector@, pg_temp AS $$
DECLARE
    id integer := (SELECT s.space_id FROM imgsearch.space s WHERE s.state = 'active');
BEGIN
    EXECUTE 'CREATE OR REPLACE VIEW imgsearch.vectors WITH (security_invoker = true) AS '
        || CASE WHEN id IS NULL
           THEN 'SELECT NULL::text AS tenant_id, NULL::bigint AS image_id, NULL::bytea AS sha256, NULL::halfvec AS embedding, NULL::integer AS space_id WHERE false'
           ELSE format('SELECT tenant_id, image_id, sha256, embedding::halfvec AS embedding, %1$s AS space_id FROM imgsearch.embedding_%1$s', id) END;
    COMMENT ON VIEW imgsearch.vectors IS 'Vectors of the active space; replaced when another space becomes active.';
    EXECUTE format('CREATE OR REPLACE FUNCTION imgsearch_internal.bits_of(picture imgsearch.image) RETURNS bit varying LANGUAGE sql STABLE AS %L',
                   CASE WHEN id IS NULL THEN 'SELECT NULL::bit varying' ELSE format('SELECT ($1).bits_%s::bit varying', id) END);
    COMMENT ON FUNCTION imgsearch_internal.bits_of(imgsearch.image) IS 'The bits of a picture in the active space; null until it is embedded.';
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_vectors() IS 'Writes the view vectors and the function bits_of() for the active space.';

CREATE OR REPLACE FUNCTION imgsearch_internal.rebuild_generated() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    at imgsearch.attachment;
BEGIN
    PERFORM imgsearch_internal.write_image_replaced();
    PERFORM imgsearch_internal.write_vectors();
    PERFORM imgsearch_internal.mend_vocabulary();
    FOR at IN SELECT a.* FROM imgsearch.attachment a WHERE a.attached_at IS NOT NULL LOOP
        BEGIN
            PERFORM imgsearch_internal.write_attached(at);
        EXCEPTION WHEN undefined_column OR undefined_table OR undefined_function THEN
            RAISE WARNING 'imgsearch: what keeps % in step stays as it was (%); attach it again: SELECT imgsearch.detach(%, keep => true);',
                at.name, SQLERRM, quote_literal(at.name);
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.rebuild_generated() IS 'Writes anew what is generated for each space and each attached table; every upgrade calls it.';
