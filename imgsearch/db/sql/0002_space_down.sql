-- Remove spaces altogether. Pictures and filters stay; vectors go, and are made again after the next upgrade,
-- because the sweep queues every picture that has neither vector nor job.
DROP TRIGGER image_inserted ON imgsearch.image;
DROP TRIGGER image_replaced ON imgsearch.image;
DROP TRIGGER image_moved ON imgsearch.image;
DROP VIEW imgsearch.images;
DROP VIEW imgsearch.vectors;
DROP FUNCTION imgsearch.activate_space(integer);
DROP FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec);
DROP FUNCTION imgsearch.space_made(integer);
DROP FUNCTION imgsearch.space_activated(integer);
DROP FUNCTION imgsearch.name_spaces_in_trigger();
DROP FUNCTION imgsearch.image_moved();
DROP FUNCTION imgsearch.image_inserted();
DROP FUNCTION imgsearch.image_replaced();
DO $$
DECLARE
    id integer;
BEGIN
    FOR id IN SELECT space_id FROM imgsearch.space LOOP
        EXECUTE format('DROP TABLE imgsearch.embedding_%s', id);
        EXECUTE format('ALTER TABLE imgsearch.image DROP COLUMN bits_%s', id);
    END LOOP;
    DELETE FROM imgsearch.worker;
    DELETE FROM imgsearch.space;
END $$;
