-- name: schema_of
-- The schema of a table as this transaction finds it; null for the usual one, and where there is no such table.
SELECT nullif(n.nspname, 'public') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%(table)s)

-- name: stands
-- Where the images of some rows stand, and which other rows have images at the place where these belong.
SELECT g.source, i.tenant_id, i.product_id, s.file, ARRAY(
    SELECT o.source FROM imgsearch.image p
    JOIN imgsearch.picture_source o ON o.tenant_id = p.tenant_id AND o.image_id = p.image_id
    WHERE p.tenant_id = g.tenant_id AND p.product_id = g.product_id AND o.source <> g.source) AS others
FROM unnest(%(sources)s::text[], %(tenants)s::text[], %(products)s::text[]) AS g (source, tenant_id, product_id)
LEFT JOIN imgsearch.picture_source s ON s.source = g.source
LEFT JOIN imgsearch.image i ON i.tenant_id = s.tenant_id AND i.image_id = s.image_id

-- name: copy
-- The images of a row at the place where they belong now; what stands there already stays. Their bytes are in the store.
INSERT INTO imgsearch.image AS i (tenant_id, product_id, position, category, categories, price, in_stock, attributes,
                                  uri, sha256)
SELECT %(tenant)s, %(product)s, coalesce(%(position)s::integer, o.position), o.category, o.categories, o.price,
       o.in_stock, o.attributes, o.uri, o.sha256
FROM imgsearch.image o
WHERE o.tenant_id = %(old_tenant)s AND o.product_id = %(old_product)s AND o.attachment_id IS NULL
  AND (%(image_id)s::bigint IS NULL OR o.image_id = %(image_id)s) AND NOT EXISTS (
    SELECT 1 FROM imgsearch.picture_source s
    WHERE s.tenant_id = o.tenant_id AND s.image_id = o.image_id AND s.source <> %(source)s)
ON CONFLICT (tenant_id, product_id, position) DO NOTHING
RETURNING i.image_id

-- name: copy_words
-- What the product is called goes along.
INSERT INTO imgsearch.product (tenant_id, product_id, title, words, codes)
SELECT %(tenant)s, %(product)s, p.title, p.words, p.codes FROM imgsearch.product p
WHERE p.tenant_id = %(old_tenant)s AND p.product_id = %(old_product)s
ON CONFLICT (tenant_id, product_id) DO NOTHING

-- name: withdraw
-- Delete the images of a row at a place, or the one at a position: not those of other rows, nor of attached tables.
DELETE FROM imgsearch.image i
WHERE i.tenant_id = %(tenant)s AND i.product_id = %(product)s AND i.attachment_id IS NULL
  AND (%(position)s::integer IS NULL OR i.position = %(position)s) AND NOT EXISTS (
    SELECT 1 FROM imgsearch.picture_source s
    WHERE s.tenant_id = i.tenant_id AND s.image_id = i.image_id AND s.source <> %(source)s)
RETURNING i.image_id

-- name: anchor
-- Remember that the images at a place are this row's: by the first of them that is no other row's.
INSERT INTO imgsearch.picture_source AS s (source, tenant_id, image_id, file)
SELECT %(source)s, i.tenant_id, i.image_id, %(file)s FROM imgsearch.image i
WHERE i.tenant_id = %(tenant)s AND i.product_id = %(product)s AND i.attachment_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM imgsearch.picture_source o
    WHERE o.tenant_id = i.tenant_id AND o.image_id = i.image_id AND o.source <> %(source)s)
ORDER BY i.position LIMIT 1
ON CONFLICT (source) DO UPDATE
    SET tenant_id = EXCLUDED.tenant_id, image_id = EXCLUDED.image_id, file = EXCLUDED.file
    WHERE (s.tenant_id, s.image_id, s.file) IS DISTINCT FROM (EXCLUDED.tenant_id, EXCLUDED.image_id, EXCLUDED.file)

-- name: forget
-- Rows of a model that is no longer there: their images are whoever's row stands at that place.
DELETE FROM imgsearch.picture_source WHERE source = ANY (%(sources)s::text[])

-- name: of_kind
-- The rows of a model that have images, in parts: those behind the one that was last.
SELECT s.source FROM imgsearch.picture_source s JOIN imgsearch.image i USING (tenant_id, image_id)
WHERE starts_with(s.source, %(kind)s) AND s.source > %(after)s AND i.attachment_id IS NULL
ORDER BY s.source LIMIT %(most)s

-- name: withdraw_sources
-- Delete the images of rows that are gone; `whole`: with what else was added to their products by hand.
DELETE FROM imgsearch.image i
USING imgsearch.picture_source s, imgsearch.image x
WHERE s.source = ANY (%(sources)s::text[]) AND x.tenant_id = s.tenant_id AND x.image_id = s.image_id
  AND i.tenant_id = x.tenant_id AND i.product_id = x.product_id AND i.attachment_id IS NULL
  AND (i.image_id = x.image_id OR %(whole)s AND NOT EXISTS (
    SELECT 1 FROM imgsearch.picture_source o
    WHERE o.tenant_id = i.tenant_id AND o.image_id = i.image_id))
RETURNING i.image_id

-- name: is_copied
-- Whether the rows of an attached table that were there before are all copied.
SELECT EXISTS (SELECT 1 FROM imgsearch.attachment a
               WHERE a.relation = to_regclass(%(table)s) AND a.backfilled_at IS NOT NULL)
