-- imgsearch.attach() and imgsearch.detach(): what is refused, what is made, what is taken away.

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_attachment(relation regclass, owner name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    SELECT c.relkind, c.relpersistence, c.relnamespace::regnamespace::text AS home, c.relrowsecurity, c.relforcerowsecurity, c.relowner INTO found
    FROM pg_class c WHERE c.oid = relation;
    IF found.relkind NOT IN ('r', 'p') OR found.relpersistence = 't' OR found.home IN ('imgsearch', 'pg_catalog', 'information_schema') THEN
        RAISE EXCEPTION 'imgsearch: % is not an ordinary table of yours', relation
            USING HINT = 'Views, foreign, temporary and system tables cannot carry the triggers; attach the table behind them.', ERRCODE = 'IM010';
    ELSIF NOT has_table_privilege(owner, relation, 'SELECT') OR NOT has_table_privilege(owner, relation, 'UPDATE')
          OR NOT (has_table_privilege(owner, relation, 'TRIGGER') AND has_table_privilege(relation, 'TRIGGER')) THEN
        RAISE EXCEPTION 'imgsearch: % may not read, lock and put triggers on %', owner, relation
            USING HINT = format('As its owner run: GRANT SELECT, UPDATE, TRIGGER ON %s TO %I;', relation, owner), ERRCODE = 'IM021';
    ELSIF found.relrowsecurity AND (found.relforcerowsecurity OR NOT pg_has_role(owner, found.relowner, 'USAGE'))
          AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = owner AND (r.rolsuper OR r.rolbypassrls))
          AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = relation AND p.polpermissive AND p.polcmd IN ('*', 'r') AND pg_get_expr(p.polqual, p.polrelid) = 'true'
                            AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) x WHERE pg_has_role(owner, x, 'USAGE')))) THEN
        RAISE EXCEPTION 'imgsearch: row-level security may hide rows of % from %, and a hidden row looks deleted', relation, owner
            USING HINT = format('CREATE POLICY imgsearch ON %s TO %I USING (true);', relation, owner), ERRCODE = 'IM021';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_attachment(regclass, name) IS 'Raises why a table cannot be attached, if it cannot.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_mapping(at imgsearch.attachment, company name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    of      text := at.mapping ->> 'picture_of';
    ordinal text := at.mapping ->> 'ordinal';
BEGIN
    IF NOT imgsearch_internal.is_unique(at.relation, ARRAY[at.key_column::text]) AND (company IS NULL OR NOT imgsearch_internal.is_unique(at.relation, ARRAY[at.key_column::text, company::text])) THEN
        RAISE EXCEPTION 'imgsearch: key => ''%'' is not unique in %', at.key_column, at.relation
            USING HINT = 'Use the primary key, or a column with a unique index of its own or together with the tenant''s column.', ERRCODE = 'IM010';
    ELSIF jsonb_array_length(at.mapping -> 'images') = 0 OR (at.pictures IS NOT NULL AND jsonb_array_length(at.mapping -> 'images') > 1) THEN
        RAISE EXCEPTION 'imgsearch: % has no picture column', coalesce(at.pictures, at.relation)
            USING HINT = 'Name it: image => ''photo''; several of one table: images => ARRAY[''front'', ''back''].', ERRCODE = 'IM010';
    ELSIF at.mapping ->> 'base' !~* '^(https?|file)://' THEN
        RAISE EXCEPTION 'imgsearch: base => ''%'' is no address', at.mapping ->> 'base' USING HINT = 'For example https://cdn.example.com/media or file:///srv/media.', ERRCODE = 'IM010';
    ELSIF (at.pictures IS NULL) <> (of IS NULL) OR (at.pictures IS NULL) <> (ordinal IS NULL) THEN
        RAISE EXCEPTION 'imgsearch: pictures, picture_of and ordinal go together'
            USING HINT = 'pictures => ''shop.photo'', picture_of => ''product_id'', ordinal => ''id'', image => ''file''.', ERRCODE = 'IM010';
    ELSIF at.pictures IS NOT NULL THEN
        IF (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = at.pictures AND a.attname IN (of, ordinal) AND a.attnum > 0) < 2 THEN
            RAISE EXCEPTION 'imgsearch: % has no columns % and %', at.pictures, of, ordinal USING HINT = 'picture_of is the foreign key, ordinal the place among the product''s pictures.', ERRCODE = 'IM010';
        ELSIF (SELECT format_type(a.atttypid, NULL) NOT IN ('smallint', 'integer', 'bigint') FROM pg_attribute a WHERE a.attrelid = at.pictures AND a.attname = ordinal)
              OR NOT (imgsearch_internal.is_unique(at.pictures, ARRAY[of, ordinal]) OR imgsearch_internal.is_unique(at.pictures, ARRAY[ordinal])) THEN
            RAISE EXCEPTION 'imgsearch: ordinal => ''%'' does not tell the pictures of a product apart', ordinal
                USING HINT = 'Use an integer that is unique, alone or together with picture_of; the key of the picture will do.', ERRCODE = 'IM010';
        ELSIF NOT imgsearch_internal.is_unique(at.relation, ARRAY[at.key_column::text]) THEN
            RAISE EXCEPTION 'imgsearch: with pictures of their own table, the key must be unique by itself' USING HINT = 'Add a unique index on it.', ERRCODE = 'IM010';
        ELSIF NOT EXISTS (SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] WHERE x.indrelid = at.pictures AND a.attname = of AND x.indisvalid) THEN
            RAISE EXCEPTION 'imgsearch: % has no index that begins with %', at.pictures, of USING HINT = format('CREATE INDEX ON %s (%I);', at.pictures, of), ERRCODE = 'IM010';
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_mapping(imgsearch.attachment, name) IS 'Raises what is wrong with the arguments of attach(), if something is.';

CREATE OR REPLACE FUNCTION imgsearch.attach(
    relation text, key text, image text DEFAULT NULL, images text[] DEFAULT NULL, tenant text DEFAULT NULL, category text DEFAULT NULL,
    price text DEFAULT NULL, in_stock text DEFAULT NULL, attributes text[] DEFAULT NULL, base text DEFAULT NULL,
    pictures text DEFAULT NULL, picture_of text DEFAULT NULL, ordinal text DEFAULT NULL, prefix text DEFAULT '',
    backfill boolean DEFAULT NULL, if_not_exists boolean DEFAULT false
) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    owner   name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    at      imgsearch.attachment;
    old     imgsearch.attachment;
    made    record;
    given   text;
    waiting text := current_setting('lock_timeout');
BEGIN
    IF NOT pg_has_role(current_user, owner, 'MEMBER') THEN
        RAISE EXCEPTION 'imgsearch: % may not attach tables, % may', current_user, owner USING HINT = format('Connect as %I, or as a member of it.', owner), ERRCODE = 'IM021';
    END IF;
    FOREACH given IN ARRAY ARRAY[relation] || pictures LOOP
        IF to_regclass(given) IS NULL AND given IS NOT NULL THEN
            RAISE EXCEPTION 'imgsearch: there is no table %', given USING HINT = 'Write it as in SQL: schema.table, with double quotes where a name has capitals.', ERRCODE = 'IM010';
        END IF;
    END LOOP;
    IF waiting = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);  -- all writers of the table queue behind whoever waits for this lock
    END IF;
    LOCK TABLE imgsearch.attachment IN SHARE ROW EXCLUSIVE MODE;
    at.relation := to_regclass(relation);
    at.pictures := to_regclass(pictures);
    at.prefix := prefix;
    at.mapping := jsonb_build_object('key', key, 'images', to_jsonb(coalesce(images, '{}') || CASE WHEN image IS NULL THEN '{}' ELSE ARRAY[image] END),
        'tenant', tenant, 'category', category, 'price', price, 'in_stock', in_stock, 'attributes', coalesce(attributes, '{}'),
        'base', rtrim(base, '/'), 'picture_of', picture_of, 'ordinal', ordinal);
    PERFORM imgsearch_internal.refuse_attachment(at.relation, owner), imgsearch_internal.refuse_attachment(r, owner) FROM (SELECT coalesce(at.pictures, at.relation)) x (r);
    SELECT a.* INTO old FROM imgsearch.attachment a WHERE a.relation = at.relation;
    IF old.attached_at IS NOT NULL THEN
        IF if_not_exists AND (old.mapping, old.prefix, old.pictures) IS NOT DISTINCT FROM (at.mapping, at.prefix, at.pictures) THEN
            PERFORM set_config('lock_timeout', waiting, true);
            RETURN old.attachment_id;
        END IF;
        RAISE EXCEPTION 'imgsearch: % is attached already%', at.relation, CASE WHEN if_not_exists THEN ', but with other arguments' ELSE '' END
            USING HINT = format('SELECT imgsearch.detach(%L, keep => true); then attach it again: pictures that stay are not embedded again.', relation), ERRCODE = 'IM010';
    ELSIF EXISTS (SELECT FROM imgsearch.attachment a WHERE a.prefix = at.prefix AND a.relation <> at.relation) THEN
        RAISE EXCEPTION 'imgsearch: the keys of % could meet those of %', at.relation, (SELECT a.relation FROM imgsearch.attachment a WHERE a.prefix = at.prefix)
            USING HINT = format('Tell them apart: prefix => ''%s:''.', (SELECT c.relname FROM pg_class c WHERE c.oid = at.relation)), ERRCODE = 'IM010';
    END IF;
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) INTO at.key_column, at.key_type
    FROM pg_attribute a WHERE a.attrelid = at.relation AND a.attname = key AND a.attnum > 0;
    IF NOT FOUND THEN
        PERFORM imgsearch_internal.resolve_mapping(at.relation, 'key', key);
        RAISE EXCEPTION 'imgsearch: key => ''%'' is not a column', key USING HINT = 'Name the primary key.', ERRCODE = 'IM010';
    END IF;
    INSERT INTO imgsearch.attachment AS a (relation, pictures, prefix, key_column, key_type, mapping, attached_at)
    VALUES (at.relation, at.pictures, at.prefix, at.key_column, at.key_type, at.mapping, now())
    ON CONFLICT ON CONSTRAINT attachment_relation_key DO UPDATE SET pictures = EXCLUDED.pictures, prefix = EXCLUDED.prefix, key_column = EXCLUDED.key_column, key_type = EXCLUDED.key_type,
        mapping = EXCLUDED.mapping, attached_at = now(), backfilled_to = NULL, backfilled_at = NULL
    RETURNING a.* INTO at;
    SELECT * INTO made FROM imgsearch_internal.attached_select(at);
    PERFORM imgsearch_internal.refuse_mapping(at, made.company);
    IF imgsearch_internal.is_unique(at.relation, ARRAY[at.key_column::text]) THEN
        made.company := NULL;
    END IF;
    EXECUTE format('CREATE VIEW imgsearch_internal.attached_%s WITH (security_invoker = true) AS %s', at.attachment_id, made.body);
    EXECUTE format('COMMENT ON VIEW imgsearch_internal.attached_%s IS %L', at.attachment_id, format('What imgsearch.image should hold of %s.', at.relation));
    EXECUTE imgsearch_internal.attached_function(at, made.tenant, made.company);
    EXECUTE format('COMMENT ON FUNCTION imgsearch_internal.attached_%s() IS %L', at.attachment_id, format('Trigger: keeps imgsearch.image in step with %s.', at.relation));
    EXECUTE format('REVOKE ALL ON FUNCTION imgsearch_internal.attached_%s() FROM PUBLIC', at.attachment_id);
    PERFORM imgsearch_internal.attached_triggers(at, made.followed, made.moved);
    IF owner <> current_user THEN
        EXECUTE format('ALTER VIEW imgsearch_internal.attached_%s OWNER TO %I', at.attachment_id, owner);
        EXECUTE format('ALTER FUNCTION imgsearch_internal.attached_%s() OWNER TO %I', at.attachment_id, owner);
    END IF;
    EXECUTE format('SELECT x.uri FROM (SELECT uri FROM imgsearch_internal.attached_%s WHERE uri IS NOT NULL LIMIT 1000) x WHERE x.uri !~* ''^(store|https?|file):'' LIMIT 1', at.attachment_id) INTO given;
    IF given IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: % holds "%", which is no address', coalesce(images[1], image), left(given, 100)
            USING HINT = 'Where do such paths begin? base => ''https://cdn.example.com/media'', or base => ''file:///srv/media'' with IMGSEARCH_FETCH_FOLDERS=/srv/media for the workers.', ERRCODE = 'IM010';
    END IF;
    IF backfill IS NULL THEN
        EXECUTE format('SELECT count(*) <= 10000 FROM (SELECT FROM %s LIMIT 10001) x', at.relation) INTO backfill;
        IF NOT backfill THEN
            RAISE NOTICE 'imgsearch: % is attached; copy the rows it has already with: CALL imgsearch.backfill(%)', at.relation, quote_literal(relation);
        END IF;
    END IF;
    IF backfill THEN
        PERFORM imgsearch.repair(relation);
    END IF;
    PERFORM set_config('lock_timeout', waiting, true);
    RETURN at.attachment_id;
END $$;
COMMENT ON FUNCTION imgsearch.attach IS 'Keeps pictures in step with a table of yours. SELECT imgsearch.attach(''shop.product'', key => ''id'', image => ''photo'', tenant => ''store_id'', category => ''category'', price => ''price'', in_stock => ''stock > 0'', attributes => ARRAY[''brand'', ''name AS title''], base => ''https://cdn.example.com/media'');';

CREATE OR REPLACE FUNCTION imgsearch.detach(relation text, keep boolean DEFAULT false, if_exists boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    at    imgsearch.attachment;
    other record;
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
    FOR other IN SELECT t.tgname, t.tgrelid::regclass AS relation FROM pg_trigger t
                 WHERE t.tgrelid IN (at.relation, at.pictures) AND t.tgname LIKE 'imgsearch\_%' AND t.tgparentid = 0
                   AND t.tgfoid IN (to_regprocedure(format('imgsearch_internal.attached_%s()', at.attachment_id)), 'imgsearch_internal.attached_changed'::regproc) LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', other.tgname, other.relation);
    END LOOP;
    EXECUTE format('DROP FUNCTION IF EXISTS imgsearch_internal.attached_%s()', at.attachment_id);
    EXECUTE format('DROP VIEW IF EXISTS imgsearch_internal.attached_%s', at.attachment_id);
    IF keep THEN
        UPDATE imgsearch.attachment a SET attached_at = NULL WHERE a.attachment_id = at.attachment_id;
    ELSE
        DELETE FROM imgsearch.image i WHERE i.attachment_id = at.attachment_id;
        GET DIAGNOSTICS gone = ROW_COUNT;
        DELETE FROM imgsearch.attachment a WHERE a.attachment_id = at.attachment_id;
    END IF;
    RETURN gone;
END $$;
COMMENT ON FUNCTION imgsearch.detach(text, boolean, boolean) IS 'Takes the triggers off a table and its pictures out of the search; answers how many. keep => true leaves the pictures, for example while you alter a mapped column: SELECT imgsearch.detach(''shop.product'', keep => true);';
