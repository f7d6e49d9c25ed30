-- name: pin
-- A product that stands first.
SELECT imgsearch.pin(%(tenant)s, %(product_id)s, %(query)s, %(category)s, %(place)s)

-- name: hide
-- A product that is not shown.
SELECT imgsearch.hide(%(tenant)s, %(product_id)s, %(query)s, %(category)s)

-- name: unpin
-- What was pinned or hidden, taken back.
SELECT imgsearch.unpin(%(tenant)s, %(product_id)s, %(query)s, %(category)s)

-- name: all
-- What is pinned and hidden, by what it is for.
SELECT tenant_id, query, category, product_id, place, created_at FROM imgsearch.merchandise
WHERE %(tenant)s::text IS NULL OR tenant_id = %(tenant)s ORDER BY tenant_id, query, category, place NULLS LAST, product_id
