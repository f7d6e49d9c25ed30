-- All arguments of attach() together.

-- moved: columns whose change may move or replace a picture; followed: those that only change what it is filtered by.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_attachment(at imgsearch.attachment) RETURNS imgsearch.attachment LANGUAGE plpgsql AS $$
DECLARE
    key        record;
    deep       record;
    light      record;
    attributes record;
    pictures   record;
    ordered    record;
    picture_of record;
    owner      record;
    fallback   record;
    moved      integer[];
    reads      jsonb;
BEGIN
    at.resolved := jsonb_build_object('alias_row', imgsearch_internal.alias_of(at, 'row'), 'alias_picture', imgsearch_internal.alias_of(at, 'picture'), 'columns', (
        SELECT jsonb_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a WHERE at.relation IS NULL AND a.attrelid = 'imgsearch_internal.attached_probe_row'::regclass AND a.attnum > 0));
    at := imgsearch_internal.resolve_key(at);
    deep := imgsearch_internal.resolve_values(at, ARRAY['tenant']);
    light := imgsearch_internal.resolve_values(at, ARRAY['category', 'categories', 'price', 'in_stock', 'title', 'words', 'codes']);
    attributes := imgsearch_internal.resolve_attributes(at);
    pictures := imgsearch_internal.resolve_pictures(at);
    ordered := imgsearch_internal.resolve_order(at);
    picture_of := imgsearch_internal.resolve_list(at, 'picture', 'picture_of');
    owner := imgsearch_internal.resolve_list(at, 'row', 'owner');
    fallback := imgsearch_internal.resolve_list(at, 'row', 'fallback');
    moved := ARRAY(SELECT DISTINCT m FROM unnest((SELECT array_agg((regexp_match(k, '\d+'))[1]::integer) FROM jsonb_array_elements_text(at.resolved -> 'ids') k)
                   || deep.columns || owner.columns || fallback.columns || CASE WHEN at.pictures IS NULL THEN pictures.columns || ordered.columns END) m ORDER BY m);
    reads := imgsearch_internal.joined_reads(imgsearch_internal.joined_reads(deep.reads, pictures.reads), imgsearch_internal.joined_reads(owner.reads, fallback.reads));
    at.resolved := at.resolved || deep.expressions || light.expressions || jsonb_build_object(
        'attributes', attributes.pairs, 'pictures', pictures.expressions, 'main', ordered.main, 'ordinal', ordered.ordinal, 'ties', ordered.ties, 'ranked', ordered.ranked,
        'picture_of', picture_of.expressions, 'owner', imgsearch_internal.plain_owner(at, owner.expressions), 'fallback', fallback.expressions,
        'moved', to_jsonb(moved), 'followed', to_jsonb(ARRAY(SELECT DISTINCT f FROM unnest(light.columns || attributes.columns) f WHERE f <> ALL (moved) ORDER BY f)),
        'pictured', to_jsonb(ARRAY(SELECT DISTINCT c FROM unnest(CASE WHEN at.pictures IS NOT NULL THEN pictures.columns || ordered.columns || picture_of.columns END) c ORDER BY c)),
        'moved_by', reads, 'reads', imgsearch_internal.joined_reads(reads, imgsearch_internal.joined_reads(light.reads, attributes.reads)),
        'opaque', to_jsonb(light.opaque || attributes.opaque || deep.opaque || pictures.opaque || owner.opaque || fallback.opaque),
        'moved_opaquely', cardinality(deep.opaque || pictures.opaque || owner.opaque || fallback.opaque) > 0);
    RETURN at;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_attachment(imgsearch.attachment) IS 'All arguments of attach() as they are kept in attachment.resolved.';

-- ids: what tells rows apart, as tokens: the columns of the key, after the tenant's column where the key alone does not.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_key(at imgsearch.attachment) RETURNS imgsearch.attachment LANGUAGE plpgsql AS $$
DECLARE
    names   text[] := imgsearch_internal.split_list(at.mapping ->> 'key');
    company text := at.mapping ->> 'tenant';
    given   text;
    part    record;
    ids     jsonb := '[]';
    alone   boolean;
BEGIN
    FOREACH given IN ARRAY names LOOP
        part := imgsearch_internal.resolve_mapping(at, 'row', 'key', given);
        IF part.expression <> imgsearch_internal.token('row', part.columns[1]) THEN
            RAISE EXCEPTION 'imgsearch: key => ''%'' is not a column', given USING HINT = 'Name the primary key; of several columns: key => ''shop_id, sku''.', ERRCODE = 'IM010';
        END IF;
        ids := ids || to_jsonb(part.expression);
    END LOOP;
    alone := at.relation IS NULL OR imgsearch_internal.is_unique(at.relation, names);
    IF NOT alone AND (company = ANY (names) OR NOT imgsearch_internal.is_unique(at.relation, names || company)) IS NOT FALSE THEN
        RAISE EXCEPTION 'imgsearch: key => ''%'' is not unique in %', at.mapping ->> 'key', at.name
            USING HINT = 'Use the primary key, or columns with a unique index of their own or together with the tenant''s column.', ERRCODE = 'IM010';
    ELSIF NOT alone THEN
        part := imgsearch_internal.resolve_mapping(at, 'row', 'tenant', company);
        ids := jsonb_build_array(part.expression) || ids;
        names := company || names;
    END IF;
    at.key_columns := names::name[];
    at.key_types := ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM unnest(names) WITH ORDINALITY n (name, place)
                          JOIN pg_attribute a ON a.attname = n.name AND a.attrelid = 'imgsearch_internal.attached_probe_row'::regclass ORDER BY n.place);
    at.resolved := at.resolved || jsonb_build_object('ids', ids, 'key_alone', alone);
    RETURN at;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_key(imgsearch.attachment) IS 'The argument key of attach(): the columns that tell rows apart.';

-- coalesce(parent_id, id) says the same as parent_id, and that an index answers that there is already.
CREATE OR REPLACE FUNCTION imgsearch_internal.plain_owner(at imgsearch.attachment, owner jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_array_length(owner) = 1 AND owner ->> 0 ~ '^\(*COALESCE\(imgsearch_row_\d+_, imgsearch_row_\d+_\)+$'
                 AND (regexp_match(owner ->> 0, ', (\w+)\)'))[1] = at.resolved #>> '{ids,0}' AND jsonb_array_length(at.resolved -> 'ids') = 1
                THEN jsonb_build_array((regexp_match(owner ->> 0, '\((imgsearch_row_\d+_), '))[1]) ELSE owner END
$$;
COMMENT ON FUNCTION imgsearch_internal.plain_owner(imgsearch.attachment, jsonb) IS 'The argument owner of attach(), where null means the row itself.';

CREATE OR REPLACE FUNCTION imgsearch_internal.is_unique(relation regclass, columns text[]) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1 FROM pg_index x
        WHERE x.indrelid = relation AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indimmediate
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM unnest((x.indkey::smallint[])[0:x.indnkeyatts - 1]) k
               LEFT JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k) = (SELECT array_agg(c ORDER BY c) FROM unnest(columns) c))
$$;
COMMENT ON FUNCTION imgsearch_internal.is_unique(regclass, text[]) IS 'Whether exactly these columns are a unique key of a table.';
