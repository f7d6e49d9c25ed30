-- What may stand in imgsearch.calibration: a curve that rises, of finite numbers. A NaN there would be every row's match.

CREATE OR REPLACE FUNCTION imgsearch_internal.calibration_wrong(c imgsearch.calibration) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    -- To Postgres NaN is larger than Infinity; -1.01 to 1.01: what float16 makes of a cosine.
    SELECT CASE
        WHEN c.kind NOT IN ('text', 'picture') THEN 'its kind is text or picture'
        WHEN (c.scale > 0 AND c.scale < 'Infinity' AND c.bias > '-Infinity' AND c.bias < 'Infinity') IS FALSE THEN 'scale is a number above 0, bias a number, both finite'
        WHEN (c.scale IS NULL) <> (c.bias IS NULL) OR (c.cosines IS NULL) <> (c.matches IS NULL) OR (c.scale IS NULL) = (c.cosines IS NULL) THEN 'it has either scale and bias, or cosines and matches'
        WHEN (array_ndims(c.cosines) = 1 AND array_ndims(c.matches) = 1 AND array_lower(c.cosines, 1) = 1 AND array_lower(c.matches, 1) = 1
              AND cardinality(c.cosines) BETWEEN 2 AND 1000 AND cardinality(c.matches) = cardinality(c.cosines)) IS FALSE OR c.cosines = '{}' OR c.matches = '{}'
            THEN 'cosines and matches are two lists of 2 to 1000 numbers, as many of each'
        WHEN EXISTS (SELECT 1 FROM unnest(c.cosines, c.matches) p (x, y) WHERE (p.x BETWEEN -1.01 AND 1.01 AND p.y BETWEEN 0 AND 1) IS NOT TRUE) THEN 'cosines lie from -1 to 1, matches from 0 to 1'
        WHEN EXISTS (SELECT 1 FROM (SELECT p.x <= lag(p.x) OVER o OR p.y < lag(p.y) OVER o AS falls FROM unnest(c.cosines, c.matches) WITH ORDINALITY p (x, y, n) WINDOW o AS (ORDER BY p.n)) p WHERE p.falls)
            THEN 'cosines rise, and matches never fall'
        WHEN (c.error BETWEEN 0 AND 1) IS FALSE OR c.judged < 0 THEN 'judged is at least 0, and error lies from 0 to 1' END
$$;
COMMENT ON FUNCTION imgsearch_internal.calibration_wrong(imgsearch.calibration) IS 'What is wrong with a calibration; null: nothing.';

CREATE OR REPLACE FUNCTION imgsearch_internal.calibration_written() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong CONSTANT text := imgsearch_internal.calibration_wrong(NEW);
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: this is no calibration: %', wrong USING HINT = 'Have one fitted to judgements: imgsearch calibrate judged.csv', ERRCODE = 'IM009';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgsearch_internal.calibration_written() IS 'Trigger: refuses a calibration that is no curve which rises.';
