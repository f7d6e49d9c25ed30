-- Text → words: how titles, words, codes and questions are read, one way for all of them.

-- Accents go from Latin letters only: elsewhere they make another letter (й), and stemmers know it. Characters of scripts
-- without spaces are words of their own. Punctuation parts words, but for an apostrophe ("levi's" is "levis").
CREATE OR REPLACE FUNCTION imgsearch_internal.folded(given text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF given ~ '^[a-z0-9 ]*$' THEN
        RETURN btrim(regexp_replace(given, ' +', ' ', 'g'));
    ELSIF given ~ '[^\x01-\x7f]' THEN
        given := translate(given, '™®©’‘´ʼ', '');
        given := normalize(regexp_replace(lower(normalize(given, NFKD)), '([a-z])[\u0300-\u036f]+', '\1', 'g'), NFC);
        given := replace(replace(replace(translate(given, 'øłđı', 'oldi'), 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe');
        given := regexp_replace(given, '([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])', ' \1 ', 'g');
        -- Thai, Lao, Burmese and Khmer, each letter with the marks that belong to it.
        given := regexp_replace(given, '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]'
            '[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059'
            '\u105e-\u1060\u1071-\u1074\u1082-\u108d\u109a-\u109d\u17b4-\u17d3\u17dd]*)', ' \1 ', 'g');
        given := regexp_replace(given, '[\u0080-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u2000-\u206f\u3000-\u3004\u3008-\u3020]', ' ', 'g');
    END IF;
    RETURN btrim(regexp_replace(replace(replace(lower(given), '''', ''), '`', ''), '[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+', ' ', 'g'));
END $$;
COMMENT ON FUNCTION imgsearch_internal.folded(text) IS 'Small letters without accents, words parted by single spaces.';

CREATE OR REPLACE FUNCTION imgsearch_internal.key_of(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT replace(imgsearch_internal.folded(given), ' ', '')
$$;
COMMENT ON FUNCTION imgsearch_internal.key_of(text) IS 'A code or an id as it is looked up: "ABC-12 3" is "abc123".';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_in(given text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY(SELECT w.word FROM unnest(string_to_array(imgsearch_internal.folded(given), ' ')) WITH ORDINALITY w (word, place)
                 WHERE w.word <> '' AND length(w.word) <= 50 GROUP BY w.word ORDER BY min(w.place))
$$;
COMMENT ON FUNCTION imgsearch_internal.words_in(text) IS 'The different words of a text, in its order; what is longer than 50 characters is none.';

-- The tenant is a word of the document too: one index then finds a word of one tenant, however many others have it.
CREATE OR REPLACE FUNCTION imgsearch_internal.tenant_word(tenant text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT E'\x01' || left(md5(tenant), 16)
$$;
COMMENT ON FUNCTION imgsearch_internal.tenant_word(text) IS 'The mark of a tenant in product.document.';

-- Quoted by hand: what was asked is text, also where it looks like an operator of tsquery.
CREATE OR REPLACE FUNCTION imgsearch_internal.query_of(word text, languages text[], label text DEFAULT '') RETURNS tsquery LANGUAGE sql STABLE AS $$
    SELECT string_agg(x.one, ' | ')::tsquery FROM (
        SELECT DISTINCT '(' || (SELECT string_agg('''' || replace(replace(t.lexeme, '\', '\\'), '''', '''''') || '''' || label, ' & ')
                                FROM unnest(to_tsvector(l.language::regconfig, word)) t) || ')' AS one
        FROM unnest(languages) l (language)) x
$$;
COMMENT ON FUNCTION imgsearch_internal.query_of(text, text[], text) IS 'What finds a word in product.document, in any of these languages; null for one that a language leaves out ("the").';

-- The same as the checks of the table, said before they would: with what to do.
CREATE OR REPLACE FUNCTION imgsearch_internal.check_product(p imgsearch.product) RETURNS void LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(p.tenant_id, '') = '' OR coalesce(p.product_id, '') = '' THEN
        RAISE EXCEPTION 'imgsearch: words of no product' USING HINT = 'A product has a tenant_id and a product_id, as its pictures do.', ERRCODE = 'IM009';
    ELSIF length(p.title) > 1000 OR length(p.words) > 10000 THEN
        RAISE EXCEPTION 'imgsearch: % has % characters, the limit is %', CASE WHEN length(p.title) > 1000 THEN 'title' ELSE 'words' END,
            CASE WHEN length(p.title) > 1000 THEN length(p.title) ELSE length(p.words) END, CASE WHEN length(p.title) > 1000 THEN 1000 ELSE 10000 END USING HINT = 'Shorten it.', ERRCODE = 'IM009';
    ELSIF cardinality(p.codes) > 100 THEN
        RAISE EXCEPTION 'imgsearch: a product has at most 100 codes, these are %', cardinality(p.codes) USING HINT = 'Leave some out.', ERRCODE = 'IM009';
    ELSIF EXISTS (SELECT 1 FROM unnest(p.codes) c WHERE (length(c) <= 100) IS NOT TRUE) THEN
        RAISE EXCEPTION 'imgsearch: a code has at most 100 characters, and is not null' USING HINT = 'A code is an SKU or an EAN; what is longer goes into words.', ERRCODE = 'IM009';
    ELSIF NOT EXISTS (SELECT 1 FROM pg_ts_config c WHERE c.cfgname = p.language AND c.cfgnamespace = 'pg_catalog'::regnamespace) THEN
        RAISE EXCEPTION 'imgsearch: there is no language "%"', left(p.language, 100) USING HINT = 'SELECT cfgname FROM pg_ts_config; null: the shop''s.', ERRCODE = 'IM009';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_product(imgsearch.product) IS 'Raises what is wrong with the words of a product.';

CREATE OR REPLACE FUNCTION imgsearch_internal.product_written() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.tenant_id := normalize(NEW.tenant_id, NFC);
    NEW.product_id := normalize(NEW.product_id, NFC);
    NEW.language := coalesce(NEW.language, (SELECT s.language FROM imgsearch.shop s WHERE s.tenant_id = NEW.tenant_id), 'simple');
    NEW.title := nullif(btrim(normalize(NEW.title, NFC)), '');
    NEW.words := nullif(btrim(normalize(NEW.words, NFC)), '');
    NEW.codes := coalesce(imgsearch_internal.composed(NEW.codes), '{}');
    PERFORM imgsearch_internal.check_product(NEW);
    NEW.document := setweight(to_tsvector(NEW.language::regconfig, coalesce(imgsearch_internal.folded(NEW.title), '')), 'A')
        || setweight(to_tsvector(NEW.language::regconfig, coalesce(imgsearch_internal.folded(NEW.words), '')), 'B')
        || array_to_tsvector(ARRAY[imgsearch_internal.tenant_word(NEW.tenant_id)]);
    NEW.keys := ARRAY(SELECT DISTINCT imgsearch_internal.key_of(c) FROM unnest(NEW.codes || NEW.product_id) c WHERE imgsearch_internal.key_of(c) <> '');
    NEW.updated_at := now();
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgsearch_internal.product_written() IS 'Trigger: what is searched follows title, words and codes.';
