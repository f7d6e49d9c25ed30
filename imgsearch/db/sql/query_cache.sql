-- name: look_up
-- The searched space (or `space`), who asks, and the vector of a question already answered in it. `known` names the spaces
-- of vectors the caller still has in memory, by tenant: then only the space is worth sending.
SELECT s.space_id, s.dimension, s.reads_texts, s.kind = 'given' AS given, a.tenant, q.answered_at IS NOT NULL AS answered, q.error_code, q.error, q.ticket::text AS ticket, q.tokens, q.tokens_read, q.boxes,
       CASE WHEN s.space_id = (%(known)s::jsonb ->> a.tenant)::integer THEN NULL ELSE q.embedding::text END AS embedding
FROM imgsearch.space s
LEFT JOIN (SELECT 1 FROM imgsearch.vectors WHERE false) v (locked) ON true  -- until this transaction ends no other space is searched
CROSS JOIN (SELECT coalesce(current_setting('imgsearch.tenant', true), '') AS tenant) a  -- written out: inlining current_tenant() costs 0.07 ms
LEFT JOIN imgsearch.query_vector q ON q.tenant_id = a.tenant AND q.space_id = s.space_id AND q.kind = %(kind)s AND q.key = %(key)s
WHERE CASE WHEN %(space)s::integer IS NULL THEN s.state = 'active' ELSE s.space_id = %(space)s END

-- name: speak_for
-- Whose questions this transaction asks; empty: those of somebody above tenants.
SELECT set_config('imgsearch.tenant', %(tenant)s, true)

-- name: ask
-- Queue a question of the tenant that is set; visible to workers at commit.
SELECT imgsearch_internal.require_asker(), imgsearch_internal.enqueue_question(%(query)s, %(picture)s, %(space)s, %(region)s, %(key)s, %(image_id)s) AS key

-- name: claim
-- Take waiting questions of a space, of all tenants; another worker may take them again after ten seconds.
UPDATE imgsearch.query_vector q SET claimed = now() + interval '10 seconds'
FROM (
    SELECT tenant_id, space_id, kind, key FROM imgsearch.query_vector
    WHERE answered_at IS NULL AND space_id = %(space_id)s AND (claimed IS NULL OR claimed < now())
    ORDER BY asked_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) w
WHERE q.tenant_id = w.tenant_id AND q.space_id = w.space_id AND q.kind = w.kind AND q.key = w.key
RETURNING q.kind, q.key, q.query, q.tenant_id, q.picture

-- name: place
-- Where the bytes of a stored picture lie, for whoever asks by it.
SELECT i.uri FROM imgsearch.image i
WHERE i.image_id = %(image_id)s AND i.sha256 = %(digest)s AND (%(tenant)s = '' OR i.tenant_id = %(tenant)s)

-- name: answer
-- Write the vector and wake whoever waits, of any tenant unless one is named; the question itself is not kept.
WITH answered AS (
    UPDATE imgsearch.query_vector
    SET embedding = %(embedding)s, error_code = %(error_code)s, error = %(error)s, answered_at = now(),
        query = NULL, picture = NULL, claimed = NULL, tokens = %(tokens)s, tokens_read = %(tokens_read)s, boxes = %(boxes)s::real[]
    WHERE space_id = %(space_id)s AND kind = %(kind)s AND key = %(key)s AND answered_at IS NULL
      AND (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)
    RETURNING ticket
)
SELECT pg_notify('imgsearch_answer', ticket::text) FROM answered

-- name: forget
-- Keep the cache small: answers nobody needs to be fast for any more, and questions to a space that is not searched.
DELETE FROM imgsearch.query_vector q
WHERE q.answered_at < now() - make_interval(days => %(days)s)
   OR (q.answered_at IS NULL AND q.asked_at < now() - interval '1 hour'
       AND EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.space_id = q.space_id AND s.state <> 'active'))

-- name: bound
-- Whoever asks much leaves no more than so many answers, and loses only his own; the rows of others
-- are counted in the key and not read.
DELETE FROM imgsearch.query_vector q
USING (
    SELECT v.tenant_id, v.kind, v.key, v.space_id,
           row_number() OVER (PARTITION BY v.tenant_id ORDER BY v.answered_at DESC) AS place
    FROM imgsearch.query_vector v
    WHERE v.answered_at IS NOT NULL AND v.tenant_id IN (
        SELECT t.tenant_id FROM imgsearch.query_vector t GROUP BY 1 HAVING count(*) > %(most)s)
) o
WHERE o.place > %(most)s
  AND (q.tenant_id, q.kind, q.key, q.space_id) = (o.tenant_id, o.kind, o.key, o.space_id)
