-- Remove the space functions, their triggers and views; tables of spaces made meanwhile stay until the schema goes.
DROP TRIGGER image_inserted ON imgsearch.image;
DROP TRIGGER image_replaced ON imgsearch.image;
DROP TRIGGER image_moved ON imgsearch.image;
DROP VIEW imgsearch.images;
DROP VIEW imgsearch.vectors;
DROP FUNCTION imgsearch.activate_space(integer);
DROP FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec);
DROP FUNCTION imgsearch.name_spaces_in_trigger();
DROP FUNCTION imgsearch.image_moved();
DROP FUNCTION imgsearch.image_inserted();
DROP FUNCTION imgsearch.image_replaced();
