-- name: add
-- One picture of a product: new, replaced, changed in its filters only, or unchanged (then nothing is written).
WITH given AS (
    SELECT %(tenant_id)s::text AS tenant_id, %(product_id)s::text AS product_id, %(position)s::integer AS position,
           %(uri)s::text AS uri, %(sha256)s::bytea AS sha256, %(category)s::text AS category, %(categories)s::text[] AS categories,
           %(price)s::double precision AS price, %(in_stock)s::boolean AS in_stock, %(attributes)s::jsonb AS attributes,
           %(title)s::text AS title, %(words)s::text AS words, %(codes)s::text[] AS codes
), once AS MATERIALIZED (
    SELECT imgsearch_internal.refuse_twin(%(tenant_id)s::text, %(product_id)s::text, %(position)s::integer, %(sha256)s::bytea) AS checked
), called AS (
    -- The product's words, where some are given: what is not given stays as it is.
    INSERT INTO imgsearch.product AS p (tenant_id, product_id, title, words, codes)
    SELECT tenant_id, product_id, title, words, coalesce(codes, ARRAY[]::text[]) FROM given WHERE coalesce(title, words, codes::text) IS NOT NULL
    ON CONFLICT (tenant_id, product_id) DO UPDATE
        SET title = CASE WHEN %(title)s::text IS NULL THEN p.title ELSE EXCLUDED.title END,
            words = CASE WHEN %(words)s::text IS NULL THEN p.words ELSE EXCLUDED.words END,
            codes = CASE WHEN %(codes)s::text[] IS NULL THEN p.codes ELSE EXCLUDED.codes END
        WHERE %(title)s::text IS NOT NULL AND p.title IS DISTINCT FROM EXCLUDED.title
           OR %(words)s::text IS NOT NULL AND p.words IS DISTINCT FROM EXCLUDED.words
           OR %(codes)s::text[] IS NOT NULL AND p.codes IS DISTINCT FROM EXCLUDED.codes
    RETURNING 1 AS one
), before AS (
    SELECT i.image_id, i.uri, i.sha256 FROM imgsearch.image i
    JOIN given g ON i.tenant_id = g.tenant_id AND i.product_id = g.product_id AND i.position = g.position
), written AS (
    INSERT INTO imgsearch.image AS i (tenant_id, product_id, position, uri, sha256, category, categories, price, in_stock, attributes)
    SELECT tenant_id, product_id, position, uri, sha256, category, categories, price, in_stock, attributes FROM given
    ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET uri = EXCLUDED.uri, category = EXCLUDED.category, categories = EXCLUDED.categories, price = EXCLUDED.price,
            sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN coalesce(EXCLUDED.sha256, i.sha256) ELSE EXCLUDED.sha256 END,
            in_stock = EXCLUDED.in_stock, attributes = EXCLUDED.attributes
        WHERE (i.uri, i.category, i.categories, i.price, i.in_stock, i.attributes)
            IS DISTINCT FROM (EXCLUDED.uri, EXCLUDED.category, EXCLUDED.categories, EXCLUDED.price, EXCLUDED.in_stock, EXCLUDED.attributes)
    RETURNING i.image_id, i.uri
), found AS (
    SELECT coalesce(w.image_id, b.image_id) AS image_id,
           CASE WHEN b.image_id IS NULL THEN 'added' WHEN w.image_id IS NULL AND NOT EXISTS (SELECT 1 FROM called) THEN 'unchanged'
                WHEN w.uri <> b.uri AND NOT imgsearch_internal.is_named_alike(b.uri, w.uri) THEN 'replaced' ELSE 'changed' END AS outcome
    FROM once one LEFT JOIN written w ON true LEFT JOIN before b ON true
), given_vector AS MATERIALIZED (
    -- A vector that came along: the function sees the row that has just been written, and where it refuses nothing is.
    SELECT f.*, CASE WHEN %(vector)s::real[] IS NULL THEN false
        ELSE imgsearch_internal.give(%(space)s::text, ARRAY[%(tenant_id)s::text], ARRAY[f.image_id], ARRAY[NULL::text], ARRAY[NULL::integer], ARRAY[NULL::bytea], %(vector)s::real[]) <> '{{}}' END AS stored
    FROM found f
)
SELECT g.image_id, CASE WHEN g.stored AND g.outcome = 'unchanged' THEN 'changed' ELSE g.outcome END AS outcome,
       g.outcome IN ('added', 'replaced') AND (NOT EXISTS (SELECT 1 FROM imgsearch.space) OR EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.kind = 'model')) AS waits
FROM given_vector g

-- name: give_vectors
-- Vectors for pictures that are here, behind one another in one array.
SELECT cardinality(imgsearch_internal.give(%(space)s::text, %(tenants)s::text[], %(image_ids)s::bigint[], %(product_ids)s::text[],
    %(positions)s::integer[], %(sha256s)s::bytea[], %(reals)s::real[]))

-- name: remove
-- Delete pictures of a product (or one position, or one image): vector, bits and job go with the row.
DELETE FROM imgsearch.image
WHERE tenant_id = %(tenant_id)s
  AND (%(product_id)s::text IS NULL OR product_id = %(product_id)s)
  AND (%(position)s::integer IS NULL OR position = %(position)s)
  AND (%(image_id)s::bigint IS NULL OR image_id = %(image_id)s)
RETURNING image_id, uri, sha256

-- name: used
-- Which of these digests some picture still uses. A row inserted by hand may name an address of the store whose digest
-- no worker has filled in yet: until then it has a job.
SELECT DISTINCT sha256 FROM imgsearch.image WHERE sha256 = ANY(%(digests)s)
UNION
SELECT decode(right(i.uri, 64), 'hex') FROM imgsearch.job j
JOIN imgsearch.image i ON i.tenant_id = j.tenant_id AND i.image_id = j.image_id
WHERE i.sha256 IS NULL AND i.uri = ANY(%(uris)s)

-- name: owner
-- This database as the picture store knows it.
SELECT imgsearch_internal.database_id() AS id, current_database() AS database, coalesce(host(inet_server_addr()), '') AS server

-- name: stores_pictures
-- Whether bytes of some picture are in the store.
SELECT EXISTS (SELECT 1 FROM imgsearch.image i WHERE starts_with(i.uri, 'store:'))

-- name: is_tenant_restricted
-- Whether this role sees one tenant at a time.
SELECT imgsearch.is_tenant_restricted()

-- name: forget_pictures
-- Delete some of a tenant's pictures: vectors, bits, jobs and questions by the same picture go with the row.
DELETE FROM imgsearch.image i
USING (SELECT tenant_id, image_id FROM imgsearch.image WHERE tenant_id = %(tenant_id)s LIMIT %(most)s) x
WHERE i.tenant_id = x.tenant_id AND i.image_id = x.image_id
RETURNING i.sha256

-- name: tables_of_tenants
-- Every table that holds rows of a tenant, so that one added by a later version is not forgotten to forget.
SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
-- What a trigger writes when another table's rows go comes behind that one.
ORDER BY c.relname = 'image', c.relname = 'vocabulary', c.relname

-- name: forget_rows
-- Delete a tenant's rows of one table.
DELETE FROM {table} WHERE tenant_id = %(tenant_id)s
