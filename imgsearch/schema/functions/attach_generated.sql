-- What is written for an attachment: two functions, and triggers on your tables.

CREATE OR REPLACE FUNCTION imgsearch_internal.write_functions(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    made  record;
BEGIN
    FOR made IN SELECT * FROM (VALUES
        (format('attached_%s()', at.attachment_id), imgsearch_internal.attached_function(at), 'Trigger: keeps imgsearch.image in step with %s.'),
        (format('attached_%s_write(text[], boolean)', at.attachment_id), imgsearch_internal.attached_write_function(at), 'Brings some keys of %s in step.'),
        (format('attached_%s_read(text, text[], integer)', at.attachment_id), imgsearch_internal.read_function(at), 'Reads %s with the rights of its owner.'),
        (format('attached_%s_tell(text[], boolean, text, text)', at.attachment_id), imgsearch_internal.tell_function(at), 'What the trigger of %s may not write itself.')) m (name, body, said)
        WHERE imgsearch_internal.reader_of(at) IS NOT NULL OR m.name !~ '_(read|tell)\(' LOOP
        EXECUTE made.body;
        EXECUTE format('COMMENT ON FUNCTION imgsearch_internal.%s IS %L', made.name, format(made.said, at.name));
        EXECUTE format('REVOKE ALL ON FUNCTION imgsearch_internal.%s FROM PUBLIC', made.name);
        IF owner <> current_user THEN
            EXECUTE format('ALTER FUNCTION imgsearch_internal.%s OWNER TO %I', made.name, owner);
        END IF;
    END LOOP;
    IF imgsearch_internal.reader_of(at) IS NOT NULL THEN
        PERFORM imgsearch_internal.give_to_reader(at);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_functions(imgsearch.attachment) IS 'Writes the functions of an attachment, with the names its tables and columns have now.';

-- Written anew only where the text is another one: a trigger on your table takes a lock that its readers wait for, functions
-- are replaced without any. `generated` is the digest of the functions and that of the triggers; before, of both in one.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_attached(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    functions text := concat(imgsearch_internal.attached_function(at), imgsearch_internal.attached_write_function(at), imgsearch_internal.reader_of(at));
    triggers  text := coalesce((SELECT string_agg(t.definition, ';' ORDER BY t.name, t.relation) FROM imgsearch_internal.attached_triggers(at) t), '');
    digest    text := md5(functions) || '/' || md5(triggers);
    is_there  boolean := to_regprocedure(format('imgsearch_internal.attached_%s()', at.attachment_id)) IS NOT NULL;
    made      record;
BEGIN
    IF is_there AND at.generated IN (digest, md5(functions || triggers)) THEN
        RETURN;
    ELSIF is_there AND split_part(at.generated, '/', 2) = md5(triggers) THEN
        PERFORM imgsearch_internal.write_functions(at);
        UPDATE imgsearch.attachment a SET generated = digest WHERE a.attachment_id = at.attachment_id;
        RETURN;
    END IF;
    PERFORM imgsearch_internal.drop_attached(at), imgsearch_internal.write_functions(at);
    FOR made IN SELECT t.* FROM imgsearch_internal.attached_triggers(at) t LOOP
        EXECUTE made.definition;
        IF pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = made.relation), 'USAGE') THEN
            EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', made.name, made.relation, 'Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().');
        END IF;
    END LOOP;
    UPDATE imgsearch.attachment a SET generated = digest WHERE a.attachment_id = at.attachment_id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_attached(imgsearch.attachment) IS 'Writes the functions and the triggers of an attachment, in the place of those there were.';

CREATE OR REPLACE FUNCTION imgsearch_internal.drop_attached(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    other record;
BEGIN
    FOR other IN SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_trigger t
                 WHERE t.tgparentid = 0 AND t.tgfoid = to_regprocedure(format('imgsearch_internal.attached_%s()', at.attachment_id)) LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', other.tgname, other.relation);
    END LOOP;
    EXECUTE format('DROP FUNCTION IF EXISTS imgsearch_internal.attached_%s()', at.attachment_id);
    EXECUTE format('DROP FUNCTION IF EXISTS imgsearch_internal.attached_%s_write(text[], boolean)', at.attachment_id);
    EXECUTE format('DROP FUNCTION IF EXISTS imgsearch_internal.attached_%s_read(text, text[], integer)', at.attachment_id);
    EXECUTE format('DROP FUNCTION IF EXISTS imgsearch_internal.attached_%s_tell(text[], boolean, text, text)', at.attachment_id);
END $$;
COMMENT ON FUNCTION imgsearch_internal.drop_attached(imgsearch.attachment) IS 'Takes the triggers and the functions of an attachment away.';
