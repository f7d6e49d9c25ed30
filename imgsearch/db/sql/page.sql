-- name: product_pictures
-- The searchable pictures of a product in its own order, the first k of them and the one asked for.
SELECT p.image_id, p.sha256, p.place, p.count, w.title AS product_title FROM (
    SELECT i.image_id, i.sha256, row_number() OVER (ORDER BY i.position, i.image_id) AS place, count(*) OVER () AS count
    FROM imgsearch.image i
    JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
    WHERE i.tenant_id = %(tenant)s AND i.product_id = %(product)s
) p
LEFT JOIN imgsearch.product w ON w.tenant_id = %(tenant)s AND w.product_id = %(product)s
WHERE p.place <= %(k)s OR p.image_id = %(image)s ORDER BY p.place

-- name: titles
-- What products are called.
SELECT p.tenant_id, p.product_id, p.title FROM imgsearch.product p
WHERE p.product_id = ANY(%(products)s) AND (%(tenant)s::text IS NULL OR p.tenant_id = %(tenant)s)

-- name: first_pictures
-- The first searchable picture of each of some products.
SELECT DISTINCT ON (i.product_id) i.product_id, i.tenant_id, i.sha256 FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE i.product_id = ANY(%(products)s) AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)
ORDER BY i.product_id, i.position, i.image_id

-- name: has_parts
-- Whether any picture has parts that a search may look at.
SELECT EXISTS (SELECT 1 FROM imgsearch.regions WHERE %(tenant)s::text IS NULL OR tenant_id = %(tenant)s) AS found;
