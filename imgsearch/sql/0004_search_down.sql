-- Remove the search functions.
DROP FUNCTION imgsearch.search(text, text, text, double precision, double precision, boolean, jsonb, integer);
DROP FUNCTION imgsearch.search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer);
