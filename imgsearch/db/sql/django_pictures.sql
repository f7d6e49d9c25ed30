-- name: unread
-- A picture whose file could not be read: its place, without bytes. What was there before is no picture of it any more.
INSERT INTO imgsearch.image AS i (tenant_id, product_id, position, uri, in_stock)
VALUES (%(tenant)s, %(product)s, %(position)s, %(uri)s, false)
ON CONFLICT (tenant_id, product_id, position) DO UPDATE SET uri = EXCLUDED.uri, sha256 = NULL
RETURNING i.image_id

-- name: set_aside
-- Why.
SELECT imgsearch_internal.set_aside(%(tenant)s, %(image_id)s::bigint, %(code)s, %(error)s)

-- name: source
-- The image that a row of a table of pictures is, and whose.
SELECT s.tenant_id, s.image_id, s.file, i.product_id, i.position, i.uri
FROM imgsearch.picture_source s JOIN imgsearch.image i ON i.tenant_id = s.tenant_id AND i.image_id = s.image_id
WHERE s.source = %(source)s

-- name: products_of
-- The products that rows of a table of pictures stand at.
SELECT s.source, i.tenant_id, i.product_id
FROM imgsearch.picture_source s JOIN imgsearch.image i ON i.tenant_id = s.tenant_id AND i.image_id = s.image_id
WHERE s.source = ANY (%(sources)s::text[])

-- name: remember
-- Which row an image is.
INSERT INTO imgsearch.picture_source AS s (source, tenant_id, image_id, file)
VALUES (%(source)s, %(tenant)s, %(image_id)s, %(file)s)
ON CONFLICT (source) DO UPDATE SET tenant_id = EXCLUDED.tenant_id, image_id = EXCLUDED.image_id, file = EXCLUDED.file

-- name: forget
-- Remove the image of a row.
DELETE FROM imgsearch.image i USING imgsearch.picture_source s
WHERE s.source = %(source)s AND i.tenant_id = s.tenant_id AND i.image_id = s.image_id

-- name: lock
-- One at a time changes the places of a product's pictures, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || %(product)s, 8061))

-- name: places
-- The pictures of a product, as they stand.
SELECT i.image_id, i.position, s.source
FROM imgsearch.image i LEFT JOIN imgsearch.picture_source s ON s.tenant_id = i.tenant_id AND s.image_id = i.image_id
WHERE i.tenant_id = %(tenant)s AND i.product_id = %(product)s ORDER BY i.position

-- name: lift
-- Move pictures out of each other's way: two may not stand in one place even for a moment.
UPDATE imgsearch.image i SET position = -1 - m.place
FROM unnest(%(images)s::bigint[], %(places)s::integer[]) m (image_id, place)
WHERE i.tenant_id = %(tenant)s AND i.image_id = m.image_id

-- name: settle
-- Move them where they belong.
UPDATE imgsearch.image i SET position = -1 - i.position
WHERE i.tenant_id = %(tenant)s AND i.image_id = ANY (%(images)s::bigint[]) AND i.position < 0
