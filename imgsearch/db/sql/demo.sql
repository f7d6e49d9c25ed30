-- name: have
-- What is uploaded already.
SELECT tenant_id, product_id, position FROM imgsearch.image

-- name: first
-- The first picture of a category and colour: something to ask for more of.
SELECT image_id FROM imgsearch.images
WHERE category = %(category)s AND attributes ->> 'colour' = %(colour)s
ORDER BY image_id LIMIT 1
