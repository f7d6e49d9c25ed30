-- name: sample
-- Some searchable pictures.
SELECT tenant_id, image_id FROM imgsearch.images ORDER BY random() LIMIT %(count)s

-- name: searchable
-- Whether a picture could be found.
SELECT EXISTS (SELECT 1 FROM imgsearch.images WHERE tenant_id = %(tenant)s AND image_id = %(image_id)s)

-- name: clean
-- Remove the pictures of the measurement.
DELETE FROM imgsearch.image WHERE tenant_id = %(tenant)s
