-- name: vector_of
-- The stored vector of an image, and the space it belongs to.
SELECT s.space_id, v.embedding::text AS embedding
FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
JOIN imgsearch.space s ON s.state = 'active'
WHERE i.image_id = %(image_id)s AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)
