-- name: browse
-- The newest products that match, when nothing was asked, with a few more of their pictures.
SELECT i.image_id, i.product_id, i.tenant_id, i.category, i.price, i.in_stock, i.attributes, i.sha256, w.title AS product_title, n.pictures, n.others, n.digests
FROM imgsearch.browse(imgsearch.filters_of(%(filters)s::jsonb), %(k)s, %(before)s, %(per)s) WITH ORDINALITY AS b (image_id, place)
JOIN imgsearch.image i ON i.image_id = b.image_id AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)
LEFT JOIN imgsearch.product w ON w.tenant_id = i.tenant_id AND w.product_id = i.product_id
CROSS JOIN LATERAL (
    SELECT count(*)::integer + 1 AS pictures, (array_agg(x.image_id ORDER BY x.position, x.image_id))[1:4] AS others,
           (array_agg(x.sha256 ORDER BY x.position, x.image_id))[1:4] AS digests
    FROM imgsearch.image x JOIN imgsearch.vectors v ON v.tenant_id = x.tenant_id AND v.image_id = x.image_id
    WHERE x.tenant_id = i.tenant_id AND x.product_id = i.product_id AND x.image_id <> i.image_id) n
ORDER BY b.place

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
