-- What attach() makes of its arguments: each is checked and written with every name in full, once. The result stands in
-- attachment.resolved, so that an upgrade can write functions and triggers anew without the caller's search path.

-- One argument that is a list of columns or expressions (key, picture_of, owner, fallback), as its parts.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_list(at imgsearch.attachment, side text, argument text, OUT expressions jsonb, OUT columns integer[], OUT reads jsonb, OUT opaque text[])
LANGUAGE plpgsql AS $$
DECLARE
    given text;
    part  record;
BEGIN
    expressions := '[]'; columns := '{}'; reads := '{}'; opaque := '{}';
    IF at.mapping ->> argument IS NULL THEN
        RETURN;
    END IF;
    FOREACH given IN ARRAY imgsearch_internal.split_list(at.mapping ->> argument) LOOP
        part := imgsearch_internal.resolve_mapping(at, side, argument, given);
        expressions := expressions || to_jsonb(part.expression);
        columns := columns || part.columns;
        reads := imgsearch_internal.joined_reads(reads, part.reads);
        opaque := opaque || part.opaque;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_list(imgsearch.attachment, text, text) IS 'An argument of attach() that may name several columns.';

CREATE OR REPLACE FUNCTION imgsearch_internal.joined_reads(one jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(k.key, (SELECT coalesce(jsonb_agg(DISTINCT c), '[]') FROM jsonb_array_elements(coalesce(one -> k.key, '[]') || coalesce(other -> k.key, '[]')) c)), '{}')
    FROM (SELECT jsonb_object_keys(one) UNION SELECT jsonb_object_keys(other)) k (key)
$$;
COMMENT ON FUNCTION imgsearch_internal.joined_reads(jsonb, jsonb) IS 'Two maps of tables and columns as one.';

-- The arguments of one value each: expressions, cast to what image holds.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_values(at imgsearch.attachment, wanted text[], OUT expressions jsonb, OUT columns integer[], OUT reads jsonb, OUT opaque text[])
LANGUAGE plpgsql AS $$
DECLARE
    name  text;
    given text;
    part  record;
BEGIN
    expressions := '{}'; columns := '{}'; reads := '{}'; opaque := '{}';
    FOREACH name IN ARRAY wanted LOOP
        given := at.mapping ->> name;
        CONTINUE WHEN given IS NULL;
        -- A bare SELECT of many values is the array of them.
        given := CASE WHEN given ~* '^\s*(select|with)\M' THEN CASE WHEN name IN ('categories', 'codes') THEN 'ARRAY(' ELSE '(' END || given || ')' ELSE given END;
        part := imgsearch_internal.resolve_mapping(at, 'row', name, given);
        PERFORM imgsearch_internal.refuse_kind(name, at.mapping ->> name, part.kind);
        expressions := expressions || jsonb_build_object(name, CASE
            WHEN name IN ('categories', 'codes') THEN CASE WHEN part.kind::text LIKE '%[]' THEN format('(%s)::text[]', part.expression) ELSE format('ARRAY[(%s)::text]', part.expression) END
            WHEN name = 'price' THEN format('(%s)::numeric', part.expression) WHEN name = 'in_stock' THEN part.expression ELSE format('(%s)::text', part.expression) END);
        columns := columns || part.columns;
        reads := imgsearch_internal.joined_reads(reads, part.reads);
        opaque := opaque || part.opaque;
        IF name = 'tenant' AND part.expression = imgsearch_internal.token('row', part.columns[1]) THEN
            expressions := expressions || jsonb_build_object('company', part.expression);
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_values(imgsearch.attachment, text[]) IS 'The arguments of attach() that are one value each: expressions, and what they read.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_kind(argument text, mapping text, kind regtype) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF argument = 'price' AND format_type(kind, NULL) NOT IN ('smallint', 'integer', 'bigint', 'numeric', 'real', 'double precision')
       OR argument IN ('in_stock', 'main') AND kind <> 'boolean'::regtype THEN
        RAISE EXCEPTION 'imgsearch: % => ''%'' is of type %', argument, mapping, kind
            USING HINT = CASE argument WHEN 'price' THEN format('A price is a number; try price => ''(%s)::numeric''.', mapping)
                         ELSE format('It is yes or no, a boolean; try %s => ''%s > 0''.', argument, mapping) END, ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_kind(text, text, regtype) IS 'Raises that an argument of attach() is of the wrong type, if it is.';

CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_attributes(at imgsearch.attachment, OUT pairs text, OUT columns integer[], OUT reads jsonb, OUT opaque text[]) LANGUAGE plpgsql AS $$
DECLARE
    given text;
    named text[];
    part  record;
BEGIN
    pairs := ''; columns := '{}'; reads := '{}'; opaque := '{}';
    FOR given IN SELECT a FROM jsonb_array_elements_text(at.mapping -> 'attributes') a LOOP
        named := regexp_match(given, '^(.*\S)\s+AS\s+"?(\w+)"?\s*$', 'i');
        part := imgsearch_internal.resolve_mapping(at, 'row', 'attributes', coalesce(named[1], given));
        IF named IS NULL AND part.expression <> imgsearch_internal.token('row', part.columns[1]) THEN
            RAISE EXCEPTION 'imgsearch: attributes => ''%'' has no name', given USING HINT = format('Write ARRAY[''%s AS colour''].', given), ERRCODE = 'IM010';
        END IF;
        pairs := concat_ws(', ', nullif(pairs, ''), quote_literal(coalesce(named[2], given)), part.expression);
        columns := columns || part.columns;
        reads := imgsearch_internal.joined_reads(reads, part.reads);
        opaque := opaque || part.opaque;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_attributes(imgsearch.attachment) IS 'The argument attributes of attach(): names and expressions as the arguments of jsonb_build_object(), and what they read.';

-- side: of which table the pictures are.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_pictures(at imgsearch.attachment, OUT expressions jsonb, OUT columns integer[], OUT reads jsonb, OUT opaque text[]) LANGUAGE plpgsql AS $$
DECLARE
    side  text := CASE WHEN at.pictures IS NULL THEN 'row' ELSE 'picture' END;
    given text;
    part  record;
BEGIN
    expressions := '[]'; columns := '{}'; reads := '{}'; opaque := '{}';
    FOR given IN SELECT a FROM jsonb_array_elements_text(at.mapping -> 'images') a LOOP
        part := imgsearch_internal.resolve_mapping(at, side, 'image', given);
        IF (WITH RECURSIVE base AS (SELECT t.oid, t.typbasetype, t.typcategory FROM pg_type t WHERE t.oid = part.kind
                UNION ALL SELECT t.oid, t.typbasetype, t.typcategory FROM base b JOIN pg_type t ON t.oid = b.typbasetype)
            SELECT typcategory <> 'S' FROM base WHERE typbasetype = 0) THEN
            RAISE EXCEPTION 'imgsearch: image => ''%'' is of type %, not text', given, part.kind
                USING HINT = 'It says where the picture is: store:… (what the picture store answered), https://…, or a path below base. Bytes go into the store: imgsearch.storage, or imgsearch.add().', ERRCODE = 'IM010';
        END IF;
        expressions := expressions || to_jsonb(part.expression);
        columns := columns || part.columns;
        reads := imgsearch_internal.joined_reads(reads, part.reads);
        opaque := opaque || part.opaque;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_pictures(imgsearch.attachment) IS 'The argument images of attach(): expressions, and what they read.';

-- What orders a product's pictures. ranked: they are numbered 0, 1, 2 … in that order; else the ordinal is the position.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_order(at imgsearch.attachment, OUT main text, OUT ordinal text, OUT ties jsonb, OUT ranked boolean, OUT columns integer[]) LANGUAGE plpgsql AS $$
DECLARE
    part record;
    tie  integer;
    whole boolean := false;
BEGIN
    columns := '{}'; ties := '[]';
    IF at.mapping ->> 'main' IS NOT NULL THEN
        part := imgsearch_internal.resolve_mapping(at, CASE WHEN at.pictures IS NULL THEN 'row' ELSE 'picture' END, 'main', at.mapping ->> 'main');
        PERFORM imgsearch_internal.refuse_kind('main', at.mapping ->> 'main', part.kind);
        main := part.expression; columns := part.columns;
    END IF;
    IF at.mapping ->> 'ordinal' IS NOT NULL THEN
        part := imgsearch_internal.resolve_mapping(at, 'picture', 'ordinal', at.mapping ->> 'ordinal');
        ordinal := part.expression; columns := columns || part.columns;
        whole := format_type(part.kind, NULL) IN ('smallint', 'integer', 'bigint') AND (imgsearch_internal.is_unique(at.pictures, ARRAY[at.mapping ->> 'ordinal'])
                 OR imgsearch_internal.is_unique(at.pictures, imgsearch_internal.split_list(at.mapping ->> 'picture_of') || ARRAY[at.mapping ->> 'ordinal']));
    END IF;
    ranked := at.mapping ->> 'owner' IS NOT NULL OR main IS NOT NULL OR at.pictures IS NOT NULL AND NOT whole;
    FOR tie IN SELECT k FROM pg_index x, unnest(x.indkey::smallint[]) k WHERE x.indrelid = at.pictures AND x.indisprimary LOOP
        ties := ties || to_jsonb(imgsearch_internal.token('picture', tie));
        columns := columns || tie;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_order(imgsearch.attachment) IS 'The arguments main and ordinal of attach(): what comes first among a product''s pictures.';
