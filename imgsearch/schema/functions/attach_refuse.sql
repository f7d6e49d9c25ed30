-- What attach() refuses, and what to do about it.

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
          AND NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.rolname = owner AND (r.rolsuper OR r.rolbypassrls))
          AND NOT EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = relation AND p.polpermissive AND p.polcmd IN ('*', 'r') AND pg_get_expr(p.polqual, p.polrelid) = 'true'
                            AND (p.polroles = '{0}' OR EXISTS (SELECT 1 FROM unnest(p.polroles) x WHERE pg_has_role(owner, x, 'USAGE')))) THEN
        RAISE EXCEPTION 'imgsearch: row-level security may hide rows of % from %, and a hidden row looks deleted', relation, owner
            USING HINT = format('CREATE POLICY imgsearch ON %s TO %I USING (true);', relation, owner), ERRCODE = 'IM021';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_attachment(regclass, name) IS 'Raises why a table cannot be attached, if it cannot.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_shape(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_array_length(at.mapping -> 'images') = 0 OR (at.pictures IS NOT NULL AND jsonb_array_length(at.mapping -> 'images') > 1) THEN
        RAISE EXCEPTION 'imgsearch: % has no picture column', coalesce(at.pictures::text, at.name)
            USING HINT = 'Name it: image => ''photo''; several of one table: images => ARRAY[''front'', ''back''].', ERRCODE = 'IM010';
    ELSIF at.mapping ->> 'base' !~* '^(https?|file)://' THEN
        RAISE EXCEPTION 'imgsearch: base => ''%'' is no address', at.mapping ->> 'base' USING HINT = 'For example https://cdn.example.com/media or file:///srv/media.', ERRCODE = 'IM010';
    ELSIF (at.pictures IS NULL) <> (at.mapping ->> 'picture_of' IS NULL) OR at.pictures IS NULL AND at.mapping ->> 'ordinal' IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: pictures and picture_of go together, and ordinal with them'
            USING HINT = 'pictures => ''shop.photo'', picture_of => ''product_id'', ordinal => ''place'', image => ''file''.', ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_shape(imgsearch.attachment) IS 'Raises which arguments of attach() do not go together, if any do not.';

CREATE OR REPLACE FUNCTION imgsearch_internal.looked_up(at imgsearch.attachment)
RETURNS TABLE (argument text, relation regclass, first text, many integer) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.argument, l.relation, imgsearch_internal.named(at, at.resolved #>> ARRAY[l.argument, '0']),
           jsonb_array_length(at.resolved -> l.argument)
    FROM (VALUES ('picture_of', at.pictures), ('owner', at.relation), ('fallback', at.relation)) l (argument, relation)
    WHERE at.mapping ->> l.argument IS NOT NULL AND l.relation IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.looked_up(imgsearch.attachment) IS
'What is looked up at each write of an attached table: the first of it begins an index.';

CREATE OR REPLACE FUNCTION imgsearch_internal.index_to_make(relation regclass, first text) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('CREATE INDEX ON %s (%s);  -- in a model of SQLAlchemy: index=True', relation, first)
$$;
COMMENT ON FUNCTION imgsearch_internal.index_to_make(regclass, text) IS
'What makes an index; a migration written from a model drops one that the model does not name.';

-- A column that is gone took its indexes along, and the writes that fail say so.
CREATE OR REPLACE FUNCTION imgsearch_internal.indexes_gone() RETURNS TABLE (relation regclass, first text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    at imgsearch.attachment;
BEGIN
    FOR at IN SELECT a.* FROM imgsearch.attachment a WHERE a.attached_at IS NOT NULL LOOP
        BEGIN
            RETURN QUERY SELECT l.relation, l.first FROM imgsearch_internal.looked_up(at) l
                WHERE NOT imgsearch_internal.has_index(l.relation, l.first);
        EXCEPTION WHEN undefined_column THEN NULL;
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.indexes_gone() IS
'What attached tables look up at each write, and no index begins with any more.';

-- What is looked up at each write needs an index.
CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_mapping(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    IF at.pictures IS NOT NULL AND NOT (at.resolved -> 'key_alone')::boolean AND jsonb_array_length(at.resolved -> 'picture_of') <> cardinality(at.key_columns) THEN
        RAISE EXCEPTION 'imgsearch: with pictures of their own table, the key must be unique by itself'
            USING HINT = format('Name all of it: key => ''%s''.', array_to_string(at.key_columns, ', ')), ERRCODE = 'IM010';
    END IF;
    FOR part IN SELECT l.*, at.mapping ->> l.argument AS given FROM imgsearch_internal.looked_up(at) l LOOP
        IF part.many <> cardinality(at.key_columns) THEN
            RAISE EXCEPTION 'imgsearch: % => ''%'' does not give the whole key', part.argument, part.given
                USING HINT = format('The key is %s: name as many columns or expressions.', array_to_string(at.key_columns, ', ')), ERRCODE = 'IM010';
        ELSIF NOT imgsearch_internal.has_index(part.relation, part.first) THEN
            RAISE EXCEPTION 'imgsearch: % has no index that begins with %', part.relation, part.first
                USING HINT = imgsearch_internal.index_to_make(part.relation, part.first), ERRCODE = 'IM010';
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_mapping(imgsearch.attachment) IS 'Raises which index is missing, or which key is not whole.';

CREATE OR REPLACE FUNCTION imgsearch_internal.has_index(relation regclass, expression text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM pg_index x WHERE x.indrelid = relation AND x.indisvalid AND x.indpred IS NULL
                     AND regexp_replace(lower(pg_get_indexdef(x.indexrelid, 1, false)), '[() ]|::\w+', '', 'g') = regexp_replace(lower(expression), '[() ]|::\w+', '', 'g'))
$$;
COMMENT ON FUNCTION imgsearch_internal.has_index(regclass, text) IS 'Whether an index of a table begins with that.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_caller() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
BEGIN
    IF NOT pg_has_role(current_user, owner, 'MEMBER') THEN
        RAISE EXCEPTION 'imgsearch: % may not attach tables, % may', current_user, owner USING HINT = format('Connect as %I, or as a member of it.', owner), ERRCODE = 'IM021';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_caller() IS 'Raises that this role may not attach tables, if it may not.';

CREATE OR REPLACE FUNCTION imgsearch_internal.require_table(given text) RETURNS regclass LANGUAGE plpgsql STABLE AS $$
DECLARE
    called regclass;
BEGIN
    PERFORM set_config('search_path', current_setting('imgsearch.path'), true);  -- until the function ends
    BEGIN
        -- A number is an oid to it, of whatever there is or is not.
        called := (SELECT c.oid FROM pg_catalog.pg_class c
                   WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass(given)::pg_catalog.oid);
    EXCEPTION WHEN syntax_error_or_access_rule_violation THEN
        called := NULL;  -- no name at all
    END;
    IF called IS NULL AND given IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: there is no table %', given USING HINT = 'Write it as in SQL: schema.table, with double quotes where a name has capitals.', ERRCODE = 'IM010';
    END IF;
    RETURN called;
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_table(text) IS 'The table of that name, or an error; null of null.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_second(at imgsearch.attachment, old imgsearch.attachment, if_not_exists boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF old.attached_at IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: % is attached already%', at.name, CASE WHEN if_not_exists THEN ', but with other arguments' ELSE '' END
            USING HINT = format('SELECT imgsearch.detach(%L, keep => true); then attach it again: pictures that stay are not embedded again.', at.name), ERRCODE = 'IM010';
    ELSIF EXISTS (SELECT 1 FROM imgsearch.attachment a WHERE a.prefix = at.prefix AND a.attachment_id IS DISTINCT FROM old.attachment_id) THEN
        RAISE EXCEPTION 'imgsearch: the keys of % could meet those of %', at.name, (SELECT a.name FROM imgsearch.attachment a WHERE a.prefix = at.prefix)
            USING HINT = format('Tell them apart: prefix => ''%s:''.', coalesce((SELECT c.relname FROM pg_class c WHERE c.oid = at.relation), at.name)), ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_second(imgsearch.attachment, imgsearch.attachment, boolean) IS 'Raises that a table is attached already, or that its keys would meet those of another.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_addresses(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    given text;
BEGIN
    IF at.mapping ->> 'base' IS NULL THEN
        EXECUTE format('SELECT x.uri FROM (SELECT v.uri FROM (%s) v LIMIT 1000) x WHERE x.uri !~* ''^(store|https?|file):'' LIMIT 1', imgsearch_internal.read_pictures(at, NULL)) INTO given;
    END IF;
    IF given IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: % holds "%", which is no address', at.mapping #>> '{images,0}', left(given, 100)
            USING HINT = 'Where do such paths begin? base => ''https://cdn.example.com/media'', or base => ''file:///srv/media'' with IMGSEARCH_FETCH_FOLDERS=/srv/media for the workers.', ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_addresses(imgsearch.attachment) IS 'Raises that a picture column holds what is no address, if one of the first thousand rows does.';
