-- name: image
-- What is stored beside pictures changes, the pictures do not: nothing is embedded again, and rows that are as asked
-- already are not written. `named`: which columns are given; of attributes `merged` are set and `unset` go.
-- Nothing is written where one of the pictures follows an attached table: its trigger would undo it.
WITH hit AS (
    SELECT i.image_id, i.product_id, i.attachment_id FROM imgsearch.image i
    WHERE i.tenant_id = %(tenant_id)s
      AND (%(product_id)s::text IS NULL OR i.product_id = %(product_id)s)
      AND (%(position)s::integer IS NULL OR i.position = %(position)s)
      AND (%(image_id)s::bigint IS NULL OR i.image_id = %(image_id)s)
), given AS (
    SELECT %(named)s::text[] AS named, %(category)s::text AS category, %(categories)s::text[] AS categories, %(price)s::double precision AS price,
           %(in_stock)s::boolean AS in_stock, %(merged)s::jsonb AS merged, %(unset)s::text[] AS unset
), changed AS (
    UPDATE imgsearch.image i
    SET category = CASE WHEN 'category' = ANY (g.named) THEN g.category ELSE i.category END,
        categories = CASE WHEN 'categories' = ANY (g.named) THEN g.categories ELSE i.categories END,
        price = CASE WHEN 'price' = ANY (g.named) THEN g.price ELSE i.price END,
        in_stock = CASE WHEN 'in_stock' = ANY (g.named) THEN g.in_stock ELSE i.in_stock END,
        attributes = (i.attributes || g.merged) - g.unset
    FROM given g, hit h
    WHERE i.tenant_id = %(tenant_id)s AND i.image_id = h.image_id
      AND NOT EXISTS (SELECT 1 FROM hit o WHERE o.attachment_id IS NOT NULL)
      AND ('category' = ANY (g.named) AND i.category IS DISTINCT FROM g.category
           OR 'categories' = ANY (g.named) AND i.categories IS DISTINCT FROM g.categories
           OR 'price' = ANY (g.named) AND i.price IS DISTINCT FROM g.price
           OR 'in_stock' = ANY (g.named) AND i.in_stock IS DISTINCT FROM g.in_stock
           OR (i.attributes || g.merged) - g.unset <> i.attributes)
    RETURNING i.image_id, octet_length(i.attributes::text) AS size
), written AS MATERIALIZED (
    SELECT h.image_id, h.product_id, c.image_id IS NOT NULL AS changed, coalesce(c.size, 0) AS size, h.attachment_id IS NOT NULL AS follows
    FROM hit h LEFT JOIN changed c USING (image_id)
), given_vector AS MATERIALIZED (
    SELECT w.*, CASE WHEN %(vector)s::real[] IS NULL OR w.follows AND cardinality(%(named)s::text[]) > 0 THEN false
        ELSE imgsearch_internal.give(%(space)s::text, ARRAY[%(tenant_id)s::text], ARRAY[w.image_id], ARRAY[NULL::text], ARRAY[NULL::integer], ARRAY[NULL::bytea], %(vector)s::real[]) <> '{{}}' END AS stored
    FROM written w
)
SELECT image_id, product_id, changed OR stored AS changed, size, follows FROM given_vector ORDER BY image_id

-- name: words
-- What a product that has pictures is called; the columns not `named` stay. No row where it is called that already.
INSERT INTO imgsearch.product AS p (tenant_id, product_id, title, words, codes)
SELECT %(tenant_id)s, %(product_id)s, %(title)s::text, %(words)s::text, coalesce(%(codes)s::text[], ARRAY[]::text[])
WHERE EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = %(tenant_id)s AND i.product_id = %(product_id)s)
ON CONFLICT (tenant_id, product_id) DO UPDATE
    SET title = CASE WHEN 'title' = ANY (%(named)s::text[]) THEN EXCLUDED.title ELSE p.title END,
        words = CASE WHEN 'words' = ANY (%(named)s::text[]) THEN EXCLUDED.words ELSE p.words END,
        codes = CASE WHEN 'codes' = ANY (%(named)s::text[]) THEN EXCLUDED.codes ELSE p.codes END
    WHERE 'title' = ANY (%(named)s::text[]) AND p.title IS DISTINCT FROM EXCLUDED.title
       OR 'words' = ANY (%(named)s::text[]) AND p.words IS DISTINCT FROM EXCLUDED.words
       OR 'codes' = ANY (%(named)s::text[]) AND p.codes IS DISTINCT FROM EXCLUDED.codes
RETURNING product_id

-- name: order
-- A product's pictures change places: those at the positions named come first, the others behind them as they stood.
-- The numbers stay what they were. Nothing where one of the pictures follows an attached table.
WITH here AS MATERIALIZED (
    SELECT i.image_id, i.position, i.attachment_id,
           row_number() OVER (ORDER BY array_position(%(positions)s::integer[], i.position), i.position) AS place,
           row_number() OVER (ORDER BY i.position) AS number
    FROM imgsearch.image i WHERE i.tenant_id = %(tenant_id)s AND i.product_id = %(product_id)s
), moved AS (
    UPDATE imgsearch.image i SET position = n.position
    FROM here h JOIN here n ON n.number = h.place
    WHERE i.tenant_id = %(tenant_id)s AND i.image_id = h.image_id AND i.position <> n.position
      AND NOT EXISTS (SELECT 1 FROM here o WHERE o.attachment_id IS NOT NULL)
      AND %(positions)s::integer[] <@ ARRAY(SELECT o.position FROM here o)
    RETURNING i.image_id
)
SELECT h.image_id, h.position, h.attachment_id IS NOT NULL AS follows, m.image_id IS NOT NULL AS changed
FROM here h LEFT JOIN moved m USING (image_id) ORDER BY h.image_id
