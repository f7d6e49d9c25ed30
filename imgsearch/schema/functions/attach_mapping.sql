-- Your own tables: imgsearch.attach() keeps imgsearch.image in step with a table of yours, by triggers on it, inside your
-- transactions. What image should hold is a view over your table (imgsearch.attached_<n>); triggers, backfill, drift check
-- and repair all read that one view. docs/decisions/0005-attach.md has the reasons and the figures.

CREATE OR REPLACE FUNCTION imgsearch_internal.digest_in(uri text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN uri ~ '^store:[0-9a-f]{2}/[0-9a-f]{64}$' THEN decode(right(uri, 64), 'hex') END
$$;
COMMENT ON FUNCTION imgsearch_internal.digest_in(text) IS 'The digest of the bytes, where the address says it: store:<aa>/<sha256>.';

CREATE OR REPLACE FUNCTION imgsearch_internal.address(value text, base text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value = '' THEN NULL
                WHEN base IS NULL OR value ~* '^[a-z][a-z0-9+.-]+:' THEN value
                ELSE base || '/' || replace(replace(replace(replace(ltrim(value, '/'), '%', '%25'), '?', '%3F'), '#', '%23'), ' ', '%20') END
$$;
COMMENT ON FUNCTION imgsearch_internal.address(text, text) IS 'Where a picture is: an address (store:…, https:…) as it stands, a path below base. SELECT imgsearch_internal.address(''shoes/1.jpg'', ''https://cdn.example.com/media'');';

-- One argument of attach(): a column, or one expression over the columns of one row. Answers it with every function and
-- operator named by its schema, and the columns it reads.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_mapping(relation regclass, argument text, mapping text, OUT expression text, OUT kind regtype, OUT columns name[])
LANGUAGE plpgsql AS $$
DECLARE
    bare   text := regexp_replace(regexp_replace(mapping, $r$'([^']|'')*'$r$, '''''', 'g'), '"([^"]|"")*"', 'x', 'g');
    depth  integer := 0;
    letter text;
    query  text;
    probe  refcursor;
    path   text := current_setting('search_path');
BEGIN
    SELECT quote_ident(a.attname), a.atttypid, ARRAY[a.attname] INTO expression, kind, columns
    FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = mapping AND a.attnum > 0 AND NOT a.attisdropped;
    IF FOUND THEN
        RETURN;
    END IF;
    IF coalesce(mapping, '') ~ '^\s*\w*\s*$' THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'': % has no such column', argument, mapping, relation
            USING HINT = 'It has: ' || (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped), ERRCODE = 'IM010';
    END IF;
    FOREACH letter IN ARRAY regexp_split_to_array(bare, '') LOOP
        depth := depth + CASE letter WHEN '(' THEN 1 WHEN ')' THEN -1 ELSE 0 END;
        EXIT WHEN depth < 0;
    END LOOP;
    IF depth <> 0 OR bare ~* ';|--|/\*|\\|\$\w*\$|\m(select|with|values|over)\M' THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'' is not one expression over the columns of one row', argument, mapping
            USING HINT = 'For example price => ''coalesce(sale_price, price)''. What needs more goes into a generated column.', ERRCODE = 'IM010';
    END IF;
    query := format('SELECT (%s) AS imgsearch_value FROM %s', mapping, relation);
    BEGIN
        OPEN probe FOR EXECUTE query || ' FOR KEY SHARE';  -- a cursor takes one statement; a lock no aggregate, window or set of rows
        CLOSE probe;
        EXECUTE 'CREATE VIEW imgsearch_internal.attached_probe AS ' || query;
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'': %', argument, mapping, SQLERRM
            USING HINT = format('It is evaluated for one row of %s at a time.', relation), ERRCODE = 'IM010';
    END;
    SELECT a.atttypid INTO kind FROM pg_attribute a WHERE a.attrelid = 'imgsearch_internal.attached_probe'::regclass AND a.attnum = 1;
    SELECT coalesce(array_agg(DISTINCT a.attname), '{}') INTO columns
    FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE w.ev_class = 'imgsearch_internal.attached_probe'::regclass AND d.refobjid = relation AND d.refobjsubid > 0;
    PERFORM set_config('search_path', 'pg_catalog', true);
    expression := '(' || regexp_replace(pg_get_viewdef('imgsearch_internal.attached_probe'::regclass), '^\s*SELECT (.*) AS imgsearch_value\s+FROM .*$', '\1') || ')';
    PERFORM set_config('search_path', path, true);
    DROP VIEW imgsearch_internal.attached_probe;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_mapping(regclass, text, text) IS 'Checks one argument of attach(): a column of the table or an expression over them.';

-- The SELECT of the view attached_<n>: one row per product and picture; uri is null where there is none.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_select(at imgsearch.attachment, OUT body text, OUT tenant text, OUT company name, OUT followed name[], OUT moved name[])
LANGUAGE plpgsql AS $$
DECLARE
    part     record;
    filters  name[] := '{}';
    exprs    jsonb := '{}';
    pairs    text := '';
    values_  text := '';
    columns_ text := '';
    many     text := '';
    named    text[];
    number   integer := 0;
    source   regclass := coalesce(at.pictures, at.relation);
BEGIN
    moved := ARRAY[at.key_column];
    FOR part IN SELECT a.argument, a.mapping, m.* FROM (VALUES ('tenant'), ('category'), ('price'), ('in_stock')) x (argument)
                CROSS JOIN LATERAL (SELECT x.argument, at.mapping ->> x.argument AS mapping) a
                CROSS JOIN LATERAL imgsearch_internal.resolve_mapping(at.relation, a.argument, a.mapping) m WHERE a.mapping IS NOT NULL LOOP
        IF part.argument = 'price' AND format_type(part.kind, NULL) NOT IN ('smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision')
           OR part.argument = 'in_stock' AND part.kind <> 'boolean'::regtype THEN
            RAISE EXCEPTION 'imgsearch: % => ''%'' is of type %', part.argument, part.mapping, part.kind
                USING HINT = CASE part.argument WHEN 'price' THEN format('A price is a number; try price => ''(%s)::numeric''.', part.mapping)
                             ELSE format('In stock or not is a boolean; try in_stock => ''%s > 0''.', part.mapping) END, ERRCODE = 'IM010';
        END IF;
        exprs := exprs || jsonb_build_object(part.argument, part.expression);
        IF part.argument = 'tenant' THEN
            moved := moved || part.columns;
            company := CASE WHEN part.expression = quote_ident(part.mapping) THEN part.mapping END;
        ELSE
            filters := filters || part.columns;
        END IF;
    END LOOP;
    FOR part IN SELECT a.given FROM jsonb_array_elements_text(at.mapping -> 'attributes') a (given) LOOP
        named := regexp_match(part.given, '^(.*\S)\s+AS\s+"?(\w+)"?\s*$', 'i');
        SELECT m.expression, m.columns || filters INTO values_, filters FROM imgsearch_internal.resolve_mapping(at.relation, 'attributes', coalesce(named[1], part.given)) m;
        IF named IS NULL AND values_ <> quote_ident(part.given) THEN
            RAISE EXCEPTION 'imgsearch: attributes => ''%'' has no name', part.given USING HINT = format('Write ARRAY[''%s AS colour''].', part.given), ERRCODE = 'IM010';
        END IF;
        pairs := pairs || format(', %L, %s', coalesce(named[2], part.given), values_);
    END LOOP;
    FOR part IN SELECT m.*, a.given FROM jsonb_array_elements_text(at.mapping -> 'images') a (given)
                CROSS JOIN LATERAL imgsearch_internal.resolve_mapping(source, 'image', a.given) m LOOP
        IF (WITH RECURSIVE base AS (SELECT t.oid, t.typbasetype, t.typcategory FROM pg_type t WHERE t.oid = part.kind
                UNION ALL SELECT t.oid, t.typbasetype, t.typcategory FROM base b JOIN pg_type t ON t.oid = b.typbasetype)
            SELECT typcategory <> 'S' FROM base WHERE typbasetype = 0) THEN
            RAISE EXCEPTION 'imgsearch: image => ''%'' is of type %, not text', part.given, part.kind
                USING HINT = 'It says where the picture is: store:… (what the picture store answered), https://…, or a path below base. Bytes go into the store: imgsearch.storage, or imgsearch.add().', ERRCODE = 'IM010';
        END IF;
        columns_ := columns_ || format(', (%s)::text AS picture_%s', part.expression, number);
        many := many || format(', (%s, s.picture_%1$s)', number);
        number := number + 1;
        IF at.pictures IS NULL THEN
            moved := moved || part.columns;
        END IF;
    END LOOP;
    SELECT coalesce(array_agg(DISTINCT f), '{}') INTO followed FROM unnest(filters) f WHERE f <> ALL (moved);
    SELECT array_agg(DISTINCT m) INTO moved FROM unnest(moved) m;
    tenant := coalesce(exprs ->> 'tenant', '''default''');
    body := format('SELECT s.key, s.owner, s.tenant_id, s.product_id, p.place AS position, s.category, s.price, s.in_stock, s.attributes,
            CASE WHEN s.tenant_id <> '''' THEN imgsearch_internal.address(p.value, %L) END AS uri
        FROM (SELECT %I AS key, %s AS owner, (%s)::text AS tenant_id, %L || %2$I::text AS product_id, (%6$s)::text AS category,
                     CASE WHEN (%7$s)::double precision >= 0 AND (%7$s)::double precision < ''Infinity'' THEN (%7$s)::double precision END AS price,
                     coalesce((%8$s)::boolean, false) AS in_stock, jsonb_strip_nulls(jsonb_build_object(%9$s)) AS attributes%10$s
              FROM %11$s) s %12$s',
        at.mapping ->> 'base', at.key_column, coalesce(quote_ident(company), 'NULL::text'), tenant, at.prefix, coalesce(exprs ->> 'category', 'NULL'),
        coalesce(exprs ->> 'price', 'NULL'), coalesce(exprs ->> 'in_stock', 'true'), substr(pairs, 3),
        CASE WHEN at.pictures IS NULL THEN columns_ ELSE '' END, at.relation,
        CASE WHEN at.pictures IS NULL THEN format('CROSS JOIN LATERAL (VALUES %s) p (place, value)', substr(many, 3))
             ELSE format('LEFT JOIN (SELECT %I AS of, %I::integer AS place%s FROM %s) p (of, place, value) ON p.of = s.key',
                         at.mapping ->> 'picture_of', at.mapping ->> 'ordinal', columns_, at.pictures) END);
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_select(imgsearch.attachment) IS 'What attach() makes a view of, the columns whose change moves a picture, and those whose change only filters follow.';
