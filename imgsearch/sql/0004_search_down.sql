-- Remove the search functions and the sample.
DROP FUNCTION imgsearch.search(text, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP FUNCTION imgsearch.search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP FUNCTION imgsearch.find;
DROP FUNCTION imgsearch.refuse;
DROP FUNCTION imgsearch.attribute_filter(jsonb);
DROP FUNCTION imgsearch.refresh_sample(interval, integer);
DROP TYPE imgsearch.asked;
DROP TABLE imgsearch.image_sample;
