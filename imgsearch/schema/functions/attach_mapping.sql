-- What attach() makes of its arguments: each is checked and written with every name in full, once. The result stands in
-- attachment.resolved, so that an upgrade can write view, function and triggers anew without the caller's search path.

-- One argument of attach(): a column, or one expression over the columns of one row. Returns it with every function and
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

CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_filters(at imgsearch.attachment, OUT expressions jsonb, OUT company name, OUT moving name[], OUT following name[])
LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    expressions := '{}';
    moving := '{}';
    following := '{}';
    FOR part IN SELECT a.argument, a.mapping, m.* FROM (VALUES ('tenant'), ('category'), ('price'), ('in_stock')) x (argument)
                CROSS JOIN LATERAL (SELECT x.argument, at.mapping ->> x.argument AS mapping) a
                CROSS JOIN LATERAL imgsearch_internal.resolve_mapping(at.relation, a.argument, a.mapping) m WHERE a.mapping IS NOT NULL LOOP
        IF part.argument = 'price' AND format_type(part.kind, NULL) NOT IN ('smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision')
           OR part.argument = 'in_stock' AND part.kind <> 'boolean'::regtype THEN
            RAISE EXCEPTION 'imgsearch: % => ''%'' is of type %', part.argument, part.mapping, part.kind
                USING HINT = CASE part.argument WHEN 'price' THEN format('A price is a number; try price => ''(%s)::numeric''.', part.mapping)
                             ELSE format('In stock or not is a boolean; try in_stock => ''%s > 0''.', part.mapping) END, ERRCODE = 'IM010';
        END IF;
        expressions := expressions || jsonb_build_object(part.argument, part.expression);
        IF part.argument = 'tenant' THEN
            moving := part.columns;
            company := CASE WHEN part.expression = quote_ident(part.mapping) THEN part.mapping END;
        ELSE
            following := following || part.columns;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_filters(imgsearch.attachment) IS 'The arguments tenant, category, price and in_stock of attach(): expressions, the tenant''s column, and the columns whose change moves a picture or only changes its filters.';

CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_attributes(at imgsearch.attachment, OUT pairs text, OUT following name[]) LANGUAGE plpgsql AS $$
DECLARE
    given text;
    named text[];
    part  record;
BEGIN
    pairs := '';
    following := '{}';
    FOR given IN SELECT a FROM jsonb_array_elements_text(at.mapping -> 'attributes') a LOOP
        named := regexp_match(given, '^(.*\S)\s+AS\s+"?(\w+)"?\s*$', 'i');
        SELECT m.expression, m.columns INTO part FROM imgsearch_internal.resolve_mapping(at.relation, 'attributes', coalesce(named[1], given)) m;
        IF named IS NULL AND part.expression <> quote_ident(given) THEN
            RAISE EXCEPTION 'imgsearch: attributes => ''%'' has no name', given USING HINT = format('Write ARRAY[''%s AS colour''].', given), ERRCODE = 'IM010';
        END IF;
        pairs := concat_ws(', ', nullif(pairs, ''), quote_literal(coalesce(named[2], given)), part.expression);
        following := following || part.columns;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_attributes(imgsearch.attachment) IS 'The argument attributes of attach(): names and expressions as the arguments of jsonb_build_object(), and the columns they read.';

CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_pictures(at imgsearch.attachment, OUT expressions jsonb, OUT moving name[]) LANGUAGE plpgsql AS $$
DECLARE
    given text;
    part  record;
BEGIN
    expressions := '[]';
    moving := '{}';
    FOR given IN SELECT a FROM jsonb_array_elements_text(at.mapping -> 'images') a LOOP
        SELECT m.* INTO part FROM imgsearch_internal.resolve_mapping(coalesce(at.pictures, at.relation), 'image', given) m;
        IF (WITH RECURSIVE base AS (SELECT t.oid, t.typbasetype, t.typcategory FROM pg_type t WHERE t.oid = part.kind
                UNION ALL SELECT t.oid, t.typbasetype, t.typcategory FROM base b JOIN pg_type t ON t.oid = b.typbasetype)
            SELECT typcategory <> 'S' FROM base WHERE typbasetype = 0) THEN
            RAISE EXCEPTION 'imgsearch: image => ''%'' is of type %, not text', given, part.kind
                USING HINT = 'It says where the picture is: store:… (what the picture store answered), https://…, or a path below base. Bytes go into the store: imgsearch.storage, or imgsearch.add().', ERRCODE = 'IM010';
        END IF;
        expressions := expressions || to_jsonb(part.expression);
        IF at.pictures IS NULL THEN
            moving := moving || part.columns;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_pictures(imgsearch.attachment) IS 'The argument images of attach(): expressions, and the columns whose change moves a picture.';

CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_attachment(at imgsearch.attachment) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    filters    record;
    attributes record;
    pictures   record;
    words      record;
    moved      name[];
BEGIN
    SELECT f.* INTO filters FROM imgsearch_internal.resolve_filters(at) f;
    SELECT a.* INTO attributes FROM imgsearch_internal.resolve_attributes(at) a;
    SELECT p.* INTO pictures FROM imgsearch_internal.resolve_pictures(at) p;
    SELECT w.* INTO words FROM imgsearch_internal.resolve_words(at) w;
    moved := ARRAY(SELECT DISTINCT m FROM unnest(at.key_column || filters.moving || pictures.moving) m ORDER BY m);
    RETURN filters.expressions || words.expressions || jsonb_build_object(
        'attributes', attributes.pairs, 'pictures', pictures.expressions, 'company', filters.company,
        -- What tells the rows of a key apart, where the key alone does not.
        'owner', CASE WHEN NOT imgsearch_internal.is_unique(at.relation, ARRAY[at.key_column::text]) THEN filters.company END,
        'moved', to_jsonb(moved),
        'followed', to_jsonb(ARRAY(SELECT DISTINCT f FROM unnest(filters.following || attributes.following || words.following) f WHERE f <> ALL (moved) ORDER BY f)));
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_attachment(imgsearch.attachment) IS 'All arguments of attach() as they are kept in attachment.resolved.';
