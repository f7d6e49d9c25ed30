-- Which attributes searches ask for: told by the processes that ask, once in a while, so that no search writes.

-- Only of attributes that pictures have: what strangers make up leaves no row.
CREATE OR REPLACE FUNCTION imgsearch_internal.note_attributes(asked jsonb) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    noted bigint;
BEGIN
    INSERT INTO imgsearch.asked_attribute (name, type, day, searches)
    SELECT a.name, a.type, current_date, a.searches
    FROM jsonb_to_recordset(asked) a (name text, type text, searches bigint)
    WHERE a.type IN ('text', 'number', 'boolean') AND a.searches BETWEEN 1 AND 1000000 AND EXISTS (SELECT 1 FROM imgsearch.image_sample s WHERE s.attributes ? a.name)
    LIMIT 50;
    GET DIAGNOSTICS noted = ROW_COUNT;
    RETURN noted;
END $$;
COMMENT ON FUNCTION imgsearch_internal.note_attributes(jsonb) IS 'Writes down how often a process was asked for attributes: [{"name": "colour", "type": "text", "searches": 12}, …]; returns of how many.';

CREATE OR REPLACE FUNCTION imgsearch_internal.fold_asked() RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH several AS (
        SELECT a.name, a.type, a.day FROM imgsearch.asked_attribute a GROUP BY 1, 2, 3 HAVING count(*) > 1
    ), taken AS (
        DELETE FROM imgsearch.asked_attribute a
        WHERE a.day < current_date - 30 OR (a.name, a.type, a.day) IN (SELECT s.name, s.type, s.day FROM several s) RETURNING a.*
    ), kept AS (
        INSERT INTO imgsearch.asked_attribute (name, type, day, searches)
        SELECT t.name, t.type, t.day, sum(t.searches) FROM taken t WHERE t.day >= current_date - 30 GROUP BY 1, 2, 3 RETURNING 1
    )
    SELECT count(*) FROM taken
$$;
COMMENT ON FUNCTION imgsearch_internal.fold_asked() IS 'Adds up what processes told of a day, and forgets what is older than 30 days. The sweep calls this.';
