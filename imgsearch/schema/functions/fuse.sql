-- Words and looks as one order: RRF (Cormack, Clarke, Buettcher, SIGIR 2009), the sum of weight / (60 + rank) over both
-- lists. Rows that words find equally well share a rank there, and looks order them.

-- What words are to be found, or null: no words, no weight for them, or no product here has any.
CREATE OR REPLACE FUNCTION imgsearch_internal.words_asked(f imgsearch.filters, r imgsearch.ranking, q imgsearch_internal.question) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    asked CONSTANT text := coalesce(r.words, q.words);
BEGIN
    IF asked IS NULL OR r.word_weight = 0 OR asked !~ '\S' THEN
        RETURN NULL;
    END IF;
    RETURN CASE WHEN imgsearch_internal.has_words(f.tenant) THEN asked END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_asked(imgsearch.filters, imgsearch.ranking, imgsearch_internal.question) IS 'The words that a search finds beside looks; null: by looks alone.';

-- Each with the nearest of its first 100 pictures that match (per image: with all of those), and as score what words
-- add to its rank: a row that has half of what the best has of the question (rare words weigh more) counts half; words
-- that no title has are looks' alone. Of 400 that words find the `most` best, equal ones by looks. What has all the words
-- stands also where looks would cut (min_match, cutoff), but not beyond `farthest`, which was asked for. One whose
-- pictures have no vector yet has the largest distance, 2. tied: where more rows are equal than are listed, those equal ones.
CREATE OR REPLACE FUNCTION imgsearch_internal.words_pool(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, words text, weight double precision, farthest double precision, most integer
) RETURNS imgsearch_internal.pool LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    pool  imgsearch_internal.pool;
BEGIN
    EXECUTE '
        WITH w AS MATERIALIZED (SELECT w.*, $4 * w.tells * (1 - w.lacks) / greatest(1e-9, max(1 - w.lacks) FILTER (WHERE NOT w.exact) OVER ()) / (60 + w.place) AS score
                                FROM imgsearch_internal.words_found($5, $1, $6, 4 * $7) w WHERE w.tells > 0)
        SELECT coalesce(array_agg(x.tenant_id), ''{}''), coalesce(array_agg(x.key), ''{}''), coalesce(array_agg(x.image_id), ''{}''), coalesce(array_agg(x.d), ''{}''),
               coalesce(array_agg(x.score), ''{}''), coalesce(array_agg(x.exact), ''{}''), coalesce(array_agg(imgsearch_internal.mark_of(x.tenant_id, x.key)), ''{}''),
               (SELECT max(w.score) FROM w WHERE w.more), (SELECT max(w.lacks) FROM w WHERE w.more)
        FROM (SELECT w.tenant_id, CASE WHEN $3 THEN w.product_id ELSE w.product_id || E''\x01'' || i.position END AS key, i.image_id, i.d, w.exact, w.score
              FROM w, LATERAL (
                  SELECT i.image_id, i.position, coalesce(' || imgsearch_internal.distance_sql(p, '$8', '$11') || ', 2) AS d
                  FROM (SELECT i.tenant_id, i.image_id, i.position FROM imgsearch.image i WHERE i.tenant_id = w.tenant_id AND i.product_id = w.product_id' || made.condition || '
                        ORDER BY i.position LIMIT 100) i
                  LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
                  ORDER BY d, i.position LIMIT CASE WHEN $3 THEN 1 END) i
              WHERE ($9 IS NULL OR i.d <= $9) AND ($10 IS NULL OR i.d <= $10 OR w.whole OR w.exact)
              ORDER BY w.exact DESC, w.score DESC, i.d, i.image_id LIMIT $7) x'
    INTO pool.tenants, pool.keys, pool.images, pool.distances, pool.scores, pool.firsts, pool.marks, pool.tied, pool.lacks
    USING asked, made.f, p.per_product, weight, made, words, most, query, farthest, p.max_distance, p.regions;
    RETURN pool;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_pool IS 'What words find, as rows to be ordered.';

-- Of a word that a tenth of all titles hold, a list is any hundred of them: the nearest that have it as well share their
-- rank. What a word tells fades out where more titles hold it (words_found().tells).
CREATE OR REPLACE FUNCTION imgsearch_internal.with_tied(found_ imgsearch_internal.pool, near imgsearch_internal.pool, shop text, words text)
RETURNS imgsearch_internal.pool LANGUAGE plpgsql STABLE AS $$
DECLARE
    a    imgsearch_internal.asked_words := imgsearch_internal.asked_words(shop, words);
    also integer[];
    part imgsearch_internal.pool;
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(u.n::integer ORDER BY u.n), ''{}'')
        FROM unnest($1, $2) WITH ORDINALITY u (tenant_id, key, n) JOIN imgsearch.product p ON p.tenant_id = u.tenant_id AND p.product_id = split_part(u.key, E''\x01'', 1)
        WHERE NOT u.key = ANY ($3) AND 1 - (%s)::double precision / greatest(1, $4 * 10) <= $8 + 1e-9', imgsearch_internal.score_sql(cardinality(a.queries)))
    INTO also USING near.tenants, near.keys, found_.keys, a.total, a.queries, a.titles, a.weights, found_.lacks;
    part := imgsearch_internal.picked(near, also);
    found_.tenants := found_.tenants || part.tenants; found_.keys := found_.keys || part.keys; found_.images := found_.images || part.images;
    found_.distances := found_.distances || part.distances; found_.firsts := found_.firsts || part.firsts; found_.marks := found_.marks || part.marks;
    found_.scores := found_.scores || array_fill(found_.tied, ARRAY[cardinality(also)]);
    RETURN found_;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_tied IS 'What words found, and those of the nearest that have as many of them.';

-- The scores of what comes out are on the scale of looks: the n-th row stands as near as the n-th nearest does, so that
-- a boost weighs as much with words as without.
CREATE OR REPLACE FUNCTION imgsearch_internal.fused(looks imgsearch_internal.pool, found_ imgsearch_internal.pool, weight double precision)
RETURNS imgsearch_internal.pool LANGUAGE sql STABLE AS $$
    WITH look AS (
        SELECT u.*, weight / (60 + u.n) AS score FROM unnest((looks).tenants, (looks).keys, (looks).images, (looks).distances, (looks).marks) WITH ORDINALITY u (tenant, key, image, distance, mark, n)
    ), word AS (
        SELECT u.* FROM unnest((found_).tenants, (found_).keys, (found_).images, (found_).distances, (found_).marks, (found_).scores, (found_).firsts) u (tenant, key, image, distance, mark, score, first)
    ), every AS (
        SELECT coalesce(l.tenant, w.tenant) AS tenant, coalesce(l.key, w.key) AS key, coalesce(l.image, w.image) AS image, coalesce(l.distance, w.distance) AS distance,
               coalesce(l.mark, w.mark) AS mark, coalesce(w.first, false) AS first, coalesce(l.score, 0) + coalesce(w.score, 0) AS score, coalesce(w.score, 0) AS told
        FROM look l FULL JOIN word w ON w.tenant = l.tenant AND w.key = l.key
    ), placed AS (
        SELECT e.*, row_number() OVER (ORDER BY e.first DESC, e.score DESC, e.told DESC, e.distance, e.image) AS place FROM every e
    ), near AS (
        SELECT coalesce(e.distance, max(e.distance) OVER (), 2) AS distance, row_number() OVER (ORDER BY e.distance, e.image) AS place FROM every e
    )
    SELECT ROW(coalesce(array_agg(p.tenant ORDER BY p.place), '{}'), coalesce(array_agg(p.key ORDER BY p.place), '{}'), coalesce(array_agg(p.image ORDER BY p.place), '{}'),
               coalesce(array_agg(p.distance ORDER BY p.place), '{}'), coalesce(array_agg(1 - n.distance ORDER BY p.place), '{}'), coalesce(array_agg(p.first ORDER BY p.place), '{}'),
               coalesce(array_agg(p.mark ORDER BY p.place), '{}'), NULL, NULL, NULL, NULL, NULL)::imgsearch_internal.pool
    FROM placed p JOIN near n ON n.place = p.place
$$;
COMMENT ON FUNCTION imgsearch_internal.fused(imgsearch_internal.pool, imgsearch_internal.pool, double precision) IS 'The nearest and what words found, in one order.';
