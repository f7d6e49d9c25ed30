-- The SELECT of products, and of products with their pictures.

-- One row per product. wanted: a set of keys as text, in a FROM; null: all of them. Expressions stand in a sub-select of
-- their own with OFFSET 0, so that a sub-select over another table is evaluated once, however often its value is used.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_products(at imgsearch.attachment, wanted text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    ids    text[] := imgsearch_internal.templates(at, 'ids');
    owner  text[] := imgsearch_internal.templates(at, 'owner');
    value  jsonb := jsonb_object((SELECT array_agg(n) FROM unnest(ARRAY['tenant', 'category', 'categories', 'price', 'in_stock', 'title', 'words', 'codes']) n),
                                 (SELECT array_agg(imgsearch_internal.named(at, at.resolved ->> n)) FROM unnest(ARRAY['tenant', 'category', 'categories', 'price', 'in_stock', 'title', 'words', 'codes']) n));
    worded boolean := imgsearch_internal.has_attached_words(at);
    inside text;
BEGIN
    inside := concat_ws(', ',
        (SELECT string_agg(format('%s AS key_%s', e, n), ', ' ORDER BY n) FROM unnest(ids) WITH ORDINALITY u (e, n)),
        coalesce('normalize(' || (value ->> 'tenant') || ')', '''default''::text')
            || ' AS tenant_id',
        coalesce('normalize(' || (value ->> 'category') || ')', 'NULL::text') || ' AS category',
        (value ->> 'categories') || ' AS categories',
        coalesce(value ->> 'price', 'NULL::numeric') || ' AS price',
        coalesce(value ->> 'in_stock', 'true') || ' AS in_stock',
        format(
            'imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object(%s))) AS attributes',
            imgsearch_internal.named(at, at.resolved ->> 'attributes')),
        CASE WHEN worded THEN format(
            'normalize(%s) AS title, normalize(%s) AS words, '
            'imgsearch_internal.composed(%s) AS codes',
            coalesce(value ->> 'title', 'NULL::text'), coalesce(value ->> 'words', 'NULL::text'),
            coalesce(value ->> 'codes', 'NULL::text[]')) END,
        (SELECT string_agg(format('%s AS fallback_%s', e, n), ', ' ORDER BY n) FROM unnest(imgsearch_internal.templates(at, 'fallback')) WITH ORDINALITY u (e, n)),
        CASE WHEN at.pictures IS NULL THEN (SELECT string_agg(format('(%s)::text AS picture_%s', e, n), ', ' ORDER BY n) FROM unnest(imgsearch_internal.templates(at, 'pictures')) WITH ORDINALITY u (e, n)) END);
    RETURN format('SELECT r.*, %s AS key, CASE WHEN length(r.tenant_id) > 200 THEN imgsearch_internal.refuse_long(''tenant'', r.tenant_id) ELSE r.tenant_id END AS whose,
            CASE WHEN length(k.product_id) > 200 THEN imgsearch_internal.refuse_long(''key'', k.product_id) ELSE k.product_id END AS product_id,
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long(''category'', r.category) ELSE nullif(r.category, '''') END AS one_category, %s AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked%s
        FROM (SELECT %s FROM %s%s OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize(%L || %s, NFC) AS product_id OFFSET 0) k',
        imgsearch_internal.key_text(at, imgsearch_internal.numbered('r.key_', ids)),
        CASE WHEN value ->> 'categories' IS NULL THEN 'NULL::text[]' ELSE 'imgsearch_internal.categories_of(r.categories)' END,
        CASE WHEN worded THEN ', nullif(btrim(left(r.title, 1000)), '''') AS cut_title, nullif(btrim(left(r.words, 10000)), '''') AS cut_words,
            ARRAY(SELECT c FROM unnest(r.codes) c WHERE length(btrim(c)) BETWEEN 1 AND 100 LIMIT 100) AS cut_codes' ELSE '' END,
        inside, CASE WHEN wanted IS NULL THEN imgsearch_internal.source(at)
                     ELSE format('%s imgsearch_wanted (imgsearch_key) JOIN %s ON %s', wanted, imgsearch_internal.source(at), imgsearch_internal.equal(
                         ARRAY(SELECT format('%I.%s', imgsearch_internal.alias_of(at, 'row'), i) FROM unnest(ids) i), imgsearch_internal.key_parts(at, 'imgsearch_wanted.imgsearch_key'))) END,
        CASE WHEN owner = '{}' THEN '' ELSE format(' WHERE (%s) IS NULL OR %s', owner[1], imgsearch_internal.equal(owner, ids)) END,
        at.prefix, imgsearch_internal.key_text(at, imgsearch_internal.numbered('r.key_', ids), false));
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_products(imgsearch.attachment, text) IS 'The SELECT of the products of an attachment, with what they are filtered by.';

CREATE OR REPLACE FUNCTION imgsearch_internal.numbered(name text, parts text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT name || n FROM generate_series(1, cardinality(parts)) n)
$$;
COMMENT ON FUNCTION imgsearch_internal.numbered(text, text[]) IS 'name1, name2, … as many as there are parts.';

-- The pictures of one key: (own, main, ordinal, ties, value).
CREATE OR REPLACE FUNCTION imgsearch_internal.pictures_of(at imgsearch.attachment, key text[]) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    ids    text[] := imgsearch_internal.templates(at, 'ids');
    owned  boolean := imgsearch_internal.templates(at, 'owner') <> '{}';
    values text[] := imgsearch_internal.templates(at, 'pictures');
    main   text := coalesce('coalesce(' || imgsearch_internal.named(at, at.resolved ->> 'main') || ', false)', 'false');
    own    text := CASE WHEN owned THEN imgsearch_internal.equal(imgsearch_internal.numbered('imgsearch_member.imgsearch_id_', ids), key) ELSE 'true' END;
    ties   text;
BEGIN
    IF at.pictures IS NULL THEN
        RETURN format('SELECT imgsearch_member.imgsearch_own AS own, imgsearch_member.imgsearch_main AS main, v.ordinal, imgsearch_member.imgsearch_tie AS tie_1, v.value
            FROM (%s) imgsearch_member CROSS JOIN LATERAL (VALUES %s) v (ordinal, value)',
            imgsearch_internal.members(at, key, format('(%s) AS imgsearch_own, %s AS imgsearch_main, %s AS imgsearch_tie, %s', imgsearch_internal.equal(ids, key), main, imgsearch_internal.key_text(at, ids),
                (SELECT string_agg(format('(%s)::text AS imgsearch_picture_%s', e, n), ', ') FROM unnest(values) WITH ORDINALITY u (e, n)))),
            (SELECT string_agg(format('(%s, imgsearch_member.imgsearch_picture_%s)', n - 1, n), ', ' ORDER BY n) FROM unnest(values) WITH ORDINALITY u (e, n)));
    END IF;
    ties := (SELECT string_agg(format(', %s AS tie_%s', e, n), '' ORDER BY n) FROM unnest(imgsearch_internal.templates(at, 'ties')) WITH ORDINALITY u (e, n));
    RETURN format('SELECT %s AS own, %s AS main, %s AS ordinal%s, (%s)::text AS value FROM %s%s WHERE %s', own, main, coalesce(imgsearch_internal.named(at, at.resolved ->> 'ordinal'), '0'), ties, values[1],
        CASE WHEN owned THEN format('(%s) imgsearch_member CROSS JOIN ', imgsearch_internal.members(at, key,
            (SELECT string_agg(format('%s AS imgsearch_id_%s', e, n), ', ' ORDER BY n) FROM unnest(ids) WITH ORDINALITY u (e, n)))) ELSE '' END,
        imgsearch_internal.source(at, 'picture'),
        imgsearch_internal.equal(imgsearch_internal.templates(at, 'picture_of'), CASE WHEN owned THEN imgsearch_internal.numbered('imgsearch_member.imgsearch_id_', ids) ELSE key END));
END $$;
COMMENT ON FUNCTION imgsearch_internal.pictures_of(imgsearch.attachment, text[]) IS 'The SELECT of the pictures of one key, with what orders them.';

-- One row per product and picture, uri never null; position as it should be.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_select(at imgsearch.attachment, wanted text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    mine     text[] := imgsearch_internal.numbered('imgsearch_s.key_', imgsearch_internal.templates(at, 'ids'));
    other    text[] := imgsearch_internal.numbered('imgsearch_s.fallback_', imgsearch_internal.templates(at, 'fallback'));
    own      text := imgsearch_internal.pictures_of(at, mine);
    ties     text := (SELECT string_agg(', q.tie_' || n, '' ORDER BY n) FROM generate_series(1, CASE WHEN at.pictures IS NULL THEN 1 ELSE jsonb_array_length(at.resolved -> 'ties') END) n);
    pictures text;
BEGIN
    IF at.pictures IS NULL AND other = '{}' AND NOT (at.resolved -> 'ranked')::boolean THEN
        pictures := (SELECT 'VALUES ' || string_agg(format('(%s, imgsearch_s.picture_%s)', n - 1, n), ', ' ORDER BY n) FROM generate_series(1, jsonb_array_length(at.resolved -> 'pictures')) n);
    ELSE
        pictures := own || CASE WHEN other = '{}' THEN '' ELSE format(' UNION ALL SELECT * FROM (%s) f WHERE NOT EXISTS (SELECT 1 FROM (%s) o WHERE o.value <> '''')', imgsearch_internal.pictures_of(at, other), own) END;
        pictures := CASE WHEN (at.resolved -> 'ranked')::boolean
            THEN format('SELECT row_number() OVER (ORDER BY q.own DESC, q.main DESC, q.ordinal NULLS LAST%s, q.value) - 1, q.value FROM (%s) q WHERE q.value <> ''''', ties, pictures)
            ELSE format('SELECT q.ordinal, q.value FROM (%s) q WHERE q.ordinal IS NOT NULL', pictures) END;
    END IF;
    RETURN format('SELECT imgsearch_s.key, imgsearch_s.whose AS tenant_id, imgsearch_s.product_id, p.place::integer AS position, imgsearch_s.one_category AS category, imgsearch_s.all_categories AS categories,
            imgsearch_s.real_price AS price, imgsearch_s.stocked AS in_stock, imgsearch_s.attributes%s, imgsearch_internal.address(p.value, %L) AS uri
        FROM (%s) imgsearch_s CROSS JOIN LATERAL (%s) p (place, value) WHERE p.value <> '''' AND imgsearch_s.tenant_id <> ''''',
        CASE WHEN imgsearch_internal.has_attached_words(at) THEN ', imgsearch_s.cut_title AS title, imgsearch_s.cut_words AS words, imgsearch_s.cut_codes AS codes' ELSE '' END,
        at.mapping ->> 'base', imgsearch_internal.attached_products(at, wanted), pictures);
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_select(imgsearch.attachment, text) IS 'The SELECT of what image should hold of an attachment.';
