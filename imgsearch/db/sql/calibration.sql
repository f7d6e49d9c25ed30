-- name: distances
-- How far from a question the judged lie: an image, a picture of a product by its place, or a product by its nearest.
SELECT g.place, min(imgsearch_internal.apart(v.embedding, %(vector)s)) AS distance
FROM unnest(%(image_ids)s::bigint[], %(product_ids)s::text[], %(positions)s::integer[]) WITH ORDINALITY AS g (image_id, product_id, position, place)
LEFT JOIN imgsearch.image i ON (i.image_id = g.image_id OR i.product_id = g.product_id AND i.position = coalesce(g.position, i.position))
    AND i.tenant_id = coalesce(%(tenant)s::text, i.tenant_id)
LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
GROUP BY g.place ORDER BY g.place

-- name: current
-- What is used today.
SELECT c.kind, c.tenant_id, c.scale, c.bias, c.cosines, c.matches, c.judged, c.error
FROM imgsearch_internal.calibration_of(%(kind)s, %(tenant)s) c WHERE c.kind IS NOT NULL

-- name: store
-- Put a fitted curve in the place of what is used.
INSERT INTO imgsearch.calibration (space_id, kind, tenant_id, scale, bias, cosines, matches, judged, error)
VALUES (%(space_id)s, %(kind)s, %(tenant)s, %(scale)s, %(bias)s, %(cosines)s, %(matches)s, %(judged)s, %(error)s)
ON CONFLICT (space_id, kind, tenant_id) DO UPDATE
SET scale = EXCLUDED.scale, bias = EXCLUDED.bias, cosines = EXCLUDED.cosines, matches = EXCLUDED.matches,
    judged = EXCLUDED.judged, error = EXCLUDED.error, made_at = EXCLUDED.made_at

-- name: forget
-- Back to what is used where nothing was fitted; a model's own figures come back with the next worker.
DELETE FROM imgsearch.calibration c USING imgsearch.space s
WHERE s.space_id = c.space_id AND s.state = 'active' AND c.kind = %(kind)s AND c.tenant_id = %(tenant)s AND c.judged > 0
RETURNING c.judged
