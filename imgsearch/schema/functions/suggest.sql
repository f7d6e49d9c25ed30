-- What to suggest while somebody types: what others asked (where the shop keeps that), words that go on like this, titles.

-- Everything that begins with a text, by an index in the order of its bytes.
CREATE OR REPLACE FUNCTION imgsearch_internal.end_of(prefix text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT prefix || U&'\+10FFFF'
$$;
COMMENT ON FUNCTION imgsearch_internal.end_of(text) IS 'What lies behind every text that begins with this one.';

-- The most common words that begin like that; where there is none, those of which one letter more, less or other would.
CREATE OR REPLACE FUNCTION imgsearch_internal.completions(shop text, typed text) RETURNS TABLE (word text, products integer) LANGUAGE plpgsql STABLE ROWS 5
SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    long CONSTANT integer := length(typed);
BEGIN
    RETURN QUERY SELECT v.word::text, coalesce(max(v.products), 1) FROM imgsearch.vocabulary v
        WHERE (shop IS NULL OR v.tenant_id = shop) AND v.word >= typed AND v.word < imgsearch_internal.end_of(typed)
        GROUP BY v.word ORDER BY 2 DESC, 1 LIMIT 8;
    IF NOT FOUND AND long >= 4 THEN
        RETURN QUERY SELECT x.word, x.products FROM (
            SELECT v.word::text AS word, coalesce(max(v.products), 1) AS products FROM imgsearch.vocabulary v
            WHERE (shop IS NULL OR v.tenant_id = shop) AND v.word >= left(typed, 2) AND v.word < imgsearch_internal.end_of(left(typed, 2)) AND length(v.word) >= long - 1
            GROUP BY v.word ORDER BY 2 DESC, 1 LIMIT 50) x
        WHERE (SELECT min(imgsearch_internal.edits(left(x.word, n), typed)) FROM generate_series(long - 1, long + 1) n) <= 1 ORDER BY x.products DESC, x.word LIMIT 8;
    END IF;
    IF NOT FOUND THEN
        RETURN QUERY SELECT m.word, m.products FROM imgsearch_internal.mended(shop, typed) m;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.completions(text, text) IS 'Words of a tenant that begin, or nearly begin, with what was typed.';

-- Titles only where they are few: with a common beginning there are too many to tell anything, and to look through.
-- Within filters every word that begins as typed counts, for the most common ones may be those of hidden products alone.
CREATE OR REPLACE FUNCTION imgsearch_internal.titles_with(
    shop text, said tsquery, typed text, ends text[], filters imgsearch.filters, most integer
) RETURNS TABLE (title text, product_id text) LANGUAGE plpgsql STABLE ROWS 5
SET plan_cache_mode = force_custom_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    spoken CONSTANT text[] := imgsearch_internal.languages_of(shop);
    made   imgsearch_internal.filter_text;
    bound  imgsearch_internal.bound;
    wanted tsquery := (SELECT string_agg(imgsearch_internal.query_of(e, spoken)::text, ' | ')::tsquery
                       FROM unnest(ends) e);
BEGIN
    IF filters IS DISTINCT FROM NULL THEN  -- IS NOT NULL would be: each of them
        made := imgsearch_internal.filter_sql(filters);
        bound := ROW(made.names, made.vals, NULL, NULL, NULL);
        wanted := coalesce(wanted || (quote_literal(typed) || ':*')::tsquery,
            (quote_literal(typed) || ':*')::tsquery);
    END IF;
    wanted := CASE WHEN said IS NULL THEN wanted WHEN wanted IS NULL THEN said ELSE said && wanted END;
    wanted := CASE WHEN shop IS NULL THEN wanted ELSE wanted && imgsearch_internal.tenant_query(shop) END;
    RETURN QUERY EXECUTE 'SELECT x.title, min(x.product_id) FROM (
        SELECT p.title, p.product_id FROM imgsearch.product p
        WHERE p.document @@ $3 AND ($4 IS NULL OR p.tenant_id = $4) AND p.title IS NOT NULL'
        || CASE WHEN made IS NOT DISTINCT FROM NULL THEN '' ELSE ' AND EXISTS (SELECT 1 FROM imgsearch.image i
            WHERE i.tenant_id = p.tenant_id AND i.product_id = p.product_id
              AND imgsearch_internal.bits_of(i) IS NOT NULL' || made.condition || ')' END
        || ' LIMIT 200) x GROUP BY x.title ORDER BY length(x.title), x.title LIMIT $5'
    USING bound, filters, wanted, shop, most;
END $$;
COMMENT ON FUNCTION imgsearch_internal.titles_with(
    text, tsquery, text, text[], imgsearch.filters, integer
) IS 'Titles that hold some words, the shortest first; filters: of products that match.';

CREATE OR REPLACE FUNCTION imgsearch_internal.suggest_all(typed text, shop text, k integer, filters imgsearch.filters) RETURNS TABLE (suggestion text, kind text, product_id text) LANGUAGE plpgsql STABLE ROWS 8
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    all_   CONSTANT text[] := string_to_array(imgsearch_internal.folded(left(typed, 100)), ' ');
    n      CONSTANT integer := coalesce(cardinality(all_), 0);
    last   CONSTANT text := all_[n];
    before imgsearch_internal.asked_words := imgsearch_internal.asked_words(shop, array_to_string(all_[1:n - 1], ' '));
    ends   text[];
    start  text;
    said   tsquery;
BEGIN
    IF coalesce(last, '') = '' OR length(last) > 50 THEN
        RETURN;
    END IF;
    ends := ARRAY(SELECT c.word FROM imgsearch_internal.completions(shop, last) c ORDER BY c.products DESC, c.word);
    -- The words before, mended, in the order they were typed.
    start := array_to_string(ARRAY(SELECT coalesce((SELECT w FROM unnest(before.words) w WHERE w = a), (SELECT m.word FROM imgsearch_internal.mended(shop, a) m), a)
                                   FROM unnest(all_[1:n - 1]) WITH ORDINALITY x (a, place) ORDER BY place) || ''::text, ' ');
    said := (SELECT string_agg(q::text, ' & ')::tsquery FROM unnest(before.queries) q);
    RETURN QUERY SELECT x.suggestion, x.kind, x.product_id FROM (
        SELECT DISTINCT ON (lower(y.suggestion)) y.* FROM (
            (SELECT q.words AS suggestion, 'question' AS kind, NULL::text AS product_id, 1 AS turn, -q.asked AS place FROM imgsearch.past_question q
             WHERE filters IS NOT DISTINCT FROM NULL AND q.tenant_id = shop AND q.asked >= 3 AND q.words >= start || last AND q.words < imgsearch_internal.end_of(start || last)
               AND EXISTS (SELECT 1 FROM imgsearch.shop s WHERE s.tenant_id = shop AND s.keep_questions) ORDER BY q.asked DESC LIMIT 4)
            UNION ALL (SELECT start || w.word, 'words', NULL, 2, w.place FROM unnest(ends[1:4]) WITH ORDINALITY w (word, place)
                       WHERE filters IS NOT DISTINCT FROM NULL)
            UNION ALL (SELECT t.title, 'title', t.product_id, 3, row_number() OVER () FROM imgsearch_internal.titles_with(shop, said, last, ends, filters, k) t
                       WHERE ends <> '{}' OR filters IS DISTINCT FROM NULL)) y
        ORDER BY lower(y.suggestion), y.turn DESC) x
    ORDER BY x.turn, x.place LIMIT k;
END $$;
COMMENT ON FUNCTION imgsearch_internal.suggest_all(text, text, integer, imgsearch.filters) IS 'What suggest() returns, with the rights of whoever calls it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.suggest_here(typed text, k integer, filters imgsearch.filters) RETURNS TABLE (suggestion text, kind text, product_id text)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 8 SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.* FROM imgsearch_internal.suggest_all(typed, imgsearch.current_tenant(), k, filters) s WHERE imgsearch.current_tenant() IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.suggest_here(text, integer, imgsearch.filters) IS 'What suggest() returns for the tenant that this transaction speaks for.';

CREATE OR REPLACE FUNCTION imgsearch.suggest(typed text, tenant text DEFAULT NULL, k integer DEFAULT 8, filters imgsearch.filters DEFAULT NULL) RETURNS TABLE (suggestion text, kind text, product_id text)
LANGUAGE plpgsql STABLE ROWS 8 AS $$
BEGIN
    IF k IS NULL OR k < 1 OR k > 20 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 20', k USING HINT = 'Suggest fewer.', ERRCODE = 'IM008';
    ELSIF length(typed) > 2000 THEN
        RAISE EXCEPTION 'imgsearch: what was typed has % characters, the limit is 2000', length(typed) USING HINT = 'Shorten it.', ERRCODE = 'IM008';
    END IF;
    tenant := normalize(tenant, NFC);
    filters := imgsearch_internal.composed(filters);
    IF tenant = imgsearch.current_tenant() OR tenant IS NULL AND imgsearch.current_tenant() IS NOT NULL AND imgsearch.is_tenant_restricted() THEN
        RETURN QUERY SELECT s.* FROM imgsearch_internal.suggest_here(typed, k, filters) s;
    ELSE
        RETURN QUERY SELECT s.* FROM imgsearch_internal.suggest_all(typed, tenant, k, filters) s;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch.suggest(text, text, integer, imgsearch.filters) IS 'What somebody may be typing: kind question (what several others asked, where the shop keeps that), words or title (of product_id). With filters: titles of products that match, and nothing else. SELECT * FROM imgsearch.suggest(''adidas sa'', ''acme'');';
