-- The words of a tenant: how common each is, and which of them a misspelt one is meant to be.
--
-- A misspelling and its word have a piece in common: what is left of each without one of its letters, or two (Garbe,
-- SymSpell, 2012). Pieces are numbers that begin with the tenant, so that one index finds those of one tenant; and once
-- more without a tenant, so that a search in all of them finds a word of any, however many they are.

-- Of the first seven letters; the rest of a word is compared later. A word is kept without up to one of them, a misspelt one
-- of seven letters or more is looked up without up to two. Words with digits are sizes and numbers: another one is another size.
CREATE OR REPLACE FUNCTION imgsearch_internal.pieces_of(tenant text, word text, fewer integer DEFAULT 1) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    head CONSTANT text := left(word, 7);
    part text[] := ARRAY[head];
BEGIN
    IF length(word) NOT BETWEEN 4 AND 40 OR word ~ '[0-9]' THEN
        RETURN '{}';
    END IF;
    FOR turn IN 1 .. fewer LOOP
        part := part || ARRAY(SELECT DISTINCT left(p, n - 1) || substr(p, n + 1) FROM unnest(part) p, generate_series(1, length(head)) n WHERE length(p) > length(head) - turn);
    END LOOP;
    RETURN ARRAY(SELECT DISTINCT ('x' || left(md5(coalesce(tenant, '') || E'\x01' || p), 16))::bit(64)::bigint FROM unnest(part) p);
END $$;
COMMENT ON FUNCTION imgsearch_internal.pieces_of(text, text, integer) IS 'What is left of a word without so many of its letters or fewer, as numbers; null: of no tenant.';

CREATE OR REPLACE FUNCTION imgsearch_internal.whole_piece(word text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || left(md5(E'\x02' || word), 16))::bit(64)::bigint
$$;
COMMENT ON FUNCTION imgsearch_internal.whole_piece(text) IS 'What finds a word as it is, whosever it is and however short.';

CREATE OR REPLACE FUNCTION imgsearch_internal.kept_pieces(tenant text, word text) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT imgsearch_internal.pieces_of(tenant, word) || imgsearch_internal.pieces_of(NULL, word) || imgsearch_internal.whole_piece(word)
$$;
COMMENT ON FUNCTION imgsearch_internal.kept_pieces(text, text) IS 'The pieces that find a word, for its tenant and for all.';

-- What is kept of a word may differ from one version to the next; words of before would not be found. Whether it does, some
-- rows tell: a million words take a minute.
CREATE OR REPLACE FUNCTION imgsearch_internal.mend_vocabulary() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    rows_ bigint := 0;
BEGIN
    IF EXISTS (SELECT 1 FROM ((SELECT v.* FROM imgsearch.vocabulary v LIMIT 500) UNION ALL (SELECT v.* FROM imgsearch.vocabulary v TABLESAMPLE SYSTEM (1) LIMIT 500)) v
               WHERE v.pieces IS DISTINCT FROM imgsearch_internal.kept_pieces(v.tenant_id, v.word)) THEN
        UPDATE imgsearch.vocabulary v SET pieces = imgsearch_internal.kept_pieces(v.tenant_id, v.word)
        WHERE v.pieces IS DISTINCT FROM imgsearch_internal.kept_pieces(v.tenant_id, v.word);
        GET DIAGNOSTICS rows_ = ROW_COUNT;
    END IF;
    RETURN rows_;
END $$;
COMMENT ON FUNCTION imgsearch_internal.mend_vocabulary() IS 'Writes anew what finds each word, where another version wrote something else; every upgrade calls it. Returns how many words.';

-- Insert, leave out, replace or swap neighbours: Damerau-Levenshtein, optimal string alignment.
CREATE OR REPLACE FUNCTION imgsearch_internal.edits(a text, b text) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    x      CONSTANT text[] := string_to_array(a, NULL);
    y      CONSTANT text[] := string_to_array(b, NULL);
    older  integer[];
    before integer[];
    here   integer[] := ARRAY(SELECT generate_series(0, cardinality(y)));
BEGIN
    FOR i IN 1 .. cardinality(x) LOOP
        older := before; before := here; here := ARRAY[i];
        FOR j IN 1 .. cardinality(y) LOOP
            here[j + 1] := least(before[j + 1] + 1, here[j] + 1, before[j] + (x[i] <> y[j])::integer,
                                 CASE WHEN i > 1 AND j > 1 AND x[i] = y[j - 1] AND x[i - 1] = y[j] THEN older[j - 1] + 1 END);
        END LOOP;
    END LOOP;
    RETURN here[cardinality(y) + 1];
END $$;
COMMENT ON FUNCTION imgsearch_internal.edits(text, text) IS 'How many letters two words differ by.';

-- What is one edit away shares a piece without one letter; only where there is none, two letters are left out.
CREATE OR REPLACE FUNCTION imgsearch_internal.mended(shop text, asked text) RETURNS TABLE (word text, products integer) LANGUAGE plpgsql STABLE ROWS 1
-- Of many pieces the planner believes that they find half of the table.
SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    wanted bigint[];
    most   CONSTANT integer := CASE WHEN length(asked) < 7 THEN 1 ELSE 2 END;
BEGIN
    FOR fewer IN 1 .. most LOOP
        wanted := imgsearch_internal.pieces_of(shop, asked, fewer);
        EXIT WHEN asked IS NULL OR wanted = '{}';
        SELECT x.word, x.products INTO word, products FROM (
            SELECT v.word::text AS word, coalesce(max(v.products), 1) AS products FROM imgsearch.vocabulary v
            WHERE v.pieces && wanted AND (shop IS NULL OR v.tenant_id = shop) AND abs(length(v.word) - length(asked)) <= fewer
            GROUP BY v.word LIMIT 200) x, LATERAL (SELECT imgsearch_internal.edits(x.word, asked) AS apart) e
        WHERE e.apart <= fewer ORDER BY e.apart, left(x.word, 1) <> left(asked, 1), x.products DESC, x.word LIMIT 1;
        IF FOUND THEN
            RETURN NEXT;
            EXIT;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.mended(text, text) IS 'The word that a misspelt one is meant to be; no row where none is near.';

-- A word that is not counted yet has no number, and so has the tenant (its empty word) until it is counted anew.
CREATE OR REPLACE FUNCTION imgsearch_internal.words_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO imgsearch.vocabulary (tenant_id, word, pieces)
    SELECT x.tenant_id, x.word, imgsearch_internal.kept_pieces(x.tenant_id, x.word)
    FROM (SELECT DISTINCT n.tenant_id, w.word FROM written n, unnest(imgsearch_internal.words_in(concat_ws(' ', n.title, n.words)) || ''::text) w (word)) x
    WHERE NOT EXISTS (SELECT 1 FROM imgsearch.vocabulary v WHERE v.tenant_id = x.tenant_id AND v.word = x.word AND (v.word <> '' OR v.products IS NULL));
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_changed() IS 'Trigger: words that are new here join the vocabulary, which is to be counted anew.';

-- Of the tenants whose words changed, in one transaction: searches always see one state. Rows that stay are not touched.
CREATE OR REPLACE FUNCTION imgsearch.refresh_vocabulary(older_than interval DEFAULT '0') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    rows_ bigint;
BEGIN
    PERFORM imgsearch_internal.require_between('older_than (seconds)', coalesce(extract(epoch FROM older_than), 0)::float8, -1e9, 1e9);
    IF NOT pg_try_advisory_xact_lock(hashtext('imgsearch.vocabulary')) THEN
        RETURN NULL;
    END IF;
    WITH shops AS MATERIALIZED (
        SELECT DISTINCT v.tenant_id FROM imgsearch.vocabulary v WHERE v.word = '' AND v.products IS NULL
          AND NOT EXISTS (SELECT 1 FROM imgsearch.vocabulary o WHERE o.tenant_id = v.tenant_id AND o.word = '' AND o.counted_at > now() - older_than)
    ), counted AS MATERIALIZED (
        SELECT p.tenant_id, w.word COLLATE "C" AS word, count(*)::integer AS products
        FROM shops JOIN imgsearch.product p USING (tenant_id), unnest(imgsearch_internal.words_in(concat_ws(' ', p.title, p.words)) || ''::text) w (word) GROUP BY 1, 2
    ), kept AS MATERIALIZED (
        SELECT v.tenant_id, v.word, min(v.ctid) AS row FROM imgsearch.vocabulary v JOIN shops s USING (tenant_id) GROUP BY 1, 2
    ), gone AS (
        DELETE FROM imgsearch.vocabulary v USING kept k
        WHERE v.tenant_id = k.tenant_id AND v.word = k.word AND (v.ctid <> k.row OR NOT EXISTS (SELECT 1 FROM counted c WHERE c.tenant_id = k.tenant_id AND c.word = k.word))
        RETURNING 1
    ), changed AS (
        UPDATE imgsearch.vocabulary v SET products = c.products, counted_at = CASE WHEN v.word = '' THEN now() END
        FROM kept k JOIN counted c USING (tenant_id, word)
        WHERE v.tenant_id = k.tenant_id AND v.word = k.word AND v.ctid = k.row AND (v.products IS DISTINCT FROM c.products OR v.word = '')
        RETURNING 1
    ), written AS (
        INSERT INTO imgsearch.vocabulary (tenant_id, word, products, pieces)
        SELECT c.tenant_id, c.word, c.products, imgsearch_internal.kept_pieces(c.tenant_id, c.word) FROM counted c
        WHERE NOT EXISTS (SELECT 1 FROM kept k WHERE k.tenant_id = c.tenant_id AND k.word = c.word)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed) + (SELECT count(*) FROM written) INTO rows_;
    RETURN rows_;
END $$;
COMMENT ON FUNCTION imgsearch.refresh_vocabulary(interval) IS 'Counts anew how many products have each word, of tenants whose words changed and were counted longer ago than that; workers call it now and then. Returns how many rows changed; null: another session is at it.';
