-- words_found(): the products that have words of a question, best first, out of a bounded number of rows.

-- Planned once: most questions name no product, and then nothing needs to be planned for their filters. (Of an unknown
-- list of codes the planner believes that every hundredth row has one, and would read rows until it met it.)
CREATE OR REPLACE FUNCTION imgsearch_internal.names_product(shop text, named text[], given text) RETURNS boolean LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM imgsearch.product p WHERE p.keys && named AND (shop IS NULL OR p.tenant_id = shop))
        OR EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.product_id = given AND (shop IS NULL OR i.tenant_id = shop));
END $$;
COMMENT ON FUNCTION imgsearch_internal.names_product(text, text[], text) IS 'Whether any product here has one of these codes, or that id.';

-- By id or code: the whole question, or one of its words that has a digit and six letters or more (a size is no code).
CREATE OR REPLACE FUNCTION imgsearch_internal.found_whole(made imgsearch_internal.filter_text, asked imgsearch_internal.bound, given text, most integer)
RETURNS imgsearch_internal.word_hit[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    codes text[] := ARRAY(SELECT w FROM unnest(imgsearch_internal.words_in(given)) w WHERE length(w) >= 6 AND w ~ '[0-9]' LIMIT 10);
    hits  imgsearch_internal.word_hit[];
BEGIN
    codes := array_remove(codes || left(imgsearch_internal.key_of(given), 200), '');
    IF NOT imgsearch_internal.names_product((made.f).tenant, codes, btrim(given)) THEN
        RETURN '{}';
    END IF;
    EXECUTE format('SELECT coalesce(array_agg(y.hit), ''{}'') FROM (SELECT ROW(x.tenant_id, x.product_id, f.image_id, NULL, true, true)::imgsearch_internal.word_hit AS hit
        FROM (SELECT p.tenant_id, p.product_id FROM imgsearch.product p WHERE p.keys && $3%s
              UNION SELECT i.tenant_id, i.product_id FROM imgsearch.image i WHERE i.product_id = $4%s LIMIT 2000) x, LATERAL (%s) f LIMIT $5) y',  -- filters before the limit
        CASE WHEN (made.f).tenant IS NULL THEN '' ELSE ' AND p.tenant_id = ($2).tenant' END,
        CASE WHEN (made.f).tenant IS NULL THEN '' ELSE ' AND i.tenant_id = ($2).tenant' END, imgsearch_internal.first_image_sql(made, 'x'))
    INTO hits USING asked, made.f, codes, btrim(given), most;
    RETURN hits;
END $$;
COMMENT ON FUNCTION imgsearch_internal.found_whole(imgsearch_internal.filter_text, imgsearch_internal.bound, text, integer) IS 'The products whose id or code a question is, or names.';

CREATE OR REPLACE FUNCTION imgsearch_internal.first_image_sql(made imgsearch_internal.filter_text, alias text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('SELECT i.image_id FROM imgsearch.image i WHERE i.tenant_id = %1$s.tenant_id AND i.product_id = %1$s.product_id%2$s ORDER BY i.position LIMIT 1', alias, made.condition)
$$;
COMMENT ON FUNCTION imgsearch_internal.first_image_sql(imgsearch_internal.filter_text, text) IS 'The first picture of a product that matches, as text.';

-- Rare words: all their rows are ranked (2,000, or somewhat more where some were written since), and pictures looked at in that order until `most` match. Common ones, whose rows
-- are nearly all equal: rows are taken until five times as many match (500 to 2,000), and no more are read.
CREATE OR REPLACE FUNCTION imgsearch_internal.found_by(
    made imgsearch_internal.filter_text, asked imgsearch_internal.bound, a imgsearch_internal.asked_words, lead tsquery, rare boolean, most integer
) RETURNS imgsearch_internal.word_hit[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    hits   imgsearch_internal.word_hit[];
    tenant CONSTANT text := (made.f).tenant;
    every  tsquery;
    query  tsquery;
    sure   CONSTANT boolean := rare OR made.condition IN ('', ' AND i.tenant_id = ($2).tenant');  -- pictures are as good as sure to match
BEGIN
    FOREACH query IN ARRAY a.queries LOOP
        every := CASE WHEN every IS NULL THEN query ELSE every && query END;
    END LOOP;
    EXECUTE format('SELECT coalesce(array_agg(ROW(c.tenant_id, c.product_id, f.image_id, c.score, false, c.whole)::imgsearch_internal.word_hit), ''{}'') FROM (
            SELECT c.tenant_id, c.product_id, c.score, c.whole, f.image_id FROM (
                SELECT c.* FROM (SELECT p.tenant_id, p.product_id, %1$s AS score, p.document @@ $8 AS whole
                    FROM imgsearch.product p WHERE p.document @@ $3%2$s%3$s LIMIT $9) c ORDER BY c.score DESC, c.tenant_id, c.product_id) c,
            LATERAL (%4$s) f LIMIT $4) c, LATERAL (SELECT c.image_id) f',
        imgsearch_internal.score_sql(cardinality(a.queries)), CASE WHEN tenant IS NULL THEN '' ELSE ' AND p.tenant_id = ($2).tenant' END,
        CASE WHEN sure THEN '' ELSE format(' AND EXISTS (%s)', replace(imgsearch_internal.first_image_sql(made, 'p'), ' ORDER BY i.position LIMIT 1', '')) END,
        imgsearch_internal.first_image_sql(made, 'c'))
    INTO hits USING asked, made.f, CASE WHEN tenant IS NULL THEN lead ELSE lead && imgsearch_internal.tenant_query(tenant) END, most, a.queries, a.titles, a.weights, every,
        CASE WHEN rare THEN 4000 ELSE least(2000, greatest(500, 5 * most)) END;
    RETURN hits;
END $$;
COMMENT ON FUNCTION imgsearch_internal.found_by IS 'The best of the products that some words lead to.';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_ranked(f imgsearch.filters, given text, most integer, enough integer)
RETURNS TABLE (tenant_id text, product_id text, image_id bigint, place integer, exact boolean, whole boolean, more boolean, lacks double precision, tells double precision)
LANGUAGE plpgsql STABLE ROWS 100 SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
#variable_conflict use_column
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    a     imgsearch_internal.asked_words := imgsearch_internal.asked_words(f.tenant, given);
    leads tsquery[] := imgsearch_internal.leading_words(a);
    hits  imgsearch_internal.word_hit[] := imgsearch_internal.found_whole(made, asked, given, most);
    before tsquery;
BEGIN
    FOR n IN 1 .. coalesce(cardinality(leads), 0) LOOP
        EXIT WHEN cardinality(hits) >= enough OR a.tells <@ '{0}';  -- words that tell nothing are not read
        hits := hits || imgsearch_internal.found_by(made, asked, a, CASE WHEN before IS NULL THEN leads[n] ELSE leads[n] && !!before END, n = 1 AND a.counts[1] <= 2000, most + 1);
        before := CASE WHEN before IS NULL THEN leads[n] ELSE before || leads[n] END;
    END LOOP;
    RETURN QUERY
        SELECT x.tenant_id, x.product_id, x.image_id, x.place::integer, x.exact, x.whole AND a.missing = '{}' OR x.exact,
               x.score = x.beyond, 1 - coalesce(x.score, a.total * 10)::double precision / greatest(1, a.total * 10), CASE WHEN x.exact THEN 1 ELSE (SELECT max(t.tells) FROM unnest(a.weights, a.tells) t (weight, tells) WHERE t.weight * 9 <= x.score) END
        FROM (SELECT x.*, max(x.score) FILTER (WHERE x.n > most) OVER () AS beyond
              FROM (SELECT h.*, rank() OVER (ORDER BY h.exact DESC, h.score DESC NULLS FIRST) AS place, row_number() OVER (ORDER BY h.exact DESC, h.score DESC NULLS FIRST, h.tenant_id, h.product_id) AS n
                    FROM (SELECT DISTINCT ON (h.tenant_id, h.product_id) h.* FROM unnest(hits) h ORDER BY h.tenant_id, h.product_id, h.exact DESC) h) x) x
        WHERE x.n <= most ORDER BY x.n;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_ranked(imgsearch.filters, text, integer, integer) IS 'What words_found() returns, with the rights of whoever calls it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_found_here(f imgsearch.filters, given text, most integer, enough integer)
RETURNS TABLE (tenant_id text, product_id text, image_id bigint, place integer, exact boolean, whole boolean, more boolean, lacks double precision, tells double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF f.tenant IS NULL OR f.tenant = imgsearch.current_tenant() THEN
        f.tenant := imgsearch.current_tenant();
        IF f.tenant IS NOT NULL THEN
            RETURN QUERY SELECT w.* FROM imgsearch_internal.words_ranked(f, given, most, enough) w;
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_found_here(imgsearch.filters, text, integer, integer) IS 'What words find among the products of the tenant that this transaction speaks for, and of no other.';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_found(
    made imgsearch_internal.filter_text, asked imgsearch_internal.bound, words text, most integer, enough integer DEFAULT 1
) RETURNS TABLE (tenant_id text, product_id text, image_id bigint, place integer, exact boolean, whole boolean, more boolean, lacks double precision, tells double precision)
LANGUAGE plpgsql STABLE ROWS 100 AS $$
DECLARE
    f imgsearch.filters := made.f;
BEGIN
    IF f.tenant = imgsearch.current_tenant() OR f.tenant IS NULL AND imgsearch.current_tenant() IS NOT NULL AND imgsearch.is_tenant_restricted() THEN
        RETURN QUERY SELECT w.* FROM imgsearch_internal.words_found_here(f, words, most, enough) w;
    ELSE
        RETURN QUERY SELECT w.* FROM imgsearch_internal.words_ranked(f, words, most, enough) w;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_found(imgsearch_internal.filter_text, imgsearch_internal.bound, text, integer, integer) IS
    'At most `most` products that have words of a text and match the filters: place (by words; ties are equal), exact (its id or code was found), whole (it has all of the words), more (others tie with it and are not among these), lacks (the weight of the words it lacks, 0 to 1), tells (how much the words that it has tell, 1 to 0). Words that are commoner are tried only while fewer than `enough` are found.';
