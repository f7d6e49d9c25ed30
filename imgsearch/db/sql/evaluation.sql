-- name: product_places
-- Where the judged products stand in the exact order of one space, and the best of it: product, place from 1, distance.
WITH nearest AS (
    SELECT i.product_id, min(imgsearch_internal.apart(e.embedding, %(vector)s)) AS distance
    FROM {embedding} e JOIN imgsearch.image i ON i.tenant_id = e.tenant_id AND i.image_id = e.image_id AND i.sha256 = e.sha256
    WHERE i.tenant_id = coalesce(%(tenant)s::text, i.tenant_id) AND i.product_id <> ALL (%(left_out)s::text[])
    GROUP BY i.tenant_id, i.product_id
), ranked AS (
    SELECT n.*, row_number() OVER (ORDER BY n.distance, n.product_id) AS place FROM nearest n
)
SELECT r.product_id AS name, r.place, r.distance FROM ranked r
WHERE r.place <= %(depth)s OR r.product_id = ANY (%(judged)s::text[]) ORDER BY r.place

-- name: image_places
-- The same of images.
WITH nearest AS (
    SELECT i.image_id, imgsearch_internal.apart(e.embedding, %(vector)s) AS distance
    FROM {embedding} e JOIN imgsearch.image i ON i.tenant_id = e.tenant_id AND i.image_id = e.image_id AND i.sha256 = e.sha256
    WHERE i.tenant_id = coalesce(%(tenant)s::text, i.tenant_id) AND i.image_id::text <> ALL (%(left_out)s::text[])
), ranked AS (
    SELECT n.*, row_number() OVER (ORDER BY n.distance, n.image_id) AS place FROM nearest n
)
SELECT r.image_id::text AS name, r.place, r.distance FROM ranked r
WHERE r.place <= %(depth)s OR r.image_id::text = ANY (%(judged)s::text[]) ORDER BY r.place

-- name: product_of
-- Which product an image shows.
SELECT i.product_id FROM imgsearch.image i WHERE i.image_id = %(image_id)s

-- name: missing_products
-- Which of the judged products have no vector in a space, and whether several tenants have one of them.
SELECT w.product_id AS name, count(DISTINCT i.tenant_id) AS tenants
FROM unnest(%(judged)s::text[]) AS w (product_id)
LEFT JOIN (imgsearch.image i JOIN {embedding} e ON i.tenant_id = e.tenant_id AND i.image_id = e.image_id AND i.sha256 = e.sha256)
    ON i.product_id = w.product_id AND i.tenant_id = coalesce(%(tenant)s::text, i.tenant_id)
GROUP BY w.product_id HAVING count(DISTINCT i.tenant_id) <> 1 ORDER BY w.product_id

-- name: missing_images
-- Which of the judged images have no vector in a space.
SELECT w.image_id AS name, 0 AS tenants
FROM unnest(%(judged)s::text[]) AS w (image_id)
WHERE NOT EXISTS (SELECT 1 FROM {embedding} e JOIN imgsearch.image i ON i.tenant_id = e.tenant_id AND i.image_id = e.image_id AND i.sha256 = e.sha256
                  WHERE i.image_id::text = w.image_id AND i.tenant_id = coalesce(%(tenant)s::text, i.tenant_id))
ORDER BY w.image_id

-- name: common_images
-- Pictures that have a vector in both spaces, drawn by the digest of their id and a seed: the same each time. One per product.
SELECT d.image_id FROM (
    SELECT DISTINCT ON (i.tenant_id, i.product_id) i.image_id, md5(i.image_id::text || ':' || %(seed)s::text) AS drawn
    FROM imgsearch.image i
    JOIN {embedding} e ON i.tenant_id = e.tenant_id AND i.image_id = e.image_id AND i.sha256 = e.sha256
    JOIN {other} o ON i.tenant_id = o.tenant_id AND i.image_id = o.image_id AND i.sha256 = o.sha256
    WHERE i.tenant_id = coalesce(%(tenant)s::text, i.tenant_id)
    ORDER BY i.tenant_id, i.product_id, drawn) d
ORDER BY d.drawn LIMIT %(many)s
