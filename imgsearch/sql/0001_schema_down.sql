-- Remove everything imgsearch made. The pictures in the store stay; the extension stays, others may use it.
DROP SCHEMA imgsearch CASCADE;
