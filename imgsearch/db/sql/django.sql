-- name: first_picture
-- The first picture of a product that has a vector, and the vector.
SELECT i.image_id, s.space_id, v.embedding::text AS embedding FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
JOIN imgsearch.space s ON s.state = 'active'
WHERE i.tenant_id = %(tenant)s AND i.product_id = %(product)s ORDER BY i.position LIMIT 1

-- name: refilter
-- Change what searches filter on; the picture stays. Writes nothing where nothing changed, and returns whether it is there.
WITH given AS (
    SELECT %(tenant_id)s::text AS tenant_id, %(product_id)s::text AS product_id, %(position)s::integer AS position,
           %(category)s::text AS category, %(price)s::double precision AS price, %(in_stock)s::boolean AS in_stock,
           %(attributes)s::jsonb AS attributes
), written AS (
    UPDATE imgsearch.image i SET category = g.category, price = g.price, in_stock = g.in_stock, attributes = g.attributes
    FROM given g
    WHERE i.tenant_id = g.tenant_id AND i.product_id = g.product_id AND i.position = g.position
      AND (i.category, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (g.category, g.price, g.in_stock, g.attributes)
)
SELECT i.image_id FROM imgsearch.image i
JOIN given g ON i.tenant_id = g.tenant_id AND i.product_id = g.product_id AND i.position = g.position

-- name: candidates
-- The queryset's own filters, as Django compiled them.
SELECT k.key, k.tenant::text AS tenant FROM ({compiled}) k (key, tenant)

-- name: pictured_integer
-- A candidate found by the number in a picture's product_id.
c.key = CASE WHEN {key} ~ '^-?[0-9]+$' AND length({key}) < 19 THEN {key}::bigint END

-- name: pictured_uuid
-- A candidate found by the UUID in a picture's product_id.
c.key = CASE WHEN {key} ~ '^[0-9a-f]+-[0-9a-f-]+$' AND length({key}) = 36 THEN {key}::uuid END

-- name: pictured_text
-- A candidate found by the text in a picture's product_id.
c.key = {key}

-- name: pictures
-- The pictures of the candidates, as the statement behind every nearest() takes them, and whose they are. The join is
-- written both ways, so that a product finds its pictures, and a picture its product, through an index.
SELECT i.tenant_id, i.image_id, imgsearch_internal.bits_of(i) AS bits, c.key AS group0
FROM ({candidates}) c JOIN imgsearch.image i ON i.tenant_id = c.tenant AND {from_candidate} AND {from_image} AND {kept}

-- name: sampled
-- The same of the sampled pictures.
SELECT i.image_id, i.bits
FROM ({candidates}) c JOIN imgsearch.image_sample i ON i.tenant_id = c.tenant AND {from_candidate} AND {from_image} AND {kept}

-- name: ranked
-- The nearest of the candidates, each once with its nearest picture: what the search itself (found) returned, by the key
-- of the queryset's rows.
WITH found AS MATERIALIZED ({found})
SELECT {key} AS key, f.distance, f.image_id FROM found f

-- name: position_of
-- Which picture of its product an image is.
(SELECT i.position FROM imgsearch.image i WHERE i.image_id = {image_id})

-- name: uri_of
-- Where the bytes of an image are.
(SELECT i.uri FROM imgsearch.image i WHERE i.image_id = {image_id})

-- name: again
-- Queue pictures once more, whatever their state, for every space. A vector that is there answers until it is replaced.
INSERT INTO imgsearch.job AS j (tenant_id, image_id, space_id)
SELECT g.*, s.space_id FROM unnest(%(tenants)s::text[], %(images)s::bigint[]) g (tenant_id, image_id), imgsearch.space s WHERE s.kind = 'model'
ON CONFLICT (tenant_id, image_id, space_id) DO UPDATE
    SET state = 'pending', due = EXCLUDED.due, lease = NULL, token = NULL, attempts = 0, error_code = NULL, error = NULL

-- name: asked_before
-- The vector of a picture that somebody asked, by the digest of its bytes.
SELECT q.space_id, q.embedding::text AS embedding FROM imgsearch.query_vector q
JOIN imgsearch.space s ON s.space_id = q.space_id AND s.state = 'active'
WHERE q.tenant_id = coalesce(imgsearch.current_tenant(), '') AND q.kind = 'picture' AND q.key = %(key)s AND q.embedding IS NOT NULL
