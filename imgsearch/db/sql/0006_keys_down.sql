-- Remove keys and what the page counts and lists; keys that were given out stop working. Roles belong to the server and stay.
DROP FUNCTION imgsearch.browse(text, text[], double precision, double precision, boolean, jsonb, integer, bigint);
DROP FUNCTION imgsearch.facets(text, text[], double precision, double precision, boolean, jsonb, integer);
DROP FUNCTION imgsearch.link_secret();
DROP FUNCTION imgsearch.key_of(text);
DROP TABLE imgsearch.http_secret;
DROP TABLE imgsearch.api_key;
