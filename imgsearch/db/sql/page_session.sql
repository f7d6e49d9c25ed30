-- name: begin
-- Sign a browser in; whether the key works.
SELECT imgsearch_internal.begin_session(%(handle)s, %(digest)s, %(session)s)

-- name: find
-- The key behind a session.
SELECT handle, tenant_id, scope, name, filters FROM imgsearch_internal.find_session(%(session)s)

-- name: end
-- Sign a browser out.
SELECT imgsearch_internal.end_session(%(session)s)

-- name: sweep
-- Delete sessions that are no longer good.
SELECT imgsearch_internal.sweep_sessions()
