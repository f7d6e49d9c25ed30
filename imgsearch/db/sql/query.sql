-- name: vector_of
-- The stored vector of an image, and the space it belongs to.
SELECT s.space_id, v.embedding::text AS embedding
FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
JOIN imgsearch.space s ON s.state = 'active'
WHERE i.image_id = %(image_id)s AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)

-- name: combine
-- The normalised weighted sum of vectors of the searched space, and whether they cancel out.
SELECT s.space_id, l2_normalize(m.total)::text AS vector, l2_norm(m.total) < 0.01 AS zero
FROM imgsearch.space s CROSS JOIN LATERAL (
    SELECT sum(g.vector * array_fill(g.weight, ARRAY[s.dimension])::halfvec) AS total
    FROM unnest(%(vectors)s::halfvec[], %(weights)s::real[]) WITH ORDINALITY AS g (vector, weight, place)
) m
WHERE s.state = 'active'
