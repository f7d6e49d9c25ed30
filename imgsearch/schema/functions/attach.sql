-- imgsearch.attach() and imgsearch.detach(): image follows a table of yours, by triggers on it, inside your transactions.
-- What image should hold is a view over your table (attached_<n>); triggers, backfill, drift check and repair all read that
-- one view. docs/decisions/0005-attach.md has the reasons and the figures.

CREATE OR REPLACE FUNCTION imgsearch.attach(
    relation text, key text, image text DEFAULT NULL, images text[] DEFAULT NULL, tenant text DEFAULT NULL, category text DEFAULT NULL,
    price text DEFAULT NULL, in_stock text DEFAULT NULL, attributes text[] DEFAULT NULL, base text DEFAULT NULL,
    pictures text DEFAULT NULL, picture_of text DEFAULT NULL, ordinal text DEFAULT NULL, prefix text DEFAULT '',
    backfill boolean DEFAULT NULL, if_not_exists boolean DEFAULT false, title text DEFAULT NULL, words text DEFAULT NULL, codes text DEFAULT NULL
) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    owner   name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    at      imgsearch.attachment;
    old     imgsearch.attachment;
    waiting text := current_setting('lock_timeout');
BEGIN
    PERFORM imgsearch_internal.refuse_caller(owner);
    at.relation := imgsearch_internal.require_table(relation);
    at.pictures := imgsearch_internal.require_table(pictures);
    at.prefix := prefix;
    at.mapping := jsonb_build_object('key', key, 'images', to_jsonb(coalesce(images, '{}') || CASE WHEN image IS NULL THEN '{}' ELSE ARRAY[image] END),
        'tenant', tenant, 'category', category, 'price', price, 'in_stock', in_stock, 'attributes', coalesce(attributes, '{}'),
        'base', rtrim(base, '/'), 'picture_of', picture_of, 'ordinal', ordinal)
        || jsonb_strip_nulls(jsonb_build_object('title', title, 'words', words, 'codes', codes));
    IF waiting = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);  -- all writers of the table queue behind whoever waits for this lock
    END IF;
    LOCK TABLE imgsearch.attachment IN SHARE ROW EXCLUSIVE MODE;
    PERFORM imgsearch_internal.refuse_attachment(at.relation, owner), imgsearch_internal.refuse_attachment(coalesce(at.pictures, at.relation), owner);
    SELECT a.* INTO old FROM imgsearch.attachment a WHERE a.relation = at.relation;
    IF NOT (if_not_exists AND old.attached_at IS NOT NULL AND (old.mapping, old.prefix, old.pictures) IS NOT DISTINCT FROM (at.mapping, at.prefix, at.pictures)) THEN
        PERFORM imgsearch_internal.refuse_second(at, old, if_not_exists);
        at := imgsearch_internal.store_attachment(at);
        PERFORM imgsearch_internal.write_attached(at), imgsearch_internal.refuse_addresses(at), imgsearch_internal.copy_first(at, backfill);
        old := at;
    END IF;
    PERFORM set_config('lock_timeout', waiting, true);
    RETURN old.attachment_id;
END $$;
COMMENT ON FUNCTION imgsearch.attach IS 'Keeps pictures in step with a table of yours. SELECT imgsearch.attach(''shop.product'', key => ''id'', image => ''photo'', tenant => ''store_id'', category => ''category'', price => ''price'', in_stock => ''stock > 0'', attributes => ARRAY[''brand'', ''name AS title''], base => ''https://cdn.example.com/media'');';

CREATE OR REPLACE FUNCTION imgsearch_internal.store_attachment(at imgsearch.attachment) RETURNS imgsearch.attachment LANGUAGE plpgsql AS $$
DECLARE
    stored imgsearch.attachment;
    key    text := at.mapping ->> 'key';
BEGIN
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) INTO at.key_column, at.key_type
    FROM pg_attribute a WHERE a.attrelid = at.relation AND a.attname = key AND a.attnum > 0;
    IF NOT FOUND THEN
        PERFORM imgsearch_internal.resolve_mapping(at.relation, 'key', key);
        RAISE EXCEPTION 'imgsearch: key => ''%'' is not a column', key USING HINT = 'Name the primary key.', ERRCODE = 'IM010';
    END IF;
    at.resolved := imgsearch_internal.resolve_attachment(at);
    PERFORM imgsearch_internal.refuse_mapping(at);
    INSERT INTO imgsearch.attachment AS a (relation, pictures, prefix, key_column, key_type, mapping, resolved, attached_at)
    VALUES (at.relation, at.pictures, at.prefix, at.key_column, at.key_type, at.mapping, at.resolved, now())
    ON CONFLICT ON CONSTRAINT attachment_relation_key DO UPDATE SET pictures = EXCLUDED.pictures, prefix = EXCLUDED.prefix, key_column = EXCLUDED.key_column, key_type = EXCLUDED.key_type,
        mapping = EXCLUDED.mapping, resolved = EXCLUDED.resolved, attached_at = EXCLUDED.attached_at, backfilled_to = NULL, backfilled_at = NULL
    RETURNING a.* INTO stored;
    RETURN stored;
END $$;
COMMENT ON FUNCTION imgsearch_internal.store_attachment(imgsearch.attachment) IS 'Checks the arguments of attach() and keeps them, resolved.';

-- Written anew only where the text is another one: a trigger on your table takes a lock that its writers wait for.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_attached(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owner  name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    view   text := format('CREATE VIEW imgsearch_internal.attached_%s WITH (security_invoker = true) AS %s', at.attachment_id, imgsearch_internal.attached_select(at));
    body   text := imgsearch_internal.attached_function(at);
    digest text := md5(view || body || (SELECT string_agg(t.definition, ';') FROM imgsearch_internal.attached_triggers(at) t));
    made   record;
BEGIN
    IF at.generated = digest AND to_regclass(format('imgsearch_internal.attached_%s', at.attachment_id)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM imgsearch_internal.drop_attached(at);
    EXECUTE view;
    EXECUTE format('COMMENT ON VIEW imgsearch_internal.attached_%s IS %L', at.attachment_id, format('What imgsearch.image should hold of %s.', imgsearch_internal.qualified(at.relation)));
    EXECUTE body;
    EXECUTE format('COMMENT ON FUNCTION imgsearch_internal.attached_%s() IS %L', at.attachment_id, format('Trigger: keeps imgsearch.image in step with %s.', imgsearch_internal.qualified(at.relation)));
    EXECUTE format('REVOKE ALL ON FUNCTION imgsearch_internal.attached_%s() FROM PUBLIC', at.attachment_id);
    FOR made IN SELECT t.* FROM imgsearch_internal.attached_triggers(at) t LOOP
        EXECUTE made.definition;
        IF pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = made.relation), 'USAGE') THEN
            EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', made.name, made.relation, 'Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().');
        END IF;
    END LOOP;
    IF owner <> current_user THEN
        EXECUTE format('ALTER VIEW imgsearch_internal.attached_%s OWNER TO %I', at.attachment_id, owner);
        EXECUTE format('ALTER FUNCTION imgsearch_internal.attached_%s() OWNER TO %I', at.attachment_id, owner);
    END IF;
    UPDATE imgsearch.attachment a SET generated = digest WHERE a.attachment_id = at.attachment_id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_attached(imgsearch.attachment) IS 'Writes the view, the trigger function and the triggers of an attachment, in the place of those there were.';

CREATE OR REPLACE FUNCTION imgsearch_internal.drop_attached(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    other record;
BEGIN
    FOR other IN SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_trigger t
                 WHERE t.tgrelid IN (at.relation, at.pictures) AND t.tgname LIKE 'imgsearch\_%' AND t.tgparentid = 0
                   AND t.tgfoid IN (to_regprocedure(format('imgsearch_internal.attached_%s()', at.attachment_id)), 'imgsearch_internal.attached_changed'::regproc) LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', other.tgname, other.relation);
    END LOOP;
    EXECUTE format('DROP FUNCTION IF EXISTS imgsearch_internal.attached_%s()', at.attachment_id);
    EXECUTE format('DROP VIEW IF EXISTS imgsearch_internal.attached_%s', at.attachment_id);
END $$;
COMMENT ON FUNCTION imgsearch_internal.drop_attached(imgsearch.attachment) IS 'Takes the triggers, the trigger function and the view of an attachment away.';

CREATE OR REPLACE FUNCTION imgsearch_internal.copy_first(at imgsearch.attachment, wanted boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF wanted IS NULL THEN
        EXECUTE format('SELECT count(*) <= 10000 FROM (SELECT 1 FROM %s LIMIT 10001) x', at.relation) INTO wanted;
        IF NOT wanted THEN
            RAISE NOTICE 'imgsearch: % is attached; copy the rows it has already with: CALL imgsearch.backfill(%)', at.relation, quote_literal(at.relation);
        END IF;
    END IF;
    IF wanted THEN
        PERFORM imgsearch.repair(at.relation::text);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.copy_first(imgsearch.attachment, boolean) IS 'Copies the rows that are there already, if that was asked for, or was not said and they are few.';

CREATE OR REPLACE FUNCTION imgsearch.detach(relation text, keep boolean DEFAULT false, if_exists boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    at    imgsearch.attachment;
    gone  bigint := 0;
BEGIN
    LOCK TABLE imgsearch.attachment IN SHARE ROW EXCLUSIVE MODE;
    SELECT a.* INTO at FROM imgsearch.attachment a WHERE a.relation::text = relation OR a.relation = to_regclass(relation);
    IF NOT FOUND THEN
        IF if_exists THEN
            RETURN 0;
        END IF;
        PERFORM imgsearch_internal.attached(relation);
    END IF;
    PERFORM imgsearch_internal.drop_attached(at);
    IF keep THEN
        UPDATE imgsearch.attachment a SET attached_at = NULL WHERE a.attachment_id = at.attachment_id;
    ELSE
        DELETE FROM imgsearch.image i WHERE i.attachment_id = at.attachment_id;
        GET DIAGNOSTICS gone = ROW_COUNT;
        DELETE FROM imgsearch.attachment a WHERE a.attachment_id = at.attachment_id;
    END IF;
    RETURN gone;
END $$;
COMMENT ON FUNCTION imgsearch.detach(text, boolean, boolean) IS 'Takes the triggers off a table and its pictures out of the search; returns how many. keep => true leaves the pictures, for example while you alter a mapped column: SELECT imgsearch.detach(''shop.product'', keep => true);';
