-- How a search was answered, in words: which arm, why, how much was looked at, and what would make it faster.

CREATE OR REPLACE FUNCTION imgsearch.explain_search(
    query halfvec, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL
) RETURNS TABLE (explanation text) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    f      record;
    here   record;
    began  timestamptz;
    first  double precision;
    again  double precision;
    name   text;
BEGIN
    FOR i IN 1..2 LOOP
        began := clock_timestamp();
        SELECT x.*, cardinality(x.images) AS rows INTO f FROM imgsearch.find(query, tenant, category, min_price, max_price, in_stock,
            attributes, k, max_distance, categories, skip, after_distance, after_image) x;
        again := 1000 * extract(epoch FROM clock_timestamp() - began);
        first := coalesce(first, again);
    END LOOP;
    SELECT s.space_id, (s.parameters #>> '{sample,size}')::integer AS sampled, t.ef, t.pool, t.target, t.tuned_at,
           to_char(coalesce((s.parameters #>> '{sample,pictures}')::numeric, 0), 'FM999,999,999,999') AS pictures
    INTO here FROM imgsearch.space s JOIN imgsearch.tuning t ON t.space_id = s.space_id WHERE s.state = 'active';

    explanation := format('%s of %s%s that match, found by %s in %s ms (%s ms the first time)%s.', coalesce(f.rows, 0),
        CASE WHEN f.more THEN 'more than ' ELSE '' END, f.matches, f.strategy, round(again::numeric, 1), round(first::numeric, 1),
        CASE WHEN f.complete THEN '' ELSE '; one more within max_distance cannot be ruled out' END);
    RETURN NEXT;
    explanation := CASE f.strategy
        WHEN 'hnsw' THEN format('hnsw: walked the graph to the nearest %s of about %s pictures; enough that match lay among the very nearest of them, where the graph misses hardly any.', f.ef, here.pictures)
        WHEN 'bits' THEN format('bits: compared the bits of every picture that matches, then the best %s exactly.', f.ranked)
        ELSE format('exact: compared every picture that matches (%s) exactly.', f.matches) END;
    RETURN NEXT;
    explanation := CASE
        WHEN coalesce(here.sampled, 0) = 0 THEN 'There is no sample of the pictures, so how many match could not be guessed.'
        WHEN f.share >= 1 THEN 'Every picture matches.'
        ELSE format('Of %s sampled pictures %s %% match; near the query about %s %%.', here.sampled, round(100 * f.share::numeric, 1),
                    round(100 * coalesce(f.nearby, f.share)::numeric, 1)) END;
    RETURN NEXT;
    explanation := 'Why not by the HNSW: ' || CASE f.reason
        WHEN 'few' THEN 'one tenant with few pictures, or a page deep down; comparing them all costs less.'
        WHEN 'rare' THEN CASE WHEN coalesce(here.sampled, 0) = 0 THEN 'without a sample a walk with a filter is not tried.'
                         ELSE 'nothing in the sample matches, so a walk would find next to nothing.' END
        WHEN 'deep' THEN 'so many are asked for, or so few match, that a walk would pass 1,000 pictures, and that is the most.'
        WHEN 'dear' THEN 'comparing the bits of what matches costs less than a walk.'
        WHEN 'absent' THEN 'there is no valid index.'
        WHEN 'tried' THEN format('it was walked to %s pictures, but too few that match lay near the query.', f.ef)
        ELSE f.reason END;
    IF explanation IS NOT NULL AND f.strategy <> 'hnsw' THEN
        RETURN NEXT;
    END IF;
    explanation := CASE WHEN here.tuned_at IS NULL THEN 'Parameters: the defaults; imgsearch index tune measures on your own pictures.'
        ELSE format('Parameters: ef %s, pool %s, tuned on %s for a recall of %s.', here.ef, here.pool, to_char(here.tuned_at, 'YYYY-MM-DD'), here.target) END;
    RETURN NEXT;

    FOR name IN
        SELECT o.key FROM jsonb_object_keys(attributes) o (key)
        WHERE f.strategy <> 'hnsw' AND NOT EXISTS (SELECT FROM imgsearch.promoted_attribute p WHERE p.name = o.key)
    LOOP
        explanation := format('Faster: the attribute %s is read out of each row; give it an indexed column: imgsearch index promote %1$s', name);
        RETURN NEXT;
    END LOOP;
    RETURN QUERY
        SELECT format('Faster: %s. %s Fix: %s', d.detail, d.impact, d.fix)
        FROM (SELECT * FROM imgsearch.doctor_settings UNION ALL SELECT * FROM imgsearch.doctor_indexes
              UNION ALL SELECT * FROM imgsearch.doctor_tables UNION ALL SELECT * FROM imgsearch.doctor_tuning) d
        WHERE d.check_name IN ('planner switched off', 'invalid index', 'no HNSW', 'HNSW larger than memory', 'promoted attribute without index',
                         'no statistics', 'vacuum overdue', 'TOASTed vectors', 'sample stale', 'tuning stale');
END $$;
COMMENT ON FUNCTION imgsearch.explain_search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint) IS
'How imgsearch.search() with the same arguments is answered, in words. It runs the search twice.';

CREATE OR REPLACE FUNCTION imgsearch.explain_search(
    query text, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL
) RETURNS TABLE (explanation text) LANGUAGE sql AS $$
    SELECT * FROM imgsearch.explain_search(imgsearch.vec(query), tenant, category, min_price, max_price, in_stock, attributes, k,
                                           max_distance, categories, skip, after_distance, after_image)
$$;
COMMENT ON FUNCTION imgsearch.explain_search(text, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint) IS
'How imgsearch.search() with the same arguments is answered, in words. SELECT * FROM imgsearch.explain_search(''red canvas shoe'', tenant => ''acme'', max_price => 50);';
