-- How what matches is ranked and cut: one value, made and checked here. What each part does stands in a file of its own:
-- words.sql, cut.sql, arrange.sql (sort, boost, diversity), expand.sql, merchandise.sql.

CREATE OR REPLACE FUNCTION imgsearch.ranking_of(given jsonb) RETURNS imgsearch.ranking LANGUAGE plpgsql STABLE AS $$
DECLARE
    r imgsearch.ranking;
BEGIN
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: a ranking is a JSON object, not a JSON %', jsonb_typeof(given) USING HINT = 'For example {"per": "image", "sort": "price"}.', ERRCODE = 'IM008';
    END IF;
    r := jsonb_populate_record(NULL::imgsearch.ranking, given);
    PERFORM imgsearch_internal.require_known(given, row_to_json(r), 'there is no way of ranking called', 'There are: ');
    RETURN r;
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: a ranking has a value of the wrong type: %', left(SQLERRM, 200) USING HINT = 'per, words, cutoff and sort are texts, weights numbers.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch.ranking_of(jsonb) IS 'A ranking out of JSON: imgsearch.ranking_of(''{"per": "image", "diversity": 0.3}'').';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_ranking(r imgsearch.ranking) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF r.sort IS NOT NULL OR r.boost IS NOT NULL THEN
        PERFORM imgsearch_internal.check_order(r);
    END IF;
    IF r.per NOT IN ('product', 'image') THEN
        RAISE EXCEPTION 'imgsearch: per is "%"', left(r.per, 100) USING HINT = 'One row per => ''product'' (the default) or per => ''image''.', ERRCODE = 'IM008';
    ELSIF r.cutoff <> 'auto' THEN
        RAISE EXCEPTION 'imgsearch: cutoff is "%"', left(r.cutoff, 100) USING HINT = 'cutoff => ''auto'', or leave it out; for a fixed one min_match or max_distance.', ERRCODE = 'IM008';
    ELSIF (r.min_match BETWEEN 0 AND 1) IS FALSE OR (r.diversity BETWEEN 0 AND 1) IS FALSE THEN
        RAISE EXCEPTION 'imgsearch: % lies outside of 0 to 1', CASE WHEN (r.min_match BETWEEN 0 AND 1) IS FALSE THEN 'min_match' ELSE 'diversity' END
            USING HINT = 'For example min_match => 0.5, diversity => 0.3.', ERRCODE = 'IM008';
    ELSIF (r.regions BETWEEN 0 AND 1) IS FALSE THEN
        RAISE EXCEPTION 'imgsearch: regions is %, it must be from 0 to 1', r.regions USING HINT = 'How much the nearest region of a picture weighs: regions => 1 ranks by the best of whole and parts, 0 by whole pictures.', ERRCODE = 'IM008';
    ELSIF r.regions > 0 AND r.look_weight = 0 THEN
        RAISE EXCEPTION 'imgsearch: regions say how much parts look like it, and look_weight is 0' USING HINT = 'Leave one of them out.', ERRCODE = 'IM008';
    ELSIF (r.word_weight BETWEEN 0 AND 100) IS FALSE OR (r.look_weight BETWEEN 0 AND 100) IS FALSE OR r.word_weight = 0 AND r.look_weight = 0 THEN
        RAISE EXCEPTION 'imgsearch: word_weight and look_weight are numbers from 0 to 100, and not both 0' USING HINT = 'look_weight => 0 searches by words alone, word_weight => 0 by looks alone.', ERRCODE = 'IM008';
    ELSIF r.look_weight = 0 AND (r.min_match > 0 OR r.cutoff IS NOT NULL) THEN
        RAISE EXCEPTION 'imgsearch: min_match and cutoff say how well looks fit, and look_weight is 0' USING HINT = 'Leave one of them out.', ERRCODE = 'IM008';
    ELSIF length(r.words) > 2000 THEN
        RAISE EXCEPTION 'imgsearch: words has % characters, the limit is 2000', length(r.words) USING HINT = 'Shorten it.', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_ranking(imgsearch.ranking) IS 'Raises what is wrong with a ranking.';

CREATE OR REPLACE FUNCTION imgsearch_internal.question_of(given jsonb) RETURNS imgsearch_internal.question
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: a question is a JSON object, not a JSON %', jsonb_typeof(given)
            USING HINT = 'For example {"kind": "text", "words": "red shoe"}.', ERRCODE = 'IM008';
    END IF;
    RETURN jsonb_populate_record(NULL::imgsearch_internal.question, given);
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: a question has a value of the wrong type: %', left(SQLERRM, 200)
        USING HINT = 'kind, words and key are texts.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch_internal.question_of(jsonb) IS 'What a door was asked: {"kind": "text", "words": "red shoe", "key": "red shoe"}.';
