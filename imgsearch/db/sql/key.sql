-- name: create
-- A new key; its secret was never here.
INSERT INTO imgsearch.api_key (handle, tenant_id, scope, name, digest)
VALUES (%(handle)s, %(tenant_id)s, %(scope)s, %(name)s, %(digest)s)

-- name: find
-- The working key with this handle.
SELECT tenant_id, scope, name, digest FROM imgsearch_internal.find_api_key(%(handle)s)

-- name: all
-- Every key, the newest last.
SELECT handle, tenant_id, scope, name, created_at, revoked_at FROM imgsearch.api_key
WHERE %(tenant)s::text IS NULL OR tenant_id = %(tenant)s ORDER BY created_at, handle

-- name: revoke
-- A key that stops working now.
UPDATE imgsearch.api_key SET revoked_at = coalesce(revoked_at, now()) WHERE handle = %(handle)s RETURNING handle
