-- One argument of attach() as an expression that names every function, table and operator in full and columns by number,
-- so that it is good under another search path and after a column was renamed.

CREATE OR REPLACE FUNCTION imgsearch_internal.qualified(relation regclass) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
$$;
COMMENT ON FUNCTION imgsearch_internal.qualified(regclass) IS 'A table''s name in full, whatever the search path is: what is generated runs with another one.';

-- Parts between commas outside brackets and quotes.
CREATE OR REPLACE FUNCTION imgsearch_internal.split_list(list text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    parts  text[] := '{}';
    part   text := '';
    depth  integer := 0;
    quoted text;
    letter text;
BEGIN
    FOREACH letter IN ARRAY regexp_split_to_array(coalesce(list, ''), '') LOOP
        quoted := CASE WHEN quoted IS NULL AND letter IN ('''', '"') THEN letter WHEN quoted = letter THEN NULL ELSE quoted END;
        depth := depth + CASE WHEN quoted IS NOT NULL THEN 0 WHEN letter IN ('(', '[') THEN 1 WHEN letter IN (')', ']') THEN -1 ELSE 0 END;
        IF letter = ',' AND depth = 0 AND quoted IS NULL THEN
            parts := parts || btrim(part, E' \n\t');
            part := '';
        ELSE
            part := part || letter;
        END IF;
    END LOOP;
    RETURN parts || btrim(part, E' \n\t');
END $$;
COMMENT ON FUNCTION imgsearch_internal.split_list(text) IS 'A list of columns or expressions as an array: commas inside brackets and quotes do not count.';

-- before: schemas in which names are looked for first.
CREATE OR REPLACE FUNCTION imgsearch_internal.as_typed(statement text, before text DEFAULT '', tried text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    row_ refcursor;
BEGIN
    PERFORM set_config('search_path', before || current_setting('imgsearch.path'), true);  -- until the function ends
    IF tried IS NOT NULL THEN
        OPEN row_ FOR EXECUTE tried;  -- a cursor takes one statement; a lock no aggregate, window or set of rows
        CLOSE row_;
    END IF;
    EXECUTE statement;
END $$;
COMMENT ON FUNCTION imgsearch_internal.as_typed(text, text, text) IS 'Runs a statement with an expression or a query that somebody typed, whose names are found as they are for him.';

-- Tables that hold no row, with the columns of yours: what is tried out on them depends on none of your objects.
CREATE OR REPLACE FUNCTION imgsearch_internal.make_probes(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE TABLE imgsearch_internal.attached_probe_row '
        || CASE WHEN at.relation IS NULL THEN format('AS SELECT * FROM (%s) q WITH NO DATA', at.query) ELSE format('(LIKE %s)', at.relation) END;
    IF at.pictures IS NOT NULL THEN
        EXECUTE format('CREATE TABLE imgsearch_internal.attached_probe_picture (LIKE %s)', at.pictures);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.make_probes(imgsearch.attachment) IS 'Makes the tables that arguments of attach() are tried out on.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_text(argument text, mapping text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bare   text := regexp_replace(regexp_replace(mapping, $r$'([^']|'')*'$r$, '''''', 'g'), '"([^"]|"")*"', 'x', 'g');
    depth  integer := 0;
    letter text;
BEGIN
    FOREACH letter IN ARRAY regexp_split_to_array(bare, '') LOOP
        depth := depth + CASE letter WHEN '(' THEN 1 WHEN ')' THEN -1 ELSE 0 END;
        EXIT WHEN depth < 0;
    END LOOP;
    IF depth <> 0 OR bare ~* ';|--|/\*|\\|\$\w*\$' THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'' is not one expression over the columns of one row', argument, mapping
            USING HINT = 'For example price => ''coalesce(sale_price, price)'', or over another table price => ''(SELECT min(s.price) FROM stock s WHERE s.product_id = product.id)''.', ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_text(text, text) IS 'Raises that a text is more than one expression, if it is.';

-- A function that may answer otherwise at each call, or that reads who knows what, cannot be followed.
CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_volatile(argument text, mapping text, expression text, called oid[]) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    name text := (SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.oid = ANY (called) AND p.provolatile = 'v' LIMIT 1);
BEGIN
    IF name IS NULL THEN
        SELECT p.proname || '()' INTO name FROM regexp_matches(expression, '(\w+)\s*\(', 'g') m JOIN pg_proc p ON p.proname = m[1]
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.provolatile = 'v' LIMIT 1;
    END IF;
    IF name IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'': % is volatile, its answer may be another one each time', argument, mapping, name
            USING HINT = format('If it only reads: ALTER FUNCTION %s STABLE; else keep its value in a column, by a trigger of yours.', name), ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_volatile(text, text, text, oid[]) IS 'Raises that an argument of attach() calls a volatile function, if it does.';

-- side: row, or picture. columns: those of one row that it reads, by number in `expression`; reads: {table: [column, …]};
-- opaque: functions of yours that may read tables themselves.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_mapping(at imgsearch.attachment, side text, argument text, mapping text,
    OUT expression text, OUT kind regtype, OUT columns integer[], OUT reads jsonb, OUT opaque text[])
LANGUAGE plpgsql AS $$
DECLARE
    probe  regclass := 'imgsearch_internal.attached_probe_' || side;
    query  text;
    called oid[];
BEGIN
    SELECT imgsearch_internal.token(side, n.place), a.atttypid, ARRAY[n.place], '{}', '{}' INTO expression, kind, columns, reads, opaque
    FROM pg_attribute a, LATERAL imgsearch_internal.place_of(at, side, a.attname) n (place) WHERE a.attrelid = probe AND a.attname = mapping AND a.attnum > 0;
    IF FOUND THEN
        RETURN;
    ELSIF coalesce(mapping, '') ~ '^\s*\w*\s*$' THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'': % has no such column', argument, mapping, CASE side WHEN 'row' THEN at.name ELSE at.pictures::text END
            USING HINT = 'It has: ' || (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = probe AND attnum > 0), ERRCODE = 'IM010';
    END IF;
    PERFORM imgsearch_internal.refuse_text(argument, mapping);
    query := format('SELECT (%s) AS imgsearch_value FROM %s AS %I', mapping, probe, imgsearch_internal.alias_of(at, side));
    BEGIN
        PERFORM imgsearch_internal.as_typed('CREATE VIEW imgsearch_internal.attached_probe AS ' || query, tried => query || ' FOR KEY SHARE');
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'': %', argument, mapping, SQLERRM
            USING HINT = format('It is evaluated for one row of %s at a time; other tables go into a sub-select in brackets.', CASE side WHEN 'row' THEN at.name ELSE at.pictures::text END), ERRCODE = 'IM010';
    END;
    SELECT a.atttypid INTO kind FROM pg_attribute a WHERE a.attrelid = 'imgsearch_internal.attached_probe'::regclass AND a.attnum = 1;
    SELECT u.columns, u.reads, u.called INTO columns, reads, called FROM imgsearch_internal.used_by_probe(at, side) u;
    opaque := ARRAY(SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.oid = ANY (called) AND p.provolatile = 's' ORDER BY 1);
    expression := imgsearch_internal.deparse_probe(at, side, argument, mapping);
    PERFORM imgsearch_internal.refuse_volatile(argument, mapping, expression, called);
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_mapping(imgsearch.attachment, text, text, text) IS 'Checks one argument of attach(): a column of the table or an expression over one row.';

CREATE OR REPLACE FUNCTION imgsearch_internal.token(side text, place integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('imgsearch_%s_%s_', side, place)
$$;
COMMENT ON FUNCTION imgsearch_internal.token(text, integer) IS 'What stands for a column in resolved expressions.';

CREATE OR REPLACE FUNCTION imgsearch_internal.alias_of(at imgsearch.attachment, side text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(at.resolved ->> ('alias_' || side), (SELECT c.relname FROM pg_class c WHERE c.oid = CASE side WHEN 'row' THEN at.relation ELSE at.pictures END), at.name)
$$;
COMMENT ON FUNCTION imgsearch_internal.alias_of(imgsearch.attachment, text) IS 'What expressions call one row: the bare name of the table when it was attached.';

-- The number of a column in your table, not in the probe's: there may be gaps.
CREATE OR REPLACE FUNCTION imgsearch_internal.place_of(at imgsearch.attachment, side text, name name) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT a.attnum::integer FROM pg_attribute a
    WHERE a.attname = name AND a.attnum > 0
      AND a.attrelid = CASE WHEN side = 'picture' THEN at.pictures WHEN at.relation IS NULL THEN 'imgsearch_internal.attached_probe_row'::regclass ELSE at.relation END
$$;
COMMENT ON FUNCTION imgsearch_internal.place_of(imgsearch.attachment, text, name) IS 'The number of a column of an attached table.';

CREATE OR REPLACE FUNCTION imgsearch_internal.used_by_probe(at imgsearch.attachment, side text, OUT columns integer[], OUT reads jsonb, OUT called oid[]) LANGUAGE sql STABLE AS $$
    WITH used AS (
        SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
        WHERE w.ev_class = 'imgsearch_internal.attached_probe'::regclass AND d.refobjid <> w.ev_class
    )
    SELECT (SELECT coalesce(array_agg(DISTINCT imgsearch_internal.place_of(at, side, a.attname)), '{}')
            FROM used u JOIN pg_attribute a ON a.attrelid = u.refobjid AND a.attnum = u.refobjsubid
            WHERE u.refobjid = ('imgsearch_internal.attached_probe_' || side)::regclass AND u.refobjsubid > 0),
           (SELECT coalesce(jsonb_object_agg(t.refobjid, t.names), '{}')
            FROM (SELECT u.refobjid, coalesce(jsonb_agg(a.attname ORDER BY a.attname) FILTER (WHERE a.attname IS NOT NULL), '[]') AS names
                  FROM used u LEFT JOIN pg_attribute a ON a.attrelid = u.refobjid AND a.attnum = u.refobjsubid AND u.refobjsubid > 0
                  WHERE u.refclassid = 'pg_class'::regclass AND u.refobjid <> ('imgsearch_internal.attached_probe_' || side)::regclass GROUP BY 1) t),
           (SELECT coalesce(array_agg(DISTINCT u.refobjid), '{}') FROM used u WHERE u.refclassid = 'pg_proc'::regclass)
$$;
COMMENT ON FUNCTION imgsearch_internal.used_by_probe(imgsearch.attachment, text) IS 'What the expression under trial reads: columns of the row, other tables and their columns, functions that are not PostgreSQL''s own.';

-- The columns are renamed for as long as PostgreSQL writes the expression out.
CREATE OR REPLACE FUNCTION imgsearch_internal.deparse_probe(at imgsearch.attachment, side text, argument text, mapping text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    probe regclass := 'imgsearch_internal.attached_probe_' || side;
    names name[] := ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = probe AND a.attnum > 0);
    other name[] := ARRAY(SELECT imgsearch_internal.token(side, imgsearch_internal.place_of(at, side, n)) FROM unnest(names) n);
    said  text;
BEGIN
    FOR n IN 1..cardinality(names) LOOP
        EXECUTE format('ALTER TABLE %s RENAME %I TO %I', probe, names[n], other[n]);
    END LOOP;
    said := '(' || regexp_replace(pg_get_viewdef('imgsearch_internal.attached_probe'::regclass), '^\s*SELECT (.*) AS imgsearch_value\s+FROM imgsearch_internal\.attached_probe_\w+.*$', '\1') || ')';
    IF said !~ '\mSELECT\M' THEN  -- PostgreSQL 15 names the table before each column of a view, later ones only beside another
        said := regexp_replace(said, format('(\m|")%s"?\.(?=imgsearch_(row|picture)_\d+_)', imgsearch_internal.alias_of(at, side)), '', 'g');
    END IF;
    DROP VIEW imgsearch_internal.attached_probe;
    FOR n IN 1..cardinality(names) LOOP
        EXECUTE format('ALTER TABLE %s RENAME %I TO %I', probe, other[n], names[n]);
    END LOOP;
    IF said ~ format('(\m|")%s"?\.\*', imgsearch_internal.alias_of(at, side)) THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'' reads the whole row', argument, mapping USING HINT = 'Name the columns it needs.', ERRCODE = 'IM010';
    END IF;
    RETURN said;
END $$;
COMMENT ON FUNCTION imgsearch_internal.deparse_probe(imgsearch.attachment, text, text, text) IS 'The expression under trial with every name in full and columns as tokens; the trial ends.';

CREATE OR REPLACE FUNCTION imgsearch_internal.named(at imgsearch.attachment, template text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    part record;
    name name;
BEGIN
    FOR part IN SELECT DISTINCT m[1] AS token, m[2] AS side, m[3]::integer AS place FROM regexp_matches(template, '(imgsearch_(row|picture)_(\d+)_)', 'g') m LOOP
        name := CASE WHEN part.side = 'row' AND at.relation IS NULL THEN at.resolved #>> ARRAY['columns', (part.place - 1)::text]
                     ELSE (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = CASE part.side WHEN 'row' THEN at.relation ELSE at.pictures END AND a.attnum = part.place AND NOT a.attisdropped) END;
        IF name IS NULL THEN
            RAISE EXCEPTION 'imgsearch: a column that is mapped is gone from %', CASE part.side WHEN 'row' THEN at.name ELSE at.pictures::text END
                USING HINT = format('SELECT imgsearch.detach(%L, keep => true); then attach it with another mapping.', at.name), ERRCODE = 'undefined_column';
        END IF;
        template := replace(template, part.token, quote_ident(name));
    END LOOP;
    RETURN template;
END $$;
COMMENT ON FUNCTION imgsearch_internal.named(imgsearch.attachment, text) IS 'A resolved expression with its columns by the names they have now.';
