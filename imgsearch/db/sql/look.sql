-- name: pool
-- The first of an answer as arrays; nothing else is read of its rows yet.
SELECT (s.answer).tenants, (s.answer).images, (s.answer).distances, (s.answer).products, (s.answer).cursors, (s.answer).fits, (s.answer).strategy, (s.answer).complete,
       (s.answer).matches, (s.answer).more, (s.answer).pictures, (s.answer).space, (s.answer).parts
FROM (SELECT imgsearch_internal.question_of(%(question)s::jsonb) AS asked) q
LEFT JOIN (SELECT 1 FROM imgsearch.vectors WHERE false) v (locked) ON true  -- before the snapshot: the search sees one space
CROSS JOIN LATERAL imgsearch_internal.answer(%(vector)s, imgsearch.filters_of(%(filters)s::jsonb),
         imgsearch_internal.page_of(%(k)s, %(skip)s, %(after)s, %(max_distance)s, %(space)s), imgsearch.ranking_of(%(ranking)s::jsonb), q.asked) s

-- name: page
-- Rows in an order that was found before, with all that is shown of them; its columns are those of search.
SELECT (s.answer).strategy, (s.answer).complete, (s.answer).matches, (s.answer).more, (s.answer).pictures AS matching_images,
       h.image_id, h.product_id, h.distance, h.match, h.pictures, h.others, h.after,
       i.tenant_id, i.category, i.categories, i.price, i.in_stock, i.attributes, i.sha256, w.title AS product_title,
       imgsearch_internal.box_of((s.answer).parts[h.place]) AS box, (s.answer).parts[h.place] ->> 'label' AS label
FROM (SELECT imgsearch_internal.question_of(%(question)s::jsonb) AS asked) q
CROSS JOIN LATERAL (SELECT imgsearch_internal.looked_page(%(shown)s::jsonb, imgsearch.filters_of(%(filters)s::jsonb)) AS answer OFFSET 0) s
LEFT JOIN LATERAL imgsearch_internal.unfold(s.answer, %(vector)s, q.asked) WITH ORDINALITY
    AS h (tenant_id, image_id, product_id, distance, match, pictures, others, after, place) ON true
LEFT JOIN imgsearch.image i ON i.tenant_id = h.tenant_id AND i.image_id = h.image_id
LEFT JOIN imgsearch.product w ON w.tenant_id = h.tenant_id AND w.product_id = h.product_id
ORDER BY h.place

-- name: whose
-- As whom this connection asks; empty: as somebody above tenants.
SELECT coalesce(current_setting('imgsearch.tenant', true), '') AS tenant

-- name: ask
-- Queue a second look of the tenant that is set; visible to workers at commit. Null where as many wait as may.
SELECT imgsearch_internal.enqueue_look(%(asked)s::jsonb, %(picture)s, %(seconds)s)::text AS ticket

-- name: look_up
-- What is known of a second look of the tenant that is set.
SELECT answered_at IS NOT NULL AS answered, answer
FROM imgsearch.second_look WHERE tenant_id = coalesce(imgsearch.current_tenant(), '') AND ticket = %(ticket)s::uuid

-- name: order
-- An order that was found before, with its rows.
SELECT belongs_to, pool, answer
FROM imgsearch.second_look WHERE tenant_id = coalesce(imgsearch.current_tenant(), '') AND ticket = %(ticket)s::uuid AND answered_at IS NOT NULL

-- name: claim
-- Take the oldest that waits and is still waited for. It is taken once: what ends its worker must not end the next.
UPDATE imgsearch.second_look l SET claimed = clock_timestamp()
FROM (
    SELECT tenant_id, ticket FROM imgsearch.second_look WHERE claimed IS NULL AND until > clock_timestamp()
    ORDER BY asked_at LIMIT 1 FOR UPDATE SKIP LOCKED
) w
WHERE l.tenant_id = w.tenant_id AND l.ticket = w.ticket
RETURNING l.tenant_id, l.ticket::text AS ticket, l.space_id, l.steps, l.question, l.picture, l.images,
          l.pool -> 'rows' AS rows,
          extract(epoch FROM l.until - clock_timestamp())::double precision AS seconds

-- name: candidates
-- What a worker may know of the rows: of that tenant, or of all where somebody above tenants asked. `question`: an image that was asked with.
SELECT u.place - 1 AS place, i.image_id, i.product_id, i.category, i.price, i.in_stock, i.attributes, i.uri, i.sha256
FROM unnest(%(images)s::bigint[]) WITH ORDINALITY u (image, place)
JOIN imgsearch.image i ON i.image_id = u.image
WHERE %(tenant)s = '' OR i.tenant_id = %(tenant)s

-- name: vectors
-- Their vectors in the space that was searched.
SELECT v.image_id, v.embedding::text AS vector
FROM {embedding} v WHERE v.image_id = ANY (%(images)s::bigint[]) AND (%(tenant)s = '' OR v.tenant_id = %(tenant)s)

-- name: answer
-- Write the order and wake whoever waits; what was asked is not kept.
WITH answered AS (
    UPDATE imgsearch.second_look SET answer = %(answer)s::jsonb, answered_at = now(), picture = NULL, question = '{{}}'
    WHERE tenant_id = %(tenant)s AND ticket = %(ticket)s::uuid AND answered_at IS NULL
    RETURNING ticket
)
SELECT pg_notify('imgsearch_answer', ticket::text) FROM answered

-- name: forget
-- Orders that nobody pages through any more, and what was asked for in vain.
DELETE FROM imgsearch.second_look
WHERE asked_at < now() - interval '1 hour' OR (answered_at IS NULL AND until < now() - interval '1 minute')
