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

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_mapping(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    company text := at.resolved ->> 'company';
    of      text := at.mapping ->> 'picture_of';
    ordinal text := at.mapping ->> 'ordinal';
BEGIN
    IF NOT imgsearch_internal.is_unique(at.relation, ARRAY[at.key_column::text]) AND (company IS NULL OR NOT imgsearch_internal.is_unique(at.relation, ARRAY[at.key_column::text, company])) THEN
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
        ELSIF NOT EXISTS (SELECT 1 FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] WHERE x.indrelid = at.pictures AND a.attname = of AND x.indisvalid) THEN
            RAISE EXCEPTION 'imgsearch: % has no index that begins with %', at.pictures, of USING HINT = format('CREATE INDEX ON %s (%I);', at.pictures, of), ERRCODE = 'IM010';
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_mapping(imgsearch.attachment) IS 'Raises what is wrong with the arguments of attach(), if something is.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_caller(owner name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_has_role(current_user, owner, 'MEMBER') THEN
        RAISE EXCEPTION 'imgsearch: % may not attach tables, % may', current_user, owner USING HINT = format('Connect as %I, or as a member of it.', owner), ERRCODE = 'IM021';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_caller(name) IS 'Raises that this role may not attach tables, if it may not.';

CREATE OR REPLACE FUNCTION imgsearch_internal.require_table(given text) RETURNS regclass LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass(given) IS NULL AND given IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: there is no table %', given USING HINT = 'Write it as in SQL: schema.table, with double quotes where a name has capitals.', ERRCODE = 'IM010';
    END IF;
    RETURN to_regclass(given);
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_table(text) IS 'The table of that name, or an error; null of null.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_second(at imgsearch.attachment, old imgsearch.attachment, if_not_exists boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF old.attached_at IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: % is attached already%', at.relation, CASE WHEN if_not_exists THEN ', but with other arguments' ELSE '' END
            USING HINT = format('SELECT imgsearch.detach(%L, keep => true); then attach it again: pictures that stay are not embedded again.', at.relation), ERRCODE = 'IM010';
    ELSIF EXISTS (SELECT 1 FROM imgsearch.attachment a WHERE a.prefix = at.prefix AND a.relation <> at.relation) THEN
        RAISE EXCEPTION 'imgsearch: the keys of % could meet those of %', at.relation, (SELECT a.relation FROM imgsearch.attachment a WHERE a.prefix = at.prefix)
            USING HINT = format('Tell them apart: prefix => ''%s:''.', (SELECT c.relname FROM pg_class c WHERE c.oid = at.relation)), ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_second(imgsearch.attachment, imgsearch.attachment, boolean) IS 'Raises that a table is attached already, or that its keys would meet those of another.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_addresses(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    given text;
BEGIN
    EXECUTE format('SELECT x.uri FROM (SELECT uri FROM imgsearch_internal.attached_%s WHERE uri IS NOT NULL LIMIT 1000) x WHERE x.uri !~* ''^(store|https?|file):'' LIMIT 1', at.attachment_id) INTO given;
    IF given IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: % holds "%", which is no address', at.mapping #>> '{images,0}', left(given, 100)
            USING HINT = 'Where do such paths begin? base => ''https://cdn.example.com/media'', or base => ''file:///srv/media'' with IMGSEARCH_FETCH_FOLDERS=/srv/media for the workers.', ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_addresses(imgsearch.attachment) IS 'Raises that a picture column holds what is no address, if one of the first thousand rows does.';
