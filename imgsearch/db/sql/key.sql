-- name: create
-- A new key; its secret was never here.
INSERT INTO imgsearch.api_key (handle, tenant_id, scope, name, digest, expires_at, filters)
VALUES (%(handle)s, %(tenant_id)s, %(scope)s, %(name)s, %(digest)s, %(expires_at)s, %(filters)s::jsonb)

-- name: check
-- The key with this handle and secret, and when it expired if it did.
SELECT tenant_id, scope, name, filters, expired_at FROM imgsearch_internal.check_api_key(%(handle)s, %(digest)s)

-- name: all
-- Every key, the newest last.
SELECT handle, tenant_id, scope, name, filters, created_at, expires_at, revoked_at, replaced_by, last_used_at,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired'
            WHEN replaced_by IS NOT NULL THEN 'replaced' ELSE 'active' END AS state
FROM imgsearch.api_key
WHERE (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s) AND (%(handle)s::text IS NULL OR handle = %(handle)s)
ORDER BY created_at, handle

-- name: rotate
-- A new key in the place of one that works: the old one expires when the grace is over; unless it is said otherwise,
-- the new one lives as long as the old one was to. No row where the old one does not work, or was replaced before.
WITH old AS (
    UPDATE imgsearch.api_key k
    SET replaced_by = %(new_handle)s, expires_at = least(k.expires_at, now() + %(grace)s::interval)
    FROM (SELECT handle, expires_at - created_at AS life FROM imgsearch.api_key WHERE handle = %(handle)s FOR UPDATE) o
    WHERE k.handle = o.handle AND k.replaced_by IS NULL
      AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
    RETURNING k.tenant_id, k.scope, k.name, k.filters, o.life
)
INSERT INTO imgsearch.api_key (handle, tenant_id, scope, name, filters, digest, expires_at)
SELECT %(new_handle)s, tenant_id, scope, name, filters, %(digest)s, coalesce(%(expires_at)s::timestamptz, now() + life) FROM old
RETURNING handle

-- name: revoke
-- A key that stops working now.
UPDATE imgsearch.api_key SET revoked_at = coalesce(revoked_at, now()) WHERE handle = %(handle)s RETURNING handle

-- name: note_use
-- A key was used, perhaps through a browser's session.
SELECT imgsearch_internal.note_key_use(%(handle)s, %(session)s)


-- name: try_filters
-- Refuses filters that no search could keep within; answers nothing.
SELECT imgsearch_internal.filter_sql(imgsearch.filters_of(%(filters)s::jsonb))
