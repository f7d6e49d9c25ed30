-- name: first_picture
-- The first picture of a product that has a vector, and the vector.
SELECT i.image_id, s.space_id, v.embedding::text AS embedding FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
JOIN imgsearch.space s ON s.state = 'active'
WHERE i.tenant_id = %(tenant)s AND i.product_id = %(product)s ORDER BY i.position LIMIT 1

-- name: first_of_sources
-- The first of some rows of a table of pictures that has a vector, and the vector.
SELECT i.image_id, s.space_id, v.embedding::text AS embedding
FROM unnest(%(sources)s::text[]) WITH ORDINALITY AS x (source, place)
JOIN imgsearch.picture_source p ON p.source = x.source
JOIN imgsearch.image i ON i.tenant_id = p.tenant_id AND i.image_id = p.image_id
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
JOIN imgsearch.space s ON s.state = 'active'
ORDER BY x.place LIMIT 1

-- name: refilter
-- Change what searches filter on, of all pictures of some products; the pictures stay. What is not given stays too, as does
-- what follows an attached table. Nothing is written where nothing changed. Returns for each product how many were, and the
-- address of its first.
WITH given AS (
    SELECT l.line, g.* FROM jsonb_array_elements(%(rows)s::jsonb) AS l (line), jsonb_to_record(l.line)
        AS g (tenant_id text, product_id text, category text, categories text[], price double precision, in_stock boolean, attributes jsonb, attributes_named text[])
), now AS (
    SELECT i.tenant_id, i.image_id, CASE WHEN g.line ? 'category' THEN g.category ELSE i.category END AS category,
           CASE WHEN g.line ? 'categories' THEN g.categories ELSE i.categories END AS categories,
           CASE WHEN g.line ? 'price' THEN g.price ELSE i.price END AS price,
           CASE WHEN g.line ? 'in_stock' THEN g.in_stock ELSE i.in_stock END AS in_stock,
           (i.attributes - g.attributes_named) || g.attributes AS attributes
    FROM given g JOIN imgsearch.image i ON i.tenant_id = g.tenant_id AND i.product_id = g.product_id AND i.attachment_id IS NULL
), written AS (
    UPDATE imgsearch.image i SET category = n.category, categories = n.categories, price = n.price, in_stock = n.in_stock, attributes = n.attributes
    FROM now n
    WHERE i.tenant_id = n.tenant_id AND i.image_id = n.image_id
      AND (i.category, i.categories, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (n.category, n.categories, n.price, n.in_stock, n.attributes)
    RETURNING i.tenant_id, i.product_id
)
SELECT g.tenant_id, g.product_id, coalesce(w.changed, 0) AS changed,
       (SELECT i.uri FROM imgsearch.image i WHERE i.tenant_id = g.tenant_id AND i.product_id = g.product_id AND i.position = 0) AS uri
FROM given g LEFT JOIN (SELECT tenant_id, product_id, count(*) AS changed FROM written GROUP BY 1, 2) w USING (tenant_id, product_id)

-- name: attached
-- The name that a table is attached by, where it is.
SELECT a.name FROM imgsearch.attachment a WHERE a.relation = to_regclass(%(table)s) AND a.attached_at IS NOT NULL

-- name: bases
-- Where the pictures of attached tables are read from.
SELECT a.name, a.mapping ->> 'base' AS base FROM imgsearch.attachment a WHERE a.attached_at IS NOT NULL ORDER BY 1

-- name: candidates
-- The queryset's own filters, as Django compiled them.
SELECT k.key, k.tenant::text AS tenant FROM ({compiled}) k (key, tenant)

-- name: candidates_of_others
-- The same where a row without pictures is found by those of another.
SELECT CASE WHEN k.other IS NOT NULL AND {has_none} THEN k.other ELSE k.key END AS key, k.tenant::text AS tenant
FROM ({compiled}) k (key, tenant, other)

-- name: has_none
-- Whether a row has no pictures of its own.
NOT EXISTS (SELECT 1 FROM imgsearch.image o WHERE o.product_id = normalize({prefix} || {key}::text))

-- name: same
-- The row that was found.
{found} = {key}

-- name: same_or_other
-- The same where a row without pictures is found by those of another.
{found} = {key} OR {found} = {other} AND {has_none}

-- name: same_part
-- One column of a composite key.
{column} = imgsearch_internal.key_part({found}, {place})::{kind}

-- name: pictured_integer
-- A candidate found by the number in a picture's product_id.
c.key = CASE WHEN {key} ~ '^-?[0-9]+$' AND length({key}) < 19 THEN {key}::bigint END

-- name: pictured_uuid
-- A candidate found by the UUID in a picture's product_id.
c.key = CASE WHEN {key} ~ '^[0-9a-f]+-[0-9a-f-]+$' AND length({key}) = 36 THEN {key}::uuid END

-- name: pictured_text
-- A candidate found by the text in a picture's product_id, which is kept composed.
c.key IN ({key}, pg_catalog.normalize({key}, 'NFD'))

-- name: pictures
-- The pictures of the candidates, as the statement behind every nearest() takes them, and whose they are. The join is
-- written both ways, so that a product finds its pictures, and a picture its product, through an index.
SELECT i.tenant_id, i.image_id, imgsearch_internal.bits_of(i) AS bits, c.key AS group0
FROM ({candidates}) c JOIN imgsearch.image i
  ON i.tenant_id = normalize(c.tenant) AND {from_candidate} AND {from_image} AND {kept}

-- name: sampled
-- The same of the sampled pictures.
SELECT i.image_id, i.bits
FROM ({candidates}) c JOIN imgsearch.image_sample i
  ON i.tenant_id = normalize(c.tenant) AND {from_candidate} AND {from_image} AND {kept}

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

-- name: marked
-- Of these pictures, those that are marked as certainly the same as another one.
{kept} AND EXISTS (SELECT 1 FROM imgsearch.duplicate d WHERE d.tenant_id = i.tenant_id AND d.image_id = i.image_id AND d.tier = 'certain')

-- name: unmarked
-- All others.
{kept} AND NOT EXISTS (SELECT 1 FROM imgsearch.duplicate d WHERE d.tenant_id = i.tenant_id AND d.image_id = i.image_id AND d.tier = 'certain')

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
