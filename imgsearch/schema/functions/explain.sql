-- How a search was answered: which way, why, how much was looked at, and what would make it faster. Programs read
-- subject and figures; explanation says the same in words.

CREATE OR REPLACE FUNCTION imgsearch_internal.reason_words(reason text, plan imgsearch_internal.search_plan, sampled integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT 'Why not by the HNSW: ' || CASE reason
        WHEN 'few' THEN 'few images match, or the page is deep; comparing all that match costs less.'
        WHEN 'rare' THEN CASE WHEN coalesce(sampled, 0) = 0 THEN 'without a sample a walk with a filter is not tried.'
                         ELSE 'nothing in the sample matches, so a walk would find next to nothing.' END
        WHEN 'deep' THEN 'so many are asked for, or so few match, that a walk would pass 1,000 images, and that is the most.'
        WHEN 'dear' THEN 'comparing the bits of what matches costs less than a walk.'
        WHEN 'absent' THEN 'there is no valid index.'
        WHEN 'vain' THEN 'no walk reached the target when this space was tuned.'
        WHEN 'tried' THEN format('it was walked to %s images, but too few that match lay near the query.', (plan).ef)
        ELSE reason END
$$;
COMMENT ON FUNCTION imgsearch_internal.reason_words(text, imgsearch_internal.search_plan, integer) IS 'Why a search did not go by the graph, in words.';

CREATE OR REPLACE FUNCTION imgsearch_internal.explain_way(answer imgsearch_internal.page, plan imgsearch_internal.search_plan, first double precision, again double precision)
RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    here record;
    rows_ integer := coalesce(cardinality(answer.images), 0);
    per   CONSTANT text := CASE WHEN answer.products IS NULL THEN 'image' ELSE 'product' END;
BEGIN
    SELECT s.space_id, (s.parameters #>> '{sample,size}')::integer AS sampled, (s.parameters #>> '{search,ef}')::integer AS ef, (s.parameters #>> '{search,text,ef}')::integer AS text_ef, (s.parameters #>> '{search,pool}')::integer AS pool,
           (s.parameters #>> '{search,target}')::double precision AS target, (s.parameters #>> '{search,at}')::timestamptz AS tuned_at, s.parameters -> 'costs' AS costs,
           coalesce((SELECT c.reltuples::numeric FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('imgsearch.' || imgsearch_internal.tenant_graph_name(s.space_id, plan.tenant))),
                    (s.parameters #>> '{sample,pictures}')::numeric, 0) AS images, (SELECT count(*) FROM imgsearch.image_sample i WHERE i.tenant_id = plan.tenant) AS of_tenant
    INTO here FROM imgsearch.space s WHERE s.state = 'active';
    RETURN QUERY VALUES
        ('found', jsonb_build_object('rows', rows_, 'per', per, 'images', coalesce(answer.pictures, answer.matches), 'matches', answer.matches, 'more', answer.more, 'strategy', answer.strategy, 'complete', answer.complete, 'ms', again, 'first_ms', first),
         format('%s of %s%s%s that match, found by %s in %s ms (%s ms the first time)%s.', rows_, CASE WHEN answer.more THEN 'more than ' ELSE '' END, answer.matches,
                CASE per WHEN 'product' THEN ' products' || coalesce(' (' || answer.pictures || ' images)', '') ELSE '' END, answer.strategy, round(again::numeric, 1), round(first::numeric, 1),
                CASE WHEN answer.complete THEN '' ELSE CASE WHEN imgsearch_internal.misses() THEN '; when it was measured, searches here missed some' ELSE '; one more within max_distance cannot be ruled out' END END)),
        ('way', jsonb_build_object('ef', CASE answer.strategy WHEN 'hnsw' THEN plan.ef END, 'ranked', answer.ranked, 'images', here.images) || CASE WHEN answer.strategy = 'hnsw' AND plan.tenant IS NOT NULL THEN jsonb_build_object('tenant', plan.tenant) ELSE '{}' END,
         CASE answer.strategy
            WHEN 'hnsw' THEN format('hnsw: walked the graph%s to the nearest %s of about %s images; enough %s lay among the very nearest of them, where the graph misses hardly any.',
                                    CASE WHEN plan.tenant IS NOT NULL THEN ' of this tenant alone' ELSE '' END, plan.ef, to_char(here.images, 'FM999,999,999,999'), CASE per WHEN 'product' THEN 'products' ELSE 'that match' END)
            WHEN 'words' THEN 'words: looked up the words in titles; looks do not count (look_weight is 0), so no vector was compared.'
            WHEN 'bits' THEN format('bits: compared the bits of every image that matches, then the best %s exactly%s.', answer.ranked,
                CASE per WHEN 'product' THEN ', and kept the nearest of each product' ELSE '' END)
            ELSE format('exact: compared every image that matches (%s) exactly.', coalesce(answer.pictures, answer.matches)) END),
        ('share', jsonb_build_object('sampled', here.sampled, 'share', plan.share, 'nearby', coalesce(plan.nearby, plan.share)),
         CASE WHEN coalesce(here.sampled, 0) = 0 THEN 'There is no sample of the images, so how many match could not be guessed.'
              WHEN plan.share IS NULL THEN 'How many match was not guessed: every one was looked at.'
              WHEN plan.share >= 1 THEN format('Every image%s matches.', CASE WHEN plan.tenant IS NOT NULL THEN ' of this tenant' ELSE '' END)
              ELSE format('Of %s sampled images %s %% match; near the query about %s %%.', CASE WHEN plan.tenant IS NOT NULL THEN here.of_tenant || ' of this tenant''s' ELSE here.sampled::text END, round(100 * plan.share::numeric, 1),
                          round(100 * coalesce(plan.nearby, plan.share)::numeric, 1)) END);
    IF answer.strategy <> 'hnsw' AND plan.reason IS NOT NULL THEN
        RETURN QUERY VALUES ('reason', jsonb_build_object('reason', plan.reason, 'ef', plan.ef), imgsearch_internal.reason_words(plan.reason, plan, here.sampled));
    END IF;
    RETURN QUERY VALUES ('parameters', jsonb_build_object('ef', here.ef, 'text_ef', here.text_ef, 'pool', here.pool, 'target', here.target, 'tuned_at', here.tuned_at, 'costs', here.costs),
        CASE WHEN here.tuned_at IS NULL THEN 'Parameters: the defaults; imgsearch index tune measures on your own images.'
             ELSE format('Parameters: ef %s (texts %s), pool %s, tuned on %s for a recall of %s.', coalesce(here.ef::text, 'by default'), coalesce(here.text_ef::text, 'by default'), coalesce(here.pool::text, 'by default'), to_char(here.tuned_at, 'YYYY-MM-DD'), here.target) END
        || CASE WHEN here.costs IS NULL THEN '' ELSE format(' Measured here: %s µs for a node of a walk, %s µs for a key.', round((here.costs ->> 'walk_us')::numeric, 1), round((here.costs ->> 'key_us')::numeric, 3)) END);
END $$;
COMMENT ON FUNCTION imgsearch_internal.explain_way IS 'What a page and its plan tell, line by line.';

CREATE OR REPLACE FUNCTION imgsearch_internal.explain_slowness() RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'doctor', jsonb_build_object('check', d.check_name), format('Faster: %s. %s Fix: %s', d.detail, d.impact, d.fix)
    FROM (SELECT * FROM imgsearch.doctor_settings UNION ALL SELECT * FROM imgsearch.doctor_indexes
          UNION ALL SELECT * FROM imgsearch.doctor_tables UNION ALL SELECT * FROM imgsearch.doctor_tuning) d
    WHERE d.check_name IN ('planner switched off', 'invalid index', 'no HNSW', 'HNSW larger than memory', 'promoted attribute without index', 'index without products',
                        'no statistics', 'vacuum overdue', 'TOASTed vectors', 'sample stale', 'tuning stale')
$$;
COMMENT ON FUNCTION imgsearch_internal.explain_slowness() IS 'What the doctor finds that makes any search slower.';

CREATE OR REPLACE FUNCTION imgsearch.explain_search(
    query halfvec, filters imgsearch.filters DEFAULT NULL, k integer DEFAULT 10, max_distance double precision DEFAULT NULL,
    skip integer DEFAULT 0, after text DEFAULT NULL, ranking imgsearch.ranking DEFAULT NULL, question jsonb DEFAULT NULL
) RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE plpgsql AS $$
DECLARE
    p     imgsearch_internal.page_request := imgsearch_internal.page_of(k, skip, after, max_distance);
    q     imgsearch_internal.question := imgsearch_internal.question_of(question);
    f     record;
    began timestamptz;
    first double precision;
    again double precision;
BEGIN
    IF ranking.space IS NOT NULL AND imgsearch_internal.elsewhere(ranking.space) IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT * FROM imgsearch_space_%s.explain_search($1, $2, $3, $4, $5, $6, $7, $8)', imgsearch_internal.elsewhere(ranking.space))
            USING query, filters, k, max_distance, skip, after, ranking, question;
        RETURN;
    END IF;
    FOR i IN 1..2 LOOP
        began := clock_timestamp();
        SELECT x.* INTO f FROM imgsearch_internal.answer(query, filters, p, ranking, q) x;
        again := 1000 * extract(epoch FROM clock_timestamp() - began);
        first := coalesce(first, again);
    END LOOP;
    p.regions := CASE WHEN (f.answer).parts IS NOT NULL THEN ranking.regions END;
    RETURN QUERY SELECT e.* FROM imgsearch_internal.explain_way(f.answer, f.plan, first, again) e;
    RETURN QUERY SELECT e.* FROM imgsearch_internal.explain_regions(f.answer, f.plan, ranking) e;
    RETURN QUERY SELECT e.* FROM imgsearch_internal.explain_cut(query, filters, p, ranking, q) e;
    RETURN QUERY SELECT e.* FROM imgsearch_internal.explain_order(query, filters, ranking, q) e;
    RETURN QUERY
        SELECT 'promote', jsonb_build_object('attribute', o.key),
               format('Faster: the attribute %s is read out of each row; give it an indexed column: imgsearch index promote %s', o.key, imgsearch_internal.shell_word(o.key))
        FROM jsonb_object_keys((filters).attributes) o (key)
        WHERE (f.answer).strategy <> 'hnsw' AND NOT EXISTS (SELECT 1 FROM imgsearch.promoted_attribute x WHERE x.name = o.key);
    RETURN QUERY SELECT * FROM imgsearch_internal.explain_slowness();
END $$;
COMMENT ON FUNCTION imgsearch.explain_search(halfvec, imgsearch.filters, integer, double precision, integer, text, imgsearch.ranking, jsonb) IS
'How imgsearch.search() is answered: in words, and as figures for programs. It runs the search twice.';

CREATE OR REPLACE FUNCTION imgsearch.explain_search(
    query text, filters imgsearch.filters DEFAULT NULL, k integer DEFAULT 10, max_distance double precision DEFAULT NULL,
    skip integer DEFAULT 0, after text DEFAULT NULL, ranking imgsearch.ranking DEFAULT NULL, question jsonb DEFAULT NULL
) RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM imgsearch.explain_search(CASE WHEN (ranking).space IS NULL THEN imgsearch.vec(query) ELSE imgsearch.vec(query, (ranking).space) END, filters, k, max_distance, skip, after, ranking,
        coalesce(question, jsonb_strip_nulls(jsonb_build_object('kind', 'text', 'words', query, 'key', imgsearch_internal.canonical(query)))))
$$;
COMMENT ON FUNCTION imgsearch.explain_search(text, imgsearch.filters, integer, double precision, integer, text, imgsearch.ranking, jsonb) IS
'How imgsearch.search() is answered. SELECT explanation FROM imgsearch.explain_search(''red canvas shoe'', imgsearch.filters_of(''{"tenant": "acme", "max_price": 50}''));';
