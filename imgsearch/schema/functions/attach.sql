-- imgsearch.attach(), attach_query() and detach(): image follows a table of yours, by triggers on it, inside your
-- transactions. docs/decisions/0005-attach.md and 0019-catalogue-shapes.md have the reasons and the figures.

-- What people type (names of tables, expressions, queries) is read with their search_path, kept in imgsearch.path; all
-- else with our own. So what takes such a name is a few words in full, around a function that has no path but ours.
CREATE OR REPLACE FUNCTION imgsearch_internal.mapping_of(
    begin_with jsonb, key text, image text, images text[], tenant text, category text, price text, in_stock text, attributes text[], base text,
    pictures text, picture_of text, ordinal text, title text, words text, codes text, categories text, owner text, fallback text, follow jsonb, main text
) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF greatest(array_ndims(images), array_ndims(attributes)) > 1 OR '' = ANY (ARRAY[key, image, tenant, category, price,
        in_stock, picture_of, ordinal, title, words, codes, categories, owner, fallback, main]) THEN
        RAISE EXCEPTION 'imgsearch: an expression of attach() is empty, or images or attributes is a list of lists'
            USING HINT = 'Leave out what the table does not say.', ERRCODE = 'IM010';
    END IF;
    RETURN begin_with || jsonb_build_object('key', key, 'images', to_jsonb(coalesce(images, '{}') || CASE WHEN image IS NULL THEN '{}' ELSE ARRAY[image] END),
        'tenant', tenant, 'category', category, 'price', price, 'in_stock', in_stock, 'attributes', coalesce(attributes, '{}'),
        'base', rtrim(base, '/'), 'picture_of', picture_of, 'ordinal', ordinal)
        || jsonb_strip_nulls(jsonb_build_object('pictures', pictures, 'title', title, 'words', words, 'codes', codes, 'categories', categories, 'owner', owner, 'fallback', fallback, 'main', main))
        || CASE WHEN follow IS NULL THEN '{}' ELSE jsonb_build_object('follow', follow) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.mapping_of(jsonb, text, text, text[], text, text, text, text, text[], text, text, text, text, text, text, text, text, text, text, jsonb, text) IS 'The arguments of attach() as they are kept in attachment.mapping.';

CREATE OR REPLACE FUNCTION imgsearch.attach(
    relation text, key text, image text DEFAULT NULL, images text[] DEFAULT NULL, tenant text DEFAULT NULL, category text DEFAULT NULL,
    price text DEFAULT NULL, in_stock text DEFAULT NULL, attributes text[] DEFAULT NULL, base text DEFAULT NULL,
    pictures text DEFAULT NULL, picture_of text DEFAULT NULL, ordinal text DEFAULT NULL, prefix text DEFAULT '',
    backfill boolean DEFAULT NULL, if_not_exists boolean DEFAULT false, title text DEFAULT NULL, words text DEFAULT NULL, codes text DEFAULT NULL,
    categories text DEFAULT NULL, owner text DEFAULT NULL, fallback text DEFAULT NULL, follow jsonb DEFAULT NULL, main text DEFAULT NULL
) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    at imgsearch.attachment;
BEGIN
    PERFORM imgsearch_internal.refuse_caller(), pg_catalog.set_config('imgsearch.path', pg_catalog.current_setting('search_path'), true);
    IF relation IS NULL THEN
        RAISE EXCEPTION 'imgsearch: relation is null' USING HINT = 'Name your table: imgsearch.attach(''shop.product'', …).', ERRCODE = 'IM010';
    END IF;
    at.relation := imgsearch_internal.require_table(relation);
    at.name := at.relation::text;
    at.pictures := imgsearch_internal.require_table(pictures);
    at.prefix := prefix;
    at.mapping := imgsearch_internal.mapping_of('{}', key, image, images, tenant, category, price, in_stock, attributes, base,
        pictures, picture_of, ordinal, title, words, codes, categories, owner, fallback, follow, main);
    RETURN imgsearch_internal.begin_following(at, backfill, if_not_exists);
END $$;
COMMENT ON FUNCTION imgsearch.attach IS 'Keeps pictures in step with a table of yours. SELECT imgsearch.attach(''shop.product'', key => ''id'', image => ''photo'', tenant => ''store_id'', category => ''category'', price => ''price'', in_stock => ''stock > 0'', attributes => ARRAY[''brand'', ''name AS title''], base => ''https://cdn.example.com/media'');';

-- No triggers, unless follow names tables: you say whose rows changed, imgsearch.refresh(name, keys).
CREATE OR REPLACE FUNCTION imgsearch.attach_query(
    name text, query text, key text, image text DEFAULT NULL, images text[] DEFAULT NULL, tenant text DEFAULT NULL, category text DEFAULT NULL,
    price text DEFAULT NULL, in_stock text DEFAULT NULL, attributes text[] DEFAULT NULL, base text DEFAULT NULL,
    pictures text DEFAULT NULL, picture_of text DEFAULT NULL, ordinal text DEFAULT NULL, prefix text DEFAULT '',
    backfill boolean DEFAULT NULL, if_not_exists boolean DEFAULT false, title text DEFAULT NULL, words text DEFAULT NULL, codes text DEFAULT NULL,
    categories text DEFAULT NULL, owner text DEFAULT NULL, fallback text DEFAULT NULL, follow jsonb DEFAULT NULL, main text DEFAULT NULL
) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    at imgsearch.attachment;
BEGIN
    PERFORM imgsearch_internal.refuse_caller(), pg_catalog.set_config('imgsearch.path', pg_catalog.current_setting('search_path'), true);
    at.name := name;
    at.query := imgsearch_internal.resolve_query(name, query);
    at.pictures := imgsearch_internal.require_table(pictures);
    at.prefix := prefix;
    at.mapping := imgsearch_internal.mapping_of(pg_catalog.jsonb_build_object('query'::text, query), key, image, images, tenant, category, price, in_stock, attributes, base,
        pictures, picture_of, ordinal, title, words, codes, categories, owner, fallback, follow, main);
    RETURN imgsearch_internal.begin_following(at, backfill, if_not_exists);
END $$;
COMMENT ON FUNCTION imgsearch.attach_query IS 'Keeps pictures in step with a view or a SELECT, for the keys that you name: SELECT imgsearch.attach_query(''catalogue'', ''SELECT * FROM shop.catalogue'', key => ''id'', image => ''photo''); then SELECT imgsearch.refresh(''catalogue'', ARRAY[''17'']);';

CREATE OR REPLACE FUNCTION imgsearch_internal.begin_following(at imgsearch.attachment, backfill boolean, if_not_exists boolean) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    owner   name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    old     imgsearch.attachment;
    waiting text := current_setting('lock_timeout');
BEGIN
    IF waiting = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);  -- all writers of the table queue behind whoever waits for this lock
    END IF;
    LOCK TABLE imgsearch.attachment IN SHARE ROW EXCLUSIVE MODE;
    PERFORM imgsearch_internal.refuse_attachment(r, owner) FROM unnest(ARRAY[at.relation, at.pictures]) r WHERE r IS NOT NULL;
    SELECT a.* INTO old FROM imgsearch.attachment a WHERE a.relation = at.relation OR at.relation IS NULL AND a.name = at.name;
    IF NOT (if_not_exists AND old.attached_at IS NOT NULL AND (old.mapping, old.prefix, old.pictures) IS NOT DISTINCT FROM (at.mapping, at.prefix, at.pictures)) THEN
        PERFORM imgsearch_internal.refuse_second(at, old, if_not_exists);
        at := imgsearch_internal.store_attachment(at);
        PERFORM imgsearch_internal.write_attached(at), imgsearch_internal.refuse_addresses(at), imgsearch_internal.copy_first(at, backfill);
        old := at;
    END IF;
    PERFORM set_config('lock_timeout', waiting, true);
    RETURN old.attachment_id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.begin_following(imgsearch.attachment, boolean, boolean) IS 'Checks, keeps, generates and copies: what attach() and attach_query() have in common.';

CREATE OR REPLACE FUNCTION imgsearch_internal.store_attachment(at imgsearch.attachment) RETURNS imgsearch.attachment LANGUAGE plpgsql AS $$
DECLARE
    stored imgsearch.attachment;
BEGIN
    PERFORM imgsearch_internal.make_probes(at);
    PERFORM imgsearch_internal.refuse_shape(at);
    at := imgsearch_internal.resolve_attachment(at);
    at.resolved := at.resolved || jsonb_build_object('follow', imgsearch_internal.resolve_follow(at))
        || CASE WHEN at.relation IS NULL THEN jsonb_build_object('reader', imgsearch_internal.reader_of_query(at)::text) ELSE '{}' END;
    PERFORM imgsearch_internal.refuse_reader(at);
    PERFORM imgsearch_internal.refuse_unfollowed(at), imgsearch_internal.refuse_mapping(at);
    DROP TABLE imgsearch_internal.attached_probe_row;
    IF at.pictures IS NOT NULL THEN
        DROP TABLE imgsearch_internal.attached_probe_picture;
    END IF;
    DELETE FROM imgsearch.attachment a WHERE a.name = at.name AND a.relation IS DISTINCT FROM at.relation AND a.attached_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = a.relation);
    INSERT INTO imgsearch.attachment AS a (attachment_id, name, relation, query, pictures, prefix, key_columns, key_types, mapping, resolved, attached_at)
    OVERRIDING SYSTEM VALUE
    VALUES (coalesce((SELECT o.attachment_id FROM imgsearch.attachment o WHERE o.relation = at.relation OR at.relation IS NULL AND o.name = at.name),
                     nextval(pg_get_serial_sequence('imgsearch.attachment', 'attachment_id'))::integer),
            at.name, at.relation, at.query, at.pictures, at.prefix, at.key_columns, at.key_types, at.mapping, at.resolved, now())
    ON CONFLICT ON CONSTRAINT attachment_pkey DO UPDATE SET name = EXCLUDED.name, query = EXCLUDED.query, pictures = EXCLUDED.pictures, prefix = EXCLUDED.prefix,
        key_columns = EXCLUDED.key_columns, key_types = EXCLUDED.key_types, mapping = EXCLUDED.mapping, resolved = EXCLUDED.resolved, attached_at = EXCLUDED.attached_at,
        backfilled_to = NULL, backfilled_at = NULL
    RETURNING a.* INTO stored;
    DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = stored.attachment_id;
    RETURN stored;
END $$;
COMMENT ON FUNCTION imgsearch_internal.store_attachment(imgsearch.attachment) IS 'Checks the arguments of attach() and keeps them, resolved.';

CREATE OR REPLACE FUNCTION imgsearch_internal.copy_first(at imgsearch.attachment, wanted boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF wanted IS NULL THEN
        wanted := (imgsearch_internal.read_texts(at, format('SELECT (count(*) <= 10000)::text FROM (SELECT 1 FROM %s LIMIT 10001) x', imgsearch_internal.source(at))))[1]::boolean;
        IF NOT wanted THEN
            RAISE NOTICE 'imgsearch: % is attached; copy the rows it has already with: CALL imgsearch.backfill(%)', at.name, quote_literal(at.name);
        END IF;
    END IF;
    IF wanted THEN
        PERFORM imgsearch_internal.repair(a) FROM imgsearch.attachment a WHERE a.attachment_id = at.attachment_id;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.copy_first(imgsearch.attachment, boolean) IS 'Copies the rows that are there already, if that was asked for, or was not said and they are few.';

CREATE OR REPLACE FUNCTION imgsearch_internal.detach(called regclass, relation text, keep boolean, if_exists boolean) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    at    imgsearch.attachment;
    gone  bigint := 0;
BEGIN
    LOCK TABLE imgsearch.attachment IN SHARE ROW EXCLUSIVE MODE;
    SELECT a.* INTO at FROM imgsearch.attachment a WHERE a.name = relation OR a.relation = called;
    IF NOT FOUND THEN
        IF if_exists THEN
            RETURN 0;
        END IF;
        PERFORM imgsearch_internal.attached(called, relation);
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
COMMENT ON FUNCTION imgsearch_internal.detach(regclass, text, boolean, boolean) IS 'What detach() does.';

CREATE OR REPLACE FUNCTION imgsearch.detach(relation text, keep boolean DEFAULT false, if_exists boolean DEFAULT false) RETURNS bigint LANGUAGE sql AS $$
    SELECT imgsearch_internal.detach(imgsearch_internal.table_called(relation), relation, keep, if_exists)
$$;
COMMENT ON FUNCTION imgsearch.detach(text, boolean, boolean) IS 'Takes the triggers off a table and its pictures out of the search; returns how many. keep => true leaves the pictures, for example while you alter a mapped column: SELECT imgsearch.detach(''shop.product'', keep => true);';
