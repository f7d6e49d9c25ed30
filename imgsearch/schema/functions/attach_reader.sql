-- Whose rights the expressions and queries of an attachment run with: those of the owner of the table, who may replace what
-- they call at any time. Where that is a stranger to us he owns two functions: the trigger's, and attached_<n>_read(),
-- through which everything of his is read. What they tell are keys and plain values; only our own functions write them.

CREATE OR REPLACE FUNCTION imgsearch_internal.reader_of(at imgsearch.attachment) RETURNS name LANGUAGE plpgsql STABLE AS $$
DECLARE
    ours  CONSTANT oid := (SELECT c.relowner FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    whose CONSTANT oid := CASE WHEN at.relation IS NULL THEN (at.resolved ->> 'reader')::oid
                               ELSE (SELECT c.relowner FROM pg_class c WHERE c.oid = at.relation) END;
BEGIN
    RETURN (SELECT r.rolname FROM pg_roles r WHERE r.oid = whose AND r.oid <> ours AND NOT r.rolsuper);
END $$;
COMMENT ON FUNCTION imgsearch_internal.reader_of(imgsearch.attachment) IS 'Whose rights an attachment is read with; null: our owner''s, for the table is his or a superuser''s.';

-- Views and tables that it names; a view reads what it reads with the rights of whoever owns that view.
CREATE OR REPLACE FUNCTION imgsearch_internal.reader_of_query(at imgsearch.attachment) RETURNS oid LANGUAGE plpgsql AS $$
DECLARE
    owners oid[];
BEGIN
    EXECUTE 'CREATE VIEW imgsearch_internal.attached_probe AS ' || at.query;
    owners := ARRAY(SELECT DISTINCT c.relowner FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
        JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid AND c.oid <> w.ev_class JOIN pg_roles r ON r.oid = c.relowner
        WHERE w.ev_class = 'imgsearch_internal.attached_probe'::regclass AND NOT r.rolsuper
          AND c.relowner <> (SELECT i.relowner FROM pg_class i WHERE i.oid = 'imgsearch.image'::regclass));
    DROP VIEW imgsearch_internal.attached_probe;
    IF cardinality(owners) > 1 THEN
        RAISE EXCEPTION 'imgsearch: the query reads tables of several owners' USING HINT = 'Attach a view over them, which one of them owns.', ERRCODE = 'IM010';
    END IF;
    RETURN owners[1];
END $$;
COMMENT ON FUNCTION imgsearch_internal.reader_of_query(imgsearch.attachment) IS 'The owner of what a query reads, where that is a stranger to us.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_reader(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    reader CONSTANT name := imgsearch_internal.reader_of(at);
BEGIN
    IF NOT pg_has_role(reader, 'MEMBER') THEN
        RAISE EXCEPTION 'imgsearch: % belongs to %, with whose rights it is read, and % is no member of it', at.name, reader, current_user
            USING HINT = format('As an administrator run: GRANT %I TO %I;', reader, current_user), ERRCODE = 'IM021';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_reader(imgsearch.attachment) IS 'Raises that functions cannot be given to the owner of a table, if they cannot.';

-- He may alter what he owns, not replace it, for he may not create here: so it looks itself whether it runs as him.
CREATE OR REPLACE FUNCTION imgsearch_internal.read_function(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format($f$CREATE OR REPLACE FUNCTION imgsearch_internal.attached_%1$s_read(statement text, keys text[], size integer) RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF current_user OPERATOR(pg_catalog.<>) %2$L::pg_catalog.name THEN
        RAISE EXCEPTION 'imgsearch: attached_%1$s_read() was altered' USING HINT = 'SELECT imgsearch.repair() of its table.', ERRCODE = 'IM021';
    END IF;
    RETURN QUERY EXECUTE statement USING keys, size;
END $body$ $f$, at.attachment_id, imgsearch_internal.reader_of(at))
$$;
COMMENT ON FUNCTION imgsearch_internal.read_function(imgsearch.attachment) IS 'The text of the function that reads with the rights of the owner of an attached table.';

CREATE OR REPLACE FUNCTION imgsearch_internal.tell_function(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format($f$CREATE OR REPLACE FUNCTION imgsearch_internal.attached_%1$s_tell(keys text[], deep boolean, code text, error text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    IF code IS NULL THEN  -- all rows went
        DELETE FROM imgsearch.image i WHERE i.attachment_id = %1$s;
        DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = %1$s;
    ELSE
        PERFORM imgsearch_internal.keep_failure(%1$s, keys, deep, code, error);
    END IF;
END $body$ $f$, at.attachment_id)
$$;
COMMENT ON FUNCTION imgsearch_internal.tell_function(imgsearch.attachment) IS 'The text of the function that a trigger of a stranger''s rights tells what it may not write.';

CREATE OR REPLACE FUNCTION imgsearch_internal.give_to_reader(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    reader CONSTANT name := imgsearch_internal.reader_of(at);
    owner  CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
    n      CONSTANT integer := at.attachment_id;
BEGIN
    PERFORM imgsearch_internal.refuse_reader(at);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA imgsearch_internal TO %I', reader);  -- CREATE: for who is to own a function there, at that moment
    EXECUTE format('GRANT EXECUTE ON FUNCTION imgsearch_internal.attached_%s_write(text[], boolean), imgsearch_internal.attached_%1$s_tell(text[], boolean, text, text) TO %I', n, reader);
    EXECUTE format('ALTER FUNCTION imgsearch_internal.attached_%s() OWNER TO %I', n, reader);
    EXECUTE format('ALTER FUNCTION imgsearch_internal.attached_%s_read(text, text[], integer) OWNER TO %I', n, reader);
    EXECUTE format('GRANT EXECUTE ON FUNCTION imgsearch_internal.attached_%s_read(text, text[], integer) TO %I', n, owner);
    EXECUTE format('REVOKE CREATE ON SCHEMA imgsearch_internal FROM %I', reader);
END $$;
COMMENT ON FUNCTION imgsearch_internal.give_to_reader(imgsearch.attachment) IS 'Gives the owner of an attached table the functions that read it.';

-- keys: an expression of the caller, which the statement knows as $1.
CREATE OR REPLACE FUNCTION imgsearch_internal.read_text(at imgsearch.attachment, statement text, columns text, keys text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('SELECT * FROM imgsearch_internal.attached_%s_read(%L, %s, NULL) imgsearch_v (%s)', at.attachment_id,
        format('SELECT %s FROM (%s) imgsearch_v', (SELECT string_agg(regexp_replace(btrim(c), '^("?\w+"?) (.*)$', 'imgsearch_v.\1::\2'), ', ' ORDER BY n)
                                                   FROM unnest(string_to_array(columns, ',')) WITH ORDINALITY u (c, n)), statement), keys, columns)
$$;
COMMENT ON FUNCTION imgsearch_internal.read_text(imgsearch.attachment, text, text, text) IS 'A SELECT of an attached table, as a SELECT that runs with the rights of the table''s owner.';

CREATE OR REPLACE FUNCTION imgsearch_internal.read_pictures(at imgsearch.attachment, keys text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    columns CONSTANT text := 'key text, tenant_id text, product_id text, position integer, category text, categories text[], price double precision, in_stock boolean, attributes jsonb'
        || CASE WHEN imgsearch_internal.has_attached_words(at) THEN ', title text, words text, codes text[]' ELSE '' END || ', uri text';
BEGIN
    IF imgsearch_internal.reader_of(at) IS NULL THEN
        RETURN imgsearch_internal.attached_select(at, 'unnest(' || keys || ')');
    END IF;
    RETURN imgsearch_internal.read_text(at, imgsearch_internal.attached_select(at, CASE WHEN keys IS NOT NULL THEN 'unnest($1)' END), columns, coalesce(keys, 'NULL'));
END $$;
COMMENT ON FUNCTION imgsearch_internal.read_pictures(imgsearch.attachment, text) IS 'attached_select() with the rights of the table''s owner.';

CREATE OR REPLACE FUNCTION imgsearch_internal.read_products(at imgsearch.attachment, keys text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    columns CONSTANT text := 'whose text, product_id text, one_category text, all_categories text[], real_price double precision, stocked boolean, attributes jsonb'
        || CASE WHEN imgsearch_internal.has_attached_words(at) THEN ', cut_title text, cut_words text, cut_codes text[]' ELSE '' END;
BEGIN
    IF imgsearch_internal.reader_of(at) IS NULL THEN
        RETURN imgsearch_internal.attached_products(at, 'unnest(' || keys || ')');
    END IF;
    RETURN imgsearch_internal.read_text(at, imgsearch_internal.attached_products(at, 'unnest($1)'), columns, keys);
END $$;
COMMENT ON FUNCTION imgsearch_internal.read_products(imgsearch.attachment, text) IS 'attached_products() of some keys with the rights of the table''s owner.';

-- statement: a SELECT of one text, over $1 (keys) and $2 (size).
CREATE OR REPLACE FUNCTION imgsearch_internal.read_texts(at imgsearch.attachment, statement text, keys text[] DEFAULT NULL, size integer DEFAULT NULL) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    texts text[];
BEGIN
    IF imgsearch_internal.reader_of(at) IS NULL THEN
        EXECUTE format('SELECT array_agg(x) FROM (%s) y (x)', statement) INTO texts USING keys, size;
    ELSE
        EXECUTE format('SELECT array_agg(x) FROM imgsearch_internal.attached_%s_read($1, $2, $3) y (x text)', at.attachment_id) INTO texts USING statement, keys, size;
    END IF;
    RETURN texts;
END $$;
COMMENT ON FUNCTION imgsearch_internal.read_texts(imgsearch.attachment, text, text[], integer) IS 'Texts that a SELECT over an attached table gives, with the rights of its owner.';
