-- Remove the search functions.
DROP FUNCTION imgsearch.search(text, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP FUNCTION imgsearch.search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint);
DROP FUNCTION imgsearch.find;
DROP FUNCTION imgsearch.attribute_filter(jsonb);
