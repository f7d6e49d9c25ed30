-- Remove explain, the doctor and promotion; promoted columns go, the attributes stay.
DROP FUNCTION imgsearch.explain_search(text, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP FUNCTION imgsearch.explain_search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP VIEW imgsearch.doctor, imgsearch.doctor_settings, imgsearch.doctor_indexes, imgsearch.doctor_tables, imgsearch.doctor_tuning,
    imgsearch.doctor_walls, imgsearch.doctor_work, imgsearch.tuning;
DROP FUNCTION imgsearch.fingerprint(), imgsearch.reset_setting(text), imgsearch.shell_word(text), imgsearch.repair_violations();
SELECT imgsearch.demote_attribute(name) FROM imgsearch.promoted_attribute;
DROP FUNCTION imgsearch.demote_attribute(text);
DROP FUNCTION imgsearch.promote_attribute(text, text);
CREATE OR REPLACE FUNCTION imgsearch.promoted_filter(name text, operator text, value jsonb, here integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NULL;
END $$;
DROP TABLE imgsearch.promoted_attribute;
