-- What imgsearch.image should hold of an attached table, as the text of a SELECT: triggers, backfill, drift and repair are
-- all written from it, so they cannot disagree. A text and no view: a view would forbid you to alter a mapped column.

CREATE OR REPLACE FUNCTION imgsearch_internal.digest_in(uri text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN uri ~ '^store:[0-9a-f]{2}/[0-9a-f]{64}$' THEN decode(right(uri, 64), 'hex') END
$$;
COMMENT ON FUNCTION imgsearch_internal.digest_in(text) IS 'The digest of the bytes, where the address says it: store:<aa>/<sha256>.';

-- Percent-encoded is all but the unreserved characters of RFC 3986 and the stroke between folders.
CREATE OR REPLACE FUNCTION imgsearch_internal.path_escaped(path text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN path COLLATE "C" ~ '^[A-Za-z0-9._~/-]*$' THEN path ELSE (
        SELECT string_agg(CASE WHEN c COLLATE "C" ~ '^[A-Za-z0-9._~/-]$' THEN c
            ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END, '' ORDER BY n)
        FROM unnest(string_to_array(path, NULL)) WITH ORDINALITY u (c, n)) END
$$;
COMMENT ON FUNCTION imgsearch_internal.path_escaped(text) IS 'The path of an address for a name as it stands, none of it escaped before. SELECT imgsearch_internal.path_escaped(''E+P 1.jpg'');';

CREATE OR REPLACE FUNCTION imgsearch_internal.address(value text, base text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value = '' THEN NULL
                WHEN base IS NULL OR value ~* '^[a-z][a-z0-9+.-]+:' THEN value
                ELSE base || '/' || imgsearch_internal.path_escaped(ltrim(value, '/')) END
$$;
COMMENT ON FUNCTION imgsearch_internal.address(text, text) IS 'Where a picture is: an address (store:…, https:…) as it stands, a path below base, which is not escaped yet. SELECT imgsearch_internal.address(''shoes/1.jpg'', ''https://cdn.example.com/media'');';

CREATE OR REPLACE FUNCTION imgsearch_internal.key_escaped(part text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.replace(pg_catalog.replace(part, '%', '%25'), '/', '%2F')
$$;
COMMENT ON FUNCTION imgsearch_internal.key_escaped(text) IS 'One part of a key of several columns, so that a stroke tells the parts apart.';

CREATE OR REPLACE FUNCTION imgsearch_internal.key_part(key text, place integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.replace(pg_catalog.replace(pg_catalog.split_part(key, '/', place), '%2F', '/'), '%25', '%')
$$;
COMMENT ON FUNCTION imgsearch_internal.key_part(text, integer) IS 'One part of a key of several columns, as it was.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_long(argument text, value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'imgsearch: its % has % characters, 200 at most can be followed', argument, length(value)
        USING HINT = format('Cut it in the mapping: %s => ''left(…, 200)''.', argument), ERRCODE = 'IM010';
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_long(text, text) IS 'Raises that a value is longer than can be searched by.';

CREATE OR REPLACE FUNCTION imgsearch_internal.categories_of(given text[]) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    made text[] := ARRAY(SELECT DISTINCT c FROM unnest(imgsearch_internal.composed(given)) c
                         WHERE c <> '' ORDER BY c);
    long text := (SELECT c FROM unnest(made) c WHERE length(c) > 200 LIMIT 1);
BEGIN
    IF long IS NOT NULL THEN
        PERFORM imgsearch_internal.refuse_long('category', long);
    ELSIF cardinality(made) > 100 THEN
        RAISE EXCEPTION 'imgsearch: it has % categories, 100 at most can be followed', cardinality(made) USING HINT = 'Map fewer: categories => ''(SELECT … LIMIT 100)''.', ERRCODE = 'IM010';
    END IF;
    RETURN nullif(made, '{}');
END $$;
COMMENT ON FUNCTION imgsearch_internal.categories_of(text[]) IS 'Categories without doubles and blanks; null where there are none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.key_text(at imgsearch.attachment, parts text[], of_row boolean DEFAULT true) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN cardinality(x.parts) = 1 THEN format('(%s)::text', x.parts[1])
                ELSE (SELECT string_agg(format('imgsearch_internal.key_escaped((%s)::text)', p), ' || ''/'' || ' ORDER BY n) FROM unnest(x.parts) WITH ORDINALITY u (p, n)) END
    FROM (SELECT CASE WHEN of_row OR (at.resolved -> 'key_alone')::boolean THEN parts ELSE parts[2:] END AS parts) x
$$;
COMMENT ON FUNCTION imgsearch_internal.key_text(imgsearch.attachment, text[], boolean) IS 'The expression of a key as one text, of the expressions of its parts; of_row false: without the tenant, as in product_id.';

CREATE OR REPLACE FUNCTION imgsearch_internal.key_parts(at imgsearch.attachment, key text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT CASE WHEN cardinality(at.key_types) = 1 THEN format('(%s)::%s', key, t.type) ELSE format('imgsearch_internal.key_part(%s, %s)::%s', key, t.place, t.type) END
                 FROM unnest(at.key_types) WITH ORDINALITY t (type, place) ORDER BY t.place)
$$;
COMMENT ON FUNCTION imgsearch_internal.key_parts(imgsearch.attachment, text) IS 'The expressions of the parts of a key out of its text.';

CREATE OR REPLACE FUNCTION imgsearch_internal.equal(one text[], other text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(format('%s = %s', o.part, other[o.place]), ' AND ' ORDER BY o.place) FROM unnest(one) WITH ORDINALITY o (part, place)
$$;
COMMENT ON FUNCTION imgsearch_internal.equal(text[], text[]) IS 'The condition that two lists of expressions are equal.';

CREATE OR REPLACE FUNCTION imgsearch_internal.templates(at imgsearch.attachment, name text) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT imgsearch_internal.named(at, e.e) FROM jsonb_array_elements_text(at.resolved -> name) WITH ORDINALITY e (e, n) ORDER BY e.n)
$$;
COMMENT ON FUNCTION imgsearch_internal.templates(imgsearch.attachment, text) IS 'The expressions of an argument of several parts, with the names of today.';

CREATE OR REPLACE FUNCTION imgsearch_internal.source(at imgsearch.attachment, side text DEFAULT 'row') RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    relation regclass := CASE side WHEN 'row' THEN at.relation ELSE at.pictures END;
BEGIN
    IF at.relation IS NULL AND side = 'row' THEN
        RETURN format('(%s) AS %I', at.query, imgsearch_internal.alias_of(at, side));
    ELSIF imgsearch_internal.qualified(relation) IS NULL THEN
        RAISE EXCEPTION 'imgsearch: % is gone', CASE side WHEN 'row' THEN at.name ELSE at.mapping ->> 'pictures' END
            USING HINT = format('SELECT imgsearch.detach(%L);', at.name), ERRCODE = 'undefined_table';
    END IF;
    RETURN format('%s AS %I', imgsearch_internal.qualified(relation), imgsearch_internal.alias_of(at, side));
END $$;
COMMENT ON FUNCTION imgsearch_internal.source(imgsearch.attachment, text) IS 'An attached table in a FROM, under the name that expressions call it by.';

-- The rows of the family of a key: itself, those that it owns, those that these own, and so on. UNION: rows that own each
-- other in a circle come once. The names of the inner SELECT are bare, so the walk carries nothing but keys.
CREATE OR REPLACE FUNCTION imgsearch_internal.members(at imgsearch.attachment, key text[], columns text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    ids   text[] := imgsearch_internal.templates(at, 'ids');
    owner text[] := imgsearch_internal.templates(at, 'owner');
    home  text := imgsearch_internal.source(at);
BEGIN
    IF owner = '{}' THEN
        RETURN format('SELECT %s FROM %s WHERE %s', columns, home, imgsearch_internal.equal(ids, key));
    END IF;
    RETURN format('WITH RECURSIVE imgsearch_family AS (SELECT %1$s FROM %2$s WHERE %3$s UNION SELECT %1$s FROM imgsearch_family JOIN %2$s ON %4$s)
            SELECT %5$s FROM imgsearch_family JOIN %2$s ON %6$s',
        (SELECT string_agg(format('%s AS imgsearch_one_%s', e, n), ', ' ORDER BY n) FROM unnest(ids) WITH ORDINALITY u (e, n)), home, imgsearch_internal.equal(ids, key),
        imgsearch_internal.equal(owner, imgsearch_internal.numbered('imgsearch_family.imgsearch_one_', ids)), columns,
        imgsearch_internal.equal(ids, imgsearch_internal.numbered('imgsearch_family.imgsearch_one_', ids)));
END $$;
COMMENT ON FUNCTION imgsearch_internal.members(imgsearch.attachment, text[], text) IS 'The SELECT of the rows whose pictures are those of a key.';

-- keys: a set of them as text, in a FROM, that is called w (k). Rows that own each other in a circle end the walk.
CREATE OR REPLACE FUNCTION imgsearch_internal.owners_of(at imgsearch.attachment, keys text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    owner text[] := imgsearch_internal.templates(at, 'owner');
    alias text := imgsearch_internal.alias_of(at, 'row');
BEGIN
    RETURN format('WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM %s UNION SELECT %s FROM imgsearch_up JOIN %s ON %s WHERE (%s) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up', keys,
        imgsearch_internal.key_text(at, owner), imgsearch_internal.source(at),
        imgsearch_internal.equal(ARRAY(SELECT format('%I.%s', alias, i) FROM unnest(imgsearch_internal.templates(at, 'ids')) i), imgsearch_internal.key_parts(at, 'imgsearch_up.imgsearch_k')), owner[1]);
END $$;
COMMENT ON FUNCTION imgsearch_internal.owners_of(imgsearch.attachment, text) IS 'The SELECT of keys, of their owners, and of the owners of these, up to the roots.';
