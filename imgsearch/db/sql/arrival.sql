-- name: policies
-- The shops of these that want to know of duplicates among what arrives.
SELECT s.tenant_id, s.duplicates FROM imgsearch.shop s WHERE s.tenant_id = ANY (%(tenants)s::text[]) AND s.duplicates <> 'keep'

-- name: alone
-- One of a shop's pictures at a time, so that of two that are equal one is the first.
SELECT pg_advisory_xact_lock(hashtextextended('imgsearch.duplicate ' || %(tenant)s::text, 0))

-- name: twin
-- The picture that a new one is certainly a duplicate of.
SELECT t.image_id, i.product_id, i.position
FROM imgsearch_internal.twin_of(%(tenant)s, %(image_id)s, %(sha256)s, %(pdq)s, %(quality)s) t
JOIN imgsearch.image i ON i.tenant_id = %(tenant)s AND i.image_id = t.image_id

-- name: link
-- Mark a picture as a duplicate of another, or of what that one is a duplicate of, unless that is too far, or only looks like it.
INSERT INTO imgsearch.duplicate (tenant_id, image_id, original, tier, distance, turn)
SELECT f.tenant_id, f.image_id, o.image_id, 'certain', near.distance, near.turn
FROM imgsearch.fingerprint f
JOIN imgsearch.fingerprint o ON o.tenant_id = f.tenant_id AND o.image_id = coalesce(
    (SELECT d.original FROM imgsearch.duplicate d WHERE d.tenant_id = f.tenant_id AND d.image_id = %(twin)s AND d.tier = 'certain'), %(twin)s),
LATERAL (SELECT bit_count(t.bits # f.pdq)::smallint AS distance, t.n::smallint AS turn
         FROM unnest(imgsearch_internal.turns(o.pdq, o.turned)) WITH ORDINALITY t (bits, n)
         WHERE f.sha256 = o.sha256 OR bit_count(t.bits # f.pdq) <= 45 AND imgsearch_internal.agree(o.tiles, f.tiles, t.n::integer)
         ORDER BY 1, 2 LIMIT 1) near
WHERE f.tenant_id = %(tenant)s AND f.image_id = %(image_id)s AND NOT imgsearch_internal.is_dismissed(f.tenant_id, f.image_id, o.image_id)
ON CONFLICT DO NOTHING
