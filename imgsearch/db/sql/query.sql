-- name: vector_of
-- The stored vector of an image, and the space it belongs to.
SELECT s.space_id, v.embedding::text AS embedding
FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
JOIN imgsearch.space s ON s.state = 'active'
WHERE i.image_id = %(image_id)s AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)

-- name: digest_of
-- The digest of a stored picture's bytes.
SELECT i.sha256 FROM imgsearch.image i WHERE i.image_id = %(image_id)s AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s) AND i.sha256 IS NOT NULL

-- name: vectors_of_product
-- The mean of a product's pictures in the searched space, for each tenant that has a product of this id.
SELECT s.space_id, p.tenant_id, p.embedding::text AS embedding
FROM imgsearch_internal.vectors_of_product(%(product_id)s, %(tenant)s) p, imgsearch.space s WHERE s.state = 'active'

-- name: vector_in
-- The stored vector of an image in a space that is named.
SELECT %(space)s::integer AS space_id, v.embedding::text AS embedding
FROM imgsearch_internal.vectors_elsewhere(%(space)s::text, %(image_id)s, NULL, %(tenant)s) v

-- name: vectors_of_product_in
-- The mean of a product's pictures in a space that is named, for each tenant that has a product of this id.
SELECT %(space)s::integer AS space_id, v.tenant_id, v.embedding::text AS embedding
FROM imgsearch_internal.vectors_elsewhere(%(space)s::text, NULL, %(product_id)s, %(tenant)s) v

-- name: space
-- The number of a space that can be searched: asked before anybody waits for its model.
SELECT coalesce(imgsearch_internal.elsewhere(%(name)s), imgsearch_internal.searched_space()) AS space_id

-- name: combine
-- The vector of weighted examples in their space; null where those to be near to cancel out, no row where it is gone.
SELECT s.space_id, imgsearch_internal.combined(imgsearch_internal.as_vectors(%(vectors)s), %(weights)s::double precision[])::text AS vector
FROM imgsearch.space s
WHERE s.space_id = %(space)s
