-- What words find: match by the rarest, rank by all. Equal is equal: rows that hold the same words stand at the same place.
--
-- Indexes of words and codes are no use to a role behind row-level security (@@, @> and && might leak what they compare).
-- So words_found() goes, for the tenant this transaction speaks for, through words_found_here(), which reads with its
-- owner's rights and never any other tenant's rows.

CREATE OR REPLACE FUNCTION imgsearch_internal.has_words(tenant text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF tenant IS NULL THEN
        RETURN EXISTS (SELECT 1 FROM imgsearch.product);
    END IF;
    RETURN EXISTS (SELECT 1 FROM imgsearch.product p WHERE p.tenant_id = has_words.tenant);
END $$;
COMMENT ON FUNCTION imgsearch_internal.has_words(text) IS 'Whether any product of this tenant (null: of any) has words.';

CREATE OR REPLACE FUNCTION imgsearch_internal.languages_of(shop text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF shop IS NOT NULL THEN
        RETURN ARRAY[coalesce((SELECT s.language FROM imgsearch.shop s WHERE s.tenant_id = shop), 'simple')];
    END IF;
    RETURN ARRAY(SELECT x.l FROM (SELECT 'simple' AS l UNION SELECT s.language FROM imgsearch.shop s) x ORDER BY x.l LIMIT 10);
END $$;
COMMENT ON FUNCTION imgsearch_internal.languages_of(text) IS 'The languages that a question may be in: the tenant''s, or those of all.';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_looked_up(shop text, query tsquery) RETURNS integer LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$  -- out of an index, whatever the word is
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT 1 FROM imgsearch.product p
        WHERE p.document @@ CASE WHEN shop IS NULL THEN query ELSE query && imgsearch_internal.tenant_query(shop) END
          AND (shop IS NULL OR p.tenant_id = shop) LIMIT 2001) x);
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_looked_up(text, tsquery) IS 'How many products have a word, up to 2,001.';

-- Out of the vocabulary; looked up where it is not counted yet, or stands there in another form, or no tenant is asked.
-- A lookup ends at 2,001: whether that is a half of all or a hundredth, the vocabularies of the shops say.
CREATE OR REPLACE FUNCTION imgsearch_internal.words_counted(asked text) RETURNS integer LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    RETURN (SELECT sum(v.products) FROM imgsearch.vocabulary v WHERE v.pieces @> ARRAY[imgsearch_internal.whole_piece(asked)] AND v.word || '' = asked);  -- not by (tenant_id, word), which is one search for each tenant
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_counted(text) IS 'How many products have a word, of all tenants, when that was last counted; null: not counted.';

-- Of what counts as rare (at most 2,000) all rows are ranked, so a count that may be too small is looked up: words were
-- written since, or a language has other forms of the word.
CREATE OR REPLACE FUNCTION imgsearch_internal.words_count(shop text, word text, query tsquery) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    many integer;
BEGIN
    IF shop IS NOT NULL THEN
        SELECT max(v.products) INTO many FROM imgsearch.vocabulary v WHERE v.tenant_id = shop AND v.word = words_count.word;
        IF many <= 2000 AND word <> '' AND (EXISTS (SELECT 1 FROM imgsearch.vocabulary v WHERE v.tenant_id = shop AND v.word = '' AND v.products IS NULL)
                                            OR imgsearch_internal.languages_of(shop) <> ARRAY['simple']) THEN
            many := greatest(many, imgsearch_internal.words_looked_up(shop, query));
        END IF;
    ELSIF word = '' THEN
        SELECT CASE WHEN c.reltuples > 0 THEN c.reltuples END::integer INTO many FROM pg_class c WHERE c.oid = 'imgsearch.product'::regclass;
    ELSE
        many := imgsearch_internal.words_counted(word);
        IF many > 2000 THEN  -- common, however it is now: 2,001 rows need not be read to know
            RETURN many;
        END IF;
        many := NULL;
    END IF;
    many := coalesce(many, CASE WHEN word = '' THEN 2001 ELSE imgsearch_internal.words_looked_up(shop, query) END);
    RETURN many;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_count(text, text, tsquery) IS 'About how many products have a word; for the empty word, how many there are.';

CREATE OR REPLACE FUNCTION imgsearch_internal.tenant_query(tenant text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('''' || imgsearch_internal.tenant_word(tenant) || '''')::tsquery
$$;
COMMENT ON FUNCTION imgsearch_internal.tenant_query(text) IS 'What finds the products of a tenant in product.document.';

-- A word that half of the titles hold says nothing of what is meant, and beside looks it must not. No step: what one shop
-- has in 48 % of its titles, another has in 52 %. Few products tell little about how common a word is: as if there were 20
-- more without it.
CREATE OR REPLACE FUNCTION imgsearch_internal.word_tells(products integer, many double precision) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(1, greatest(0, 2 - 5 * products / (many + 20)))
$$;
COMMENT ON FUNCTION imgsearch_internal.word_tells(integer, double precision) IS 'How much a word tells that so many of `many` products have: 1 up to a fifth, 0 from two fifths on.';

-- A rare word weighs more, as the logarithm of how rare it is; whole numbers, so that equal is equal. A mended word is a
-- guess, and the less sure the fewer of the question's words any title has: "airy bold zesty" is no misspelt brand.
-- weighed: what the first page made of each word, so that the next ones order alike: its weight and 100 times its step
-- (see word_steps(): 0 rare, then the common ones from the rarest on, 99 none).
CREATE OR REPLACE FUNCTION imgsearch_internal.asked_words_of(shop text, given text, weighed integer[]) RETURNS imgsearch_internal.asked_words LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a      imgsearch_internal.asked_words;
    spoken CONSTANT text[] := imgsearch_internal.languages_of(shop);
    many   CONSTANT double precision := greatest(1, imgsearch_internal.words_count(shop, '', NULL));
BEGIN
    WITH asked AS MATERIALIZED (
        SELECT w.place, w.word AS asked, coalesce(m.word, w.word) AS word, coalesce(m.query, q.query) AS query,
               CASE before.before / 100 WHEN 99 THEN 0 WHEN 0 THEN 1 ELSE coalesce(2000 + before.before / 100, m.products, c.products) END AS products,
               CASE WHEN m.word IS NULL THEN 1 ELSE (count(*) FILTER (WHERE coalesce(m.products, c.products) > 0) OVER ())::double precision / count(*) OVER () END AS sure
        FROM unnest((imgsearch_internal.words_in(given))[1:16]) WITH ORDINALITY w (word, place) LEFT JOIN unnest(weighed) WITH ORDINALITY before (before, place) USING (place),
             LATERAL (SELECT imgsearch_internal.query_of(w.word, spoken) AS query) q,
             LATERAL (SELECT imgsearch_internal.words_count(shop, w.word, q.query) AS products) c
             LEFT JOIN LATERAL (SELECT n.word, n.query, imgsearch_internal.words_count(shop, n.word, n.query) AS products
                                FROM (SELECT n.word, imgsearch_internal.query_of(n.word, spoken) AS query
                                      FROM imgsearch_internal.mended(shop, CASE WHEN c.products = 0 THEN w.word END) n) n) m ON true
        WHERE q.query IS NOT NULL
    ), weighed AS (
        SELECT x.*, coalesce(weighed[x.place] % 100, 1 + round(x.sure::numeric * log(2, greatest(1, many / greatest(1, x.products))::numeric))::integer) AS weight,
               sum(x.products) OVER (ORDER BY x.products = 0, x.products, x.place) > 2000 AS common FROM asked x
    ), stepped AS (
        SELECT x.place, x.weight + 100 * CASE WHEN x.products = 0 THEN 99 WHEN x.common THEN count(*) FILTER (WHERE x.common) OVER (ORDER BY x.products = 0, x.products, x.place) ELSE 0 END AS said
        FROM weighed x
    )
    SELECT coalesce(array_agg(w.word ORDER BY w.products, w.place) FILTER (WHERE w.products > 0), '{}'),
           coalesce(array_agg(w.query ORDER BY w.products, w.place) FILTER (WHERE w.products > 0), '{}'),
           coalesce(array_agg(imgsearch_internal.query_of(w.word, spoken, ':A') ORDER BY w.products, w.place) FILTER (WHERE w.products > 0), '{}'),
           coalesce(array_agg(w.products ORDER BY w.products, w.place) FILTER (WHERE w.products > 0), '{}'),
           coalesce(array_agg(w.weight ORDER BY w.products, w.place) FILTER (WHERE w.products > 0), '{}'),
           coalesce(array_agg(w.sure * imgsearch_internal.word_tells(w.products, many) ORDER BY w.products, w.place) FILTER (WHERE w.products > 0), '{}'),
           coalesce(array_agg(w.asked ORDER BY w.place) FILTER (WHERE w.products = 0), '{}'), coalesce(sum(w.weight), 0),
           ARRAY(SELECT coalesce(s.said, 9900) FROM generate_series(1, (SELECT max(x.place) FROM stepped x)) n LEFT JOIN stepped s ON s.place = n ORDER BY n)
    INTO a.words, a.queries, a.titles, a.counts, a.weights, a.tells, a.missing, a.total, a.weighed FROM weighed w;
    a.key := imgsearch_internal.key_of(given);
    RETURN a;
END $$;
COMMENT ON FUNCTION imgsearch_internal.asked_words_of(text, text, integer[]) IS 'What asked_words() returns, with the rights of whoever calls it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.asked_words_here(given text, weighed integer[]) RETURNS imgsearch_internal.asked_words LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN imgsearch.current_tenant() IS NOT NULL THEN imgsearch_internal.asked_words_of(imgsearch.current_tenant(), given, weighed) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.asked_words_here(text, integer[]) IS 'What a question''s words are to the tenant that this transaction speaks for.';

CREATE OR REPLACE FUNCTION imgsearch_internal.asked_words(shop text, given text, weighed integer[] DEFAULT NULL) RETURNS imgsearch_internal.asked_words LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF shop = imgsearch.current_tenant() OR shop IS NULL AND imgsearch.current_tenant() IS NOT NULL AND imgsearch.is_tenant_restricted() THEN
        RETURN imgsearch_internal.asked_words_here(given, weighed);
    END IF;
    RETURN imgsearch_internal.asked_words_of(shop, given, weighed);
END $$;
COMMENT ON FUNCTION imgsearch_internal.asked_words(text, text, integer[]) IS 'What a question''s words are here: misspelt ones mended, rarest first; at most its first 16.';

-- What finds the products to rank: all that have one of the rare words; where there is no rare one, or those found too
-- few, those that have all of the common ones, at last the rarest of them alone.
CREATE OR REPLACE FUNCTION imgsearch_internal.leading_words(a imgsearch_internal.asked_words) RETURNS tsquery[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    steps record := imgsearch_internal.word_steps(a);
BEGIN
    RETURN array_remove(ARRAY[steps.rare, steps.common[1], CASE WHEN cardinality(steps.common) > 1 THEN steps.common[cardinality(steps.common)] END], NULL);
END $$;
COMMENT ON FUNCTION imgsearch_internal.leading_words(imgsearch_internal.asked_words) IS 'What finds the products to rank, one after the other until enough are found.';

-- $3: what is found whole, $4: what leads, $5 and $6: each word anywhere and in titles, $7: what it weighs (a tenth less
-- outside of titles).
CREATE OR REPLACE FUNCTION imgsearch_internal.score_sql(n integer) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(format('CASE WHEN p.document @@ ($6)[%1$s] THEN ($7)[%1$s] * 10 WHEN p.document @@ ($5)[%1$s] THEN ($7)[%1$s] * 9 ELSE 0 END', i), ' + '), '0')
    FROM generate_series(1, n) i
$$;
COMMENT ON FUNCTION imgsearch_internal.score_sql(integer) IS 'What a product p scores by n words, as text.';
