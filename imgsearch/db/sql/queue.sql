-- name: claim
-- Lease the pictures that have waited longest, for some spaces (null: all there are): those of the searched one first. The
-- attempt counts here, so that a crash counts.
-- A picture whose last worker died with it is a suspect: it may have been the cause. Suspects go to a worker that holds
-- nothing else, few at a time after one loss and alone after more, and whatever is older than they are goes first.
WITH due AS MATERIALIZED (
    SELECT w.*, s.state <> 'active' AS later
    FROM imgsearch.space s, LATERAL (
        SELECT j.tenant_id, j.image_id, j.space_id, j.due, j.attempts, j.error_code IS NOT DISTINCT FROM %(lost)s AS suspect
        FROM imgsearch.job j
        WHERE j.state = 'pending' AND j.space_id = s.space_id AND j.due <= now()
        ORDER BY j.due LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED) w
    WHERE s.space_id = ANY (coalesce(%(spaces)s::integer[], ARRAY[s.space_id]))
), first AS (
    SELECT suspect, attempts FROM due ORDER BY later, due LIMIT 1
), chosen AS (
    (SELECT d.tenant_id, d.image_id, d.space_id, d.suspect FROM due d, first f WHERE NOT f.suspect AND NOT d.suspect
     ORDER BY d.later, d.due LIMIT %(limit)s)
    UNION ALL
    (SELECT d.tenant_id, d.image_id, d.space_id, d.suspect FROM due d, first f
     WHERE %(idle)s AND f.suspect AND d.suspect AND (d.attempts > 1) = (f.attempts > 1)
     ORDER BY d.later, d.due LIMIT (SELECT CASE WHEN attempts > 1 THEN 1 ELSE %(few)s END FROM first))
), beside AS MATERIALIZED (  -- the same pictures for its other spaces: read and decoded once
    SELECT j.tenant_id, j.image_id, j.space_id, false AS suspect FROM imgsearch.job j
    JOIN chosen c ON j.tenant_id = c.tenant_id AND j.image_id = c.image_id AND j.space_id <> c.space_id AND NOT c.suspect
    WHERE cardinality(%(spaces)s::integer[]) > 1 AND j.space_id = ANY (%(spaces)s::integer[])
      AND j.state = 'pending' AND j.due <= now() AND j.error_code IS DISTINCT FROM %(lost)s
      AND NOT EXISTS (SELECT 1 FROM chosen o WHERE o.tenant_id = j.tenant_id AND o.image_id = j.image_id AND o.space_id = j.space_id)
    FOR UPDATE OF j SKIP LOCKED
), leased AS (
    UPDATE imgsearch.job j
    SET state = 'leased', lease = now() + make_interval(secs => %(lease_seconds)s), token = gen_random_uuid(),
        worker = %(worker)s, attempts = j.attempts + 1
    FROM (SELECT * FROM chosen UNION ALL SELECT * FROM beside) c WHERE j.tenant_id = c.tenant_id AND j.image_id = c.image_id AND j.space_id = c.space_id
    RETURNING j.tenant_id, j.image_id, j.space_id, j.token, c.suspect
)
SELECT tenant_id, image_id, space_id, token, suspect FROM leased

-- name: claimed
-- What the leased jobs are about, read after the leases are ours: whoever replaces an address from now on takes them away.
-- Read by the statement that leases, an address could be the one before a change that it waited for.
SELECT j.tenant_id, j.image_id, j.space_id, j.token, j.attempts, l.suspect, j.created_at AS queued, i.uri,
       CASE WHEN NOT j.anew THEN i.sha256 END AS sha256, CASE WHEN j.anew THEN i.sha256 END AS before
FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(spaces)s::integer[], %(tokens)s::uuid[], %(suspects)s::boolean[])
    AS l (tenant_id, image_id, space_id, token, suspect)
JOIN imgsearch.job j ON j.tenant_id = l.tenant_id AND j.image_id = l.image_id AND j.space_id = l.space_id
    AND j.state = 'leased' AND j.token = l.token
JOIN imgsearch.image i ON i.tenant_id = l.tenant_id AND i.image_id = l.image_id

-- name: heartbeat
-- Extend the leases that are still ours; returns whose they are.
UPDATE imgsearch.job j SET lease = now() + make_interval(secs => %(lease_seconds)s)
FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(tokens)s::uuid[]) AS mine (tenant_id, image_id, token)
WHERE j.tenant_id = mine.tenant_id AND j.image_id = mine.image_id AND j.state = 'leased' AND j.token = mine.token
RETURNING j.tenant_id, j.image_id, j.space_id

-- name: held
-- Which of these are still leased to the token we hold.
SELECT j.tenant_id, j.image_id, j.space_id
FROM imgsearch.job j
JOIN unnest(%(tenants)s::text[], %(images)s::bigint[], %(tokens)s::uuid[]) AS mine (tenant_id, image_id, token)
  ON j.tenant_id = mine.tenant_id AND j.image_id = mine.image_id AND j.token = mine.token
WHERE j.state = 'leased'

-- name: known
-- Vectors this tenant already has for the same bytes in a space: the same picture is embedded once.
SELECT DISTINCT ON (i.tenant_id, i.sha256) i.tenant_id, i.sha256, e.embedding::text AS embedding, i.incomplete,
    f.pdq::text || f.turned::text || coalesce(encode(f.tiles, 'hex'), '') AS pdq, f.quality
FROM unnest(%(tenants)s::text[], %(sha256s)s::bytea[]) AS wanted (tenant_id, sha256)
JOIN imgsearch.image i ON i.tenant_id = wanted.tenant_id AND i.sha256 = wanted.sha256
JOIN {embedding} e ON e.tenant_id = i.tenant_id AND e.image_id = i.image_id AND e.sha256 = i.sha256
LEFT JOIN imgsearch.fingerprint f ON f.tenant_id = i.tenant_id AND f.image_id = i.image_id AND f.sha256 = i.sha256
ORDER BY i.tenant_id, i.sha256, f.quality

-- name: deliver
-- Store the vectors of one space and close their jobs in one fenced statement: only where the token is ours and of this
-- space, and the bytes are what we embedded. A replaced picture stays pending; a late worker writes nothing. The space's
-- row is locked first, so that it is neither dropped meanwhile nor succeeded by another that lacks these. The image row is
-- locked before its job, the order a replacement takes them in; a row somebody else holds is skipped here and delivered
-- alone afterwards, so a batch never waits for, or deadlocks with, a long transaction of the shop. The last in: many new
-- vectors at once go into the tail, not into the graph; one that replaces another goes where merge_tail() cannot move it.
WITH input AS MATERIALIZED (
    -- All vectors come as one array of numbers, of which each row takes its slice.
    SELECT t.*, imgsearch_internal.vector_from((%(reals)s::real[])[((n - 1) * %(dimension)s + 1)::int:(n * %(dimension)s)::int]) AS embedding
    FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(tokens)s::uuid[], %(sha256s)s::bytea[],
                %(incomplete)s::boolean[], %(pdqs)s::text[], %(qualities)s::smallint[]) WITH ORDINALITY
        AS t (tenant_id, image_id, token, sha256, incomplete, pdq, quality, n)
), ours AS MATERIALIZED (
    SELECT mean, signs, imgsearch_internal.takes_tail(space_id, cardinality(%(images)s::bigint[])) AS many
    FROM imgsearch.space WHERE space_id = %(space_id)s FOR KEY SHARE
), locked AS MATERIALIZED (
    SELECT n.*, s.mean, s.signs, s.many AND i.{bits} IS NULL AS last
    FROM ours s CROSS JOIN input n
    JOIN imgsearch.image i ON i.tenant_id = n.tenant_id AND i.image_id = n.image_id
    WHERE i.sha256 IS NULL OR i.sha256 = n.sha256
    FOR NO KEY UPDATE OF i SKIP LOCKED
), done AS (
    DELETE FROM imgsearch.job j USING locked l
    WHERE j.tenant_id = l.tenant_id AND j.image_id = l.image_id AND j.space_id = %(space_id)s AND j.state = 'leased' AND j.token = l.token
    RETURNING l.tenant_id, l.image_id, l.sha256, l.embedding, l.incomplete, l.mean, l.signs, l.last, l.pdq, l.quality
), stored AS (
    INSERT INTO {embedding} (tenant_id, image_id, sha256, embedding)
    SELECT tenant_id, image_id, sha256, embedding FROM done WHERE NOT last
    ON CONFLICT (tenant_id, image_id) DO UPDATE SET sha256 = EXCLUDED.sha256, embedding = EXCLUDED.embedding
), stored_last AS (
    INSERT INTO {tail} (tenant_id, image_id, sha256, embedding)
    SELECT tenant_id, image_id, sha256, embedding FROM done WHERE last
    ON CONFLICT (tenant_id, image_id) DO UPDATE SET sha256 = EXCLUDED.sha256, embedding = EXCLUDED.embedding
), superseded AS (
    DELETE FROM {tail} t USING done d WHERE NOT d.last AND t.tenant_id = d.tenant_id AND t.image_id = d.image_id
), fingerprinted AS (  -- of the same bytes it stays: another model's pixels would change a few bits
    INSERT INTO imgsearch.fingerprint AS f (tenant_id, image_id, sha256, quality, pdq, turned, bands, tiles)
    SELECT tenant_id, image_id, sha256, quality, left(pdq, 256)::bit(256), substr(pdq, 257, 1792)::bit(1792), imgsearch_internal.bands(left(pdq, 256)::bit(256)),
           decode(nullif(substr(pdq, 2049), ''), 'hex')
    FROM done WHERE pdq IS NOT NULL AND quality IS NOT NULL
    ON CONFLICT (tenant_id, image_id) DO UPDATE
        SET sha256 = EXCLUDED.sha256, quality = EXCLUDED.quality, pdq = EXCLUDED.pdq, turned = EXCLUDED.turned, bands = EXCLUDED.bands,
            tiles = EXCLUDED.tiles
        WHERE f.sha256 <> EXCLUDED.sha256 OR f.tiles IS NULL
), marked AS (
    UPDATE imgsearch.image i
    SET {bits} = imgsearch_internal.quantized(d.embedding, d.mean, d.signs), sha256 = d.sha256, incomplete = d.incomplete
    FROM done d
    WHERE i.tenant_id = d.tenant_id AND i.image_id = d.image_id
)
SELECT tenant_id, image_id, %(space_id)s::integer AS space_id FROM done

-- name: adopt
-- Addresses that were read anew answer other bytes: these are the pictures now, in the transaction that stores their
-- vectors. The trigger takes away what was of the old bytes, and leaves our leases. Image rows are locked before jobs.
WITH input AS (
    SELECT * FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(tokens)s::uuid[], %(sha256s)s::bytea[])
        AS t (tenant_id, image_id, token, sha256)
), locked AS MATERIALIZED (
    SELECT n.* FROM input n JOIN imgsearch.image i ON i.tenant_id = n.tenant_id AND i.image_id = n.image_id
    FOR NO KEY UPDATE OF i SKIP LOCKED
), ours AS MATERIALIZED (
    SELECT l.* FROM locked l
    JOIN imgsearch.job j ON j.tenant_id = l.tenant_id AND j.image_id = l.image_id AND j.space_id = %(space_id)s
    WHERE j.state = 'leased' AND j.token = l.token AND j.anew
    FOR UPDATE OF j
)
UPDATE imgsearch.image i SET sha256 = o.sha256 FROM ours o
WHERE i.tenant_id = o.tenant_id AND i.image_id = o.image_id AND i.sha256 IS DISTINCT FROM o.sha256

-- name: confirm
-- Addresses that were read anew answer the bytes of before: where the space holds their vector nothing is left to do, else
-- they wait as any picture of known bytes.
WITH ours AS MATERIALIZED (
    SELECT j.tenant_id, j.image_id, j.space_id, EXISTS (SELECT 1 FROM {embedding} e
        WHERE e.tenant_id = i.tenant_id AND e.image_id = i.image_id AND e.sha256 = i.sha256) AS whole
    FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(tokens)s::uuid[]) AS t (tenant_id, image_id, token)
    JOIN imgsearch.image i ON i.tenant_id = t.tenant_id AND i.image_id = t.image_id
    JOIN imgsearch.job j ON j.tenant_id = t.tenant_id AND j.image_id = t.image_id AND j.space_id = %(space_id)s
    WHERE j.state = 'leased' AND j.token = t.token
    FOR UPDATE OF j
), done AS (
    DELETE FROM imgsearch.job j USING ours o
    WHERE o.whole AND j.tenant_id = o.tenant_id AND j.image_id = o.image_id AND j.space_id = o.space_id
), waiting AS (
    UPDATE imgsearch.job j SET state = 'pending', due = now(), lease = NULL, token = NULL, attempts = 0, anew = false
    FROM ours o
    WHERE NOT o.whole AND j.tenant_id = o.tenant_id AND j.image_id = o.image_id AND j.space_id = o.space_id
)
SELECT tenant_id, image_id, space_id FROM ours WHERE whole

-- name: fail
-- Give pictures back after an error: set aside when it is permanent or was tried often enough, else try later with
-- exponential back-off and jitter, so that a recovering store is not stormed. What may pass by itself is tried for a day.
UPDATE imgsearch.job j
SET state = CASE WHEN n.permanent OR j.attempts >= n.most THEN 'failed' ELSE 'pending' END,
    due = CASE WHEN n.permanent OR j.attempts >= n.most THEN now()
               ELSE now() + make_interval(secs => least(power(2, j.attempts), n.pause) * n.jitter) END,
    lease = NULL, token = NULL, error_code = n.code, error = n.message
FROM (SELECT u.*, 0.5 + random() / 2 AS jitter,
             CASE WHEN u.code = ANY (%(passing)s::text[]) THEN %(passing_attempts)s ELSE %(max_attempts)s END AS most,
             CASE WHEN u.code = ANY (%(passing)s::text[]) THEN 1800 ELSE 300 END AS pause
      FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(tokens)s::uuid[], %(codes)s::text[], %(messages)s::text[],
                  %(permanents)s::boolean[]) AS u (tenant_id, image_id, token, code, message, permanent)) n
WHERE j.tenant_id = n.tenant_id AND j.image_id = n.image_id AND j.state = 'leased' AND j.token = n.token
RETURNING j.tenant_id, j.image_id, j.space_id, j.state

-- name: release
-- Give pictures back unspent: the attempt does not count (shutdown, store or model unavailable).
UPDATE imgsearch.job j
SET state = 'pending', due = now() + make_interval(secs => %(delay)s), lease = NULL, token = NULL,
    attempts = greatest(j.attempts - 1, 0)
FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(tokens)s::uuid[]) AS mine (tenant_id, image_id, token)
WHERE j.tenant_id = mine.tenant_id AND j.image_id = mine.image_id AND j.state = 'leased' AND j.token = mine.token
RETURNING j.tenant_id, j.image_id, j.space_id

-- name: rescue
-- Take back pictures whose worker went silent; the last attempt of all sets them aside.
WITH expired AS (
    SELECT tenant_id, image_id, space_id FROM imgsearch.job
    WHERE state = 'leased' AND lease < now()
    ORDER BY lease LIMIT 1000
    FOR UPDATE SKIP LOCKED
)
UPDATE imgsearch.job j
SET state = CASE WHEN j.attempts >= %(max_attempts)s AND coalesce(j.error_code <> ALL (%(passing)s::text[]), true)
                 THEN 'failed' ELSE 'pending' END,
    due = now(), lease = NULL, token = NULL, error_code = %(lost)s,
    error = 'The worker ' || coalesce(j.worker, '?') || ' went silent while it had this picture.'
FROM expired x WHERE j.tenant_id = x.tenant_id AND j.image_id = x.image_id AND j.space_id = x.space_id
RETURNING j.tenant_id, j.image_id, j.state

-- name: enqueue_missing
-- The net under every writer: pictures with neither vector nor job in a space wait from now on.
SELECT imgsearch_internal.enqueue_missing()

-- name: retry_attached
-- Try rows of attached tables that could not be followed again, those whose time has come.
SELECT imgsearch.retry_attached()

-- name: waiting
-- How many pictures could be claimed now or later; of one space, or of all.
SELECT count(*) FROM imgsearch.job WHERE state IN ('pending', 'leased') AND (%(space_id)s::integer IS NULL OR space_id = %(space_id)s)

-- name: depth
-- How many pictures (of one tenant) are in which state of the queue, how long the oldest has waited, in seconds, and
-- who works.
SELECT count(*) FILTER (WHERE state = 'pending') AS pending, count(*) FILTER (WHERE state = 'leased') AS leased,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state IN ('pending', 'leased'))), 0)::float8 AS oldest,
       (SELECT count(*) FROM imgsearch.query_vector WHERE answered_at IS NULL) AS questions,
       (SELECT count(*) FROM imgsearch.worker WHERE seen_at > now() - interval '30 seconds') AS workers,
       (SELECT count(*) FROM imgsearch.worker WHERE queue IN ('queries', 'both') AND seen_at > now() - interval '30 seconds') AS query_workers
FROM imgsearch.job WHERE %(tenant)s::text IS NULL OR tenant_id = %(tenant)s

-- name: depth_of_spaces
-- The same for each space, by its name.
SELECT s.name AS space, count(j.*) FILTER (WHERE j.state = 'pending') AS pending, count(j.*) FILTER (WHERE j.state = 'leased') AS leased,
       count(j.*) FILTER (WHERE j.state = 'failed') AS failed
FROM imgsearch.space s LEFT JOIN imgsearch.job j ON j.space_id = s.space_id AND (%(tenant)s::text IS NULL OR j.tenant_id = %(tenant)s)
GROUP BY s.space_id, s.name ORDER BY s.space_id

-- name: next_due
-- Seconds until the next picture may be claimed; null when none waits.
SELECT extract(epoch FROM min(j.due) - now())::float8
FROM unnest(%(spaces)s::integer[]) s (space_id), LATERAL (
    SELECT j.due FROM imgsearch.job j WHERE j.state = 'pending' AND j.space_id = s.space_id ORDER BY j.due LIMIT 1) j

-- name: alive
-- A worker's sign of life for one of its spaces; returns how that space is: null when it is gone. `busy`: pictures wait for
-- the searched space, so that one whose share is 0 waits.
INSERT INTO imgsearch.worker AS w (name, queue, host, pid, device, space_id, forward_at)
SELECT %(name)s, %(queue)s, %(host)s, %(pid)s, %(device)s, (SELECT s.space_id FROM imgsearch.space s WHERE s.space_id = %(space_id)s), to_timestamp(%(forward_at)s)
ON CONFLICT (name) DO UPDATE
SET seen_at = EXCLUDED.seen_at, space_id = EXCLUDED.space_id, device = EXCLUDED.device, forward_at = coalesce(EXCLUDED.forward_at, w.forward_at)
RETURNING (SELECT jsonb_build_object('name', s.name, 'state', s.state, 'share', s.share, 'full', s.filled_at IS NOT NULL AND s.state <> 'building')
           FROM imgsearch.space s WHERE s.space_id = %(space_id)s) AS space

-- name: gone
-- A worker leaves; those silent for a day are forgotten with it.
DELETE FROM imgsearch.worker WHERE name = ANY (%(names)s::text[]) OR seen_at < now() - interval '1 day'

-- name: is_busy
-- Whether pictures or questions wait for the searched space now.
SELECT EXISTS (SELECT 1 FROM imgsearch.job j JOIN imgsearch.space s ON s.space_id = j.space_id AND s.state = 'active'
               WHERE j.state = 'pending' AND j.due <= now())
    OR EXISTS (SELECT 1 FROM imgsearch.query_vector q WHERE q.answered_at IS NULL AND q.asked_at > now() - interval '1 minute')

-- name: tails
-- The spaces some of whose vectors wait outside their graph.
SELECT s.space_id FROM imgsearch.space s WHERE imgsearch_internal.tail_rows(s.space_id) > 0 ORDER BY s.state <> 'active', s.space_id

-- name: merge_tail
-- Move some of them into it.
SELECT imgsearch_internal.merge_tail(%(space_id)s)
