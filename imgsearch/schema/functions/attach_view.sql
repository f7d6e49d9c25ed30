-- The view attached_<n>: what imgsearch.image should hold of an attached table.

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

CREATE OR REPLACE FUNCTION imgsearch_internal.qualified(relation regclass) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
$$;
COMMENT ON FUNCTION imgsearch_internal.qualified(regclass) IS 'A table''s name in full, whatever the search path is: what is generated runs with another one.';

-- One row per product and picture; uri is null where there is none.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_select(at imgsearch.attachment) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    columns text := (SELECT string_agg(format(', (%s)::text AS picture_%s', p.expression, p.n - 1), '' ORDER BY p.n)
                     FROM jsonb_array_elements_text(at.resolved -> 'pictures') WITH ORDINALITY p (expression, n));
    places  text := (SELECT string_agg(format('(%s, s.picture_%1$s)', n), ', ' ORDER BY n)
                     FROM generate_series(0, jsonb_array_length(at.resolved -> 'pictures') - 1) n);
BEGIN
    RETURN format('SELECT s.key, s.owner, s.tenant_id, s.product_id, p.place AS position, s.category, s.price, s.in_stock, s.attributes%13$s,
            CASE WHEN s.tenant_id <> '''' THEN imgsearch_internal.address(p.value, %1$L) END AS uri
        FROM (SELECT %I AS key, %s AS owner, (%s)::text AS tenant_id, %L || %2$I::text AS product_id, (%6$s)::text AS category,
                     CASE WHEN (%7$s)::double precision >= 0 AND (%7$s)::double precision < ''Infinity'' THEN (%7$s)::double precision END AS price,
                     coalesce((%8$s)::boolean, false) AS in_stock, jsonb_strip_nulls(jsonb_build_object(%9$s)) AS attributes%14$s%10$s
              FROM %11$s) s %12$s',
        at.mapping ->> 'base', at.key_column, coalesce(quote_ident(at.resolved ->> 'company'), 'NULL::text'),
        coalesce(at.resolved ->> 'tenant', '''default'''), at.prefix, coalesce(at.resolved ->> 'category', 'NULL'),
        coalesce(at.resolved ->> 'price', 'NULL'), coalesce(at.resolved ->> 'in_stock', 'true'), at.resolved ->> 'attributes',
        CASE WHEN at.pictures IS NULL THEN columns ELSE '' END, imgsearch_internal.qualified(at.relation),
        CASE WHEN at.pictures IS NULL THEN format('CROSS JOIN LATERAL (VALUES %s) p (place, value)', places)
             ELSE format('LEFT JOIN (SELECT %I AS of, %I::integer AS place%s FROM %s) p (of, place, value) ON p.of = s.key',
                         at.mapping ->> 'picture_of', at.mapping ->> 'ordinal', columns, imgsearch_internal.qualified(at.pictures)) END,
        CASE WHEN imgsearch_internal.has_attached_words(at) THEN ', s.title, s.words, s.codes' ELSE '' END, imgsearch_internal.attached_words_columns(at));
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_select(imgsearch.attachment) IS 'The SELECT of the view attached_<n>.';
