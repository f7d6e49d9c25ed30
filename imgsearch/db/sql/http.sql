-- name: configure
-- Once per connection that is ours alone: a statement outside of a transaction of ours does not run for ever.
SELECT set_config('statement_timeout', '15s', false)

-- name: bound
-- The same for one transaction, where a pooler lends the session to the next client.
SELECT set_config('statement_timeout', '15s', true)

-- name: begin
-- At the start of each request's transaction: whose it is, the role it steps down to ("none": it stays what it is), and
-- whether it may write; plans follow the filters and never an average of them; nothing runs for ever. All of it ends with
-- the transaction: behind a pooler the session is the next client's.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('statement_timeout', '15s', true),
       set_config('idle_in_transaction_session_timeout', '60s', true),
       set_config('imgsearch.tenant', %(tenant)s, true),
       set_config('transaction_read_only', CASE WHEN %(read_only)s = 'on' THEN 'on' ELSE current_setting('transaction_read_only') END, true),
       set_config('role', %(role)s, true)

-- name: is_tenant_restricted
-- Whether this role sees one tenant at a time.
SELECT imgsearch.is_tenant_restricted()

-- name: secret
-- What links are signed with.
SELECT imgsearch_internal.link_secret()

-- name: details
-- What a page shows of pictures beside what the search answered: the digest finds the thumbnail.
SELECT i.image_id, i.tenant_id, i.sha256 FROM imgsearch.image i
WHERE i.image_id = ANY(%(images)s) AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)

-- name: speak_for
-- Whose rows the statements of this transaction may see, where the role is limited to one tenant.
SELECT set_config('imgsearch.tenant', %(tenant)s, true)

-- name: is_ready
-- Whether a tenant's picture of these bytes has been embedded; null where it has none (any more).
SELECT bool_or(v.image_id IS NOT NULL) AS ready FROM imgsearch.image i
LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE i.tenant_id = %(tenant)s AND i.sha256 = %(digest)s

-- name: picture
-- One picture and its state.
SELECT i.image_id, i.tenant_id, i.product_id, i.position, i.category, i.categories, i.price, i.in_stock, i.attributes, i.sha256,
       i.incomplete, i.created_at, i.updated_at, j.error_code, j.error, coalesce(j.attempts, 0) AS attempts,
       CASE WHEN j.state IS NOT NULL THEN j.state WHEN v.image_id IS NOT NULL THEN 'ready'
            WHEN EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.state = 'active' AND s.kind = 'given') THEN 'missing' ELSE 'pending' END AS state
FROM imgsearch.image i
LEFT JOIN imgsearch.jobs j ON j.tenant_id = i.tenant_id AND j.image_id = i.image_id
LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE i.image_id = ANY(%(images)s) AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)
ORDER BY array_position(%(images)s::bigint[], i.image_id)

-- name: status
-- How one tenant's pictures (or everybody's) are, and who works. Workers and the model are the same for all tenants.
SELECT (SELECT count(*) FROM imgsearch.image i WHERE %(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s) AS images,
       count(*) FILTER (WHERE j.state = 'pending') AS pending,
       count(*) FILTER (WHERE j.state = 'leased') AS leased,
       count(*) FILTER (WHERE j.state = 'failed') AS failed,
       extract(epoch FROM now() - min(j.created_at) FILTER (WHERE j.state IN ('pending', 'leased')))::float8 AS oldest_waiting,
       (SELECT count(*) FROM imgsearch.worker WHERE seen_at > now() - interval '30 seconds') AS workers,
       (SELECT model FROM imgsearch.space WHERE state = 'active') AS model,
       (SELECT dimension FROM imgsearch.space WHERE state = 'active') AS dimension
FROM imgsearch.jobs j WHERE %(tenant)s::text IS NULL OR j.tenant_id = %(tenant)s

-- name: workers
-- Is there a model, and anybody to embed: workers seen within 30 seconds, by queue.
SELECT count(*) FILTER (WHERE queue IN ('images', 'both')) AS images, count(*) FILTER (WHERE queue IN ('queries', 'both')) AS queries,
       EXISTS (SELECT 1 FROM imgsearch.space WHERE state = 'active') AS model,
       EXISTS (SELECT 1 FROM imgsearch.space WHERE state = 'active' AND kind = 'given') AS given  -- nobody is asked there
FROM imgsearch.worker WHERE seen_at > now() - interval '30 seconds'

-- name: hurry
-- How long each further statement of this transaction may take.
SELECT set_config('statement_timeout', %(milliseconds)s, true)

-- name: matches
-- How many products (or images) match: of the facets, the one row that is asked for, without the pass over attributes.
SELECT count FROM imgsearch_internal.column_counts(imgsearch.filters_of(%(filters)s::jsonb), %(per)s) WHERE facet = 'matches'

-- name: choices
-- The values of one facet that contain a text.
SELECT value, count, approximate, different
FROM imgsearch.choices(%(facet)s, %(name)s, imgsearch.filters_of(%(filters)s::jsonb), %(contains)s, %(k)s, %(per)s)

-- name: weighed
-- What a search weighed before it chose its way.
SELECT (s.answer).strategy, (s.answer).complete, (s.answer).matches, (s.answer).more, (s.plan).share, (s.plan).nearby,
       (s.plan).ef, (s.answer).ranked, (s.plan).reason
FROM imgsearch_internal.find(%(vector)s, imgsearch.filters_of(%(filters)s::jsonb),
         imgsearch_internal.page_of(%(k)s, %(skip)s, %(after)s, %(max_distance)s)) s

-- name: list
-- The pictures of a tenant in the order they were added, behind one of them; of one product, in one state.
SELECT i.image_id, i.tenant_id, i.product_id, i.position, i.category, i.categories, i.price, i.in_stock, i.attributes, i.sha256,
       i.incomplete, i.created_at, i.updated_at, j.error_code, j.error, coalesce(j.attempts, 0) AS attempts,
       CASE WHEN j.state IS NOT NULL THEN j.state WHEN v.image_id IS NOT NULL THEN 'ready'
            WHEN EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.state = 'active' AND s.kind = 'given') THEN 'missing' ELSE 'pending' END AS state
FROM imgsearch.image i
LEFT JOIN imgsearch.jobs j ON j.tenant_id = i.tenant_id AND j.image_id = i.image_id
LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s) AND (%(product_id)s::text IS NULL OR i.product_id = %(product_id)s)
  AND (%(after)s::bigint IS NULL OR i.image_id > %(after)s)
  AND CASE %(state)s::text WHEN 'any' THEN true
                           WHEN 'ready' THEN j.state IS NULL AND v.image_id IS NOT NULL
                           WHEN 'missing' THEN j.state IS NULL AND v.image_id IS NULL AND EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.state = 'active' AND s.kind = 'given')
                           WHEN 'pending' THEN j.state = 'pending' OR j.state IS NULL AND v.image_id IS NULL AND NOT EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.state = 'active' AND s.kind = 'given')
                           ELSE j.state = %(state)s END
ORDER BY i.image_id LIMIT %(k)s

-- name: matching
-- Those of some images that are within a key's filters.
SELECT imgsearch_internal.matching(%(images)s, imgsearch.filters_of(%(filters)s::jsonb)) AS image_id

-- name: matching_of
-- The images of some products that are within a key's filters.
SELECT product_id, images FROM imgsearch_internal.matching_of(%(products)s, imgsearch.filters_of(%(filters)s::jsonb))

-- name: keeps_questions
-- Whether a shop keeps what is asked there.
SELECT EXISTS (SELECT 1 FROM imgsearch.shop s WHERE s.tenant_id = %(tenant)s AND s.keep_questions)

-- name: keep_question
-- Notes that a text was searched for.
SELECT imgsearch.keep_question(%(words)s, %(tenant)s)
