-- Remove the search functions and the sample.
DROP FUNCTION imgsearch.search(text, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP FUNCTION imgsearch.search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP FUNCTION imgsearch.find;
DROP FUNCTION imgsearch.settle;
DROP FUNCTION imgsearch.gate;
DROP FUNCTION imgsearch.bits_of(imgsearch.image);
CREATE OR REPLACE FUNCTION imgsearch.space_activated(id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    NULL;
END $$;
DROP FUNCTION imgsearch.believed;
DROP FUNCTION imgsearch.neighbours;
DROP FUNCTION imgsearch.walk_again;
DROP FUNCTION imgsearch.walk;
DROP FUNCTION imgsearch.walking;
DROP FUNCTION imgsearch.aim;
DROP TYPE imgsearch.aimed;
DROP FUNCTION imgsearch.attribute_filter(jsonb);
DROP FUNCTION imgsearch.promoted_filter(text, text, jsonb, integer);
DROP FUNCTION imgsearch.refresh_sample(interval, integer);
DROP TYPE imgsearch.asked;
DROP TABLE imgsearch.image_sample;
