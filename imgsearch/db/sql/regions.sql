-- Parts of a catalogue's pictures: whose are wanted, which pictures lack them, and what workers found.

-- name: wishes
-- Which shops ask for parts of their pictures, by whom; and which have some and no longer do.
SELECT s.tenant_id, imgsearch_internal.proposer_of(s) AS wanted FROM imgsearch.shop s
WHERE s.region_proposer IS NOT NULL OR EXISTS (SELECT 1 FROM imgsearch.region_state r WHERE r.tenant_id = s.tenant_id)

-- name: spaces
-- The spaces there are.
SELECT space_id FROM imgsearch.space

-- name: missing
-- Pictures that have a vector in a space and were not looked at as their shop asks, behind one of them.
SELECT e.tenant_id, e.image_id
FROM imgsearch.shop s JOIN {embedding} e ON e.tenant_id = s.tenant_id
LEFT JOIN imgsearch.region_state r ON r.tenant_id = e.tenant_id AND r.image_id = e.image_id AND r.space_id = %(space_id)s
     AND r.sha256 = e.sha256 AND r.proposer = imgsearch_internal.proposer_of(s)
WHERE s.region_proposer IS NOT NULL AND r.image_id IS NULL AND (e.tenant_id, e.image_id) > (%(tenant)s, %(image)s)
ORDER BY e.tenant_id, e.image_id LIMIT %(limit)s

-- name: due
-- Pictures to be tried again: it failed, or their worker went silent. What was tried often enough is set aside.
WITH due AS MATERIALIZED (
    SELECT r.tenant_id, r.image_id, r.attempts FROM imgsearch.region_state r
    WHERE r.boxes IS NULL AND r.due <= now() AND r.space_id = %(space_id)s ORDER BY r.due LIMIT %(limit)s
), lost AS (
    UPDATE imgsearch.region_state r SET due = NULL, error_code = %(lost)s, error = 'Workers went silent while they looked for its parts.'
    FROM due d WHERE d.attempts >= %(most)s AND r.tenant_id = d.tenant_id AND r.image_id = d.image_id AND r.space_id = %(space_id)s
      AND r.boxes IS NULL AND r.due <= now()
)
SELECT d.tenant_id, d.image_id FROM due d WHERE d.attempts < %(most)s

-- name: claim
-- Take a picture to look for its parts: nobody else does until the lease is over. The attempt counts here, so that a
-- crash counts. No row: it was looked at, somebody has it, it waits for its vector, or nobody asks.
WITH wanted AS MATERIALIZED (
    SELECT i.tenant_id, i.image_id, i.uri, i.sha256, imgsearch_internal.proposer_of(s) AS proposer, s.region_proposer, s.regions_per_picture
    FROM imgsearch.shop s JOIN imgsearch.image i ON i.tenant_id = s.tenant_id
    JOIN {embedding} e ON e.tenant_id = i.tenant_id AND e.image_id = i.image_id AND e.sha256 = i.sha256
    WHERE s.tenant_id = %(tenant)s AND s.region_proposer IS NOT NULL AND i.image_id = %(image)s
), taken AS (
    INSERT INTO imgsearch.region_state AS r (tenant_id, image_id, space_id, sha256, proposer, made_at, attempts, due, error_code, error)
    SELECT tenant_id, image_id, %(space_id)s, sha256, proposer, now(), 1, now() + make_interval(secs => %(lease_seconds)s), %(in_work)s, 'A worker looks for its parts.'
    FROM wanted
    ON CONFLICT (tenant_id, image_id, space_id) DO UPDATE
        SET sha256 = EXCLUDED.sha256, proposer = EXCLUDED.proposer, made_at = EXCLUDED.made_at, boxes = NULL, due = EXCLUDED.due,
            attempts = CASE WHEN (r.sha256, r.proposer) = (EXCLUDED.sha256, EXCLUDED.proposer) THEN r.attempts + 1 ELSE 1 END,
            error_code = EXCLUDED.error_code, error = EXCLUDED.error
        WHERE (r.sha256, r.proposer) <> (EXCLUDED.sha256, EXCLUDED.proposer) OR r.boxes IS NULL AND r.due <= EXCLUDED.made_at
    RETURNING r.tenant_id, r.image_id, r.attempts
)
SELECT w.tenant_id, w.image_id, %(space_id)s::integer AS space_id, w.uri, w.sha256, w.proposer, w.region_proposer AS word, w.regions_per_picture AS most, t.attempts
FROM wanted w JOIN taken t ON t.tenant_id = w.tenant_id AND t.image_id = w.image_id

-- name: put
-- Store the parts of one picture in the place of those it had: only where it still has these bytes, its shop still asks
-- for the same, and the space is there. The picture's row is locked, so that who replaces it comes before or after; behind it
-- its state, so that one who waited for the picture does not end the look of another.
WITH ours AS MATERIALIZED (
    SELECT i.tenant_id, i.image_id, now() AS moment
    FROM imgsearch.space o, imgsearch.shop s
    JOIN imgsearch.image i ON i.tenant_id = s.tenant_id
    JOIN imgsearch.region_state r ON r.tenant_id = i.tenant_id AND r.image_id = i.image_id AND r.sha256 = i.sha256
    WHERE o.space_id = %(space_id)s AND s.tenant_id = %(tenant)s AND i.image_id = %(image)s AND i.sha256 = %(sha256)s
      AND r.space_id = o.space_id AND r.proposer = %(proposer)s AND imgsearch_internal.proposer_of(s) = %(proposer)s
    FOR KEY SHARE OF o FOR NO KEY UPDATE OF i FOR NO KEY UPDATE OF r
), stored AS (
    INSERT INTO {region} (tenant_id, image_id, position, sha256, x, y, w, h, label, score, embedding)
    SELECT o.tenant_id, o.image_id, n, %(sha256)s, g.x, g.y, g.w, g.h, g.label, g.score,
           imgsearch_internal.vector_from((%(reals)s::real[])[((n - 1) * %(dimension)s + 1)::int:(n * %(dimension)s)::int])
    FROM ours o, unnest(%(xs)s::real[], %(ys)s::real[], %(ws)s::real[], %(hs)s::real[], %(labels)s::text[], %(scores)s::real[]) WITH ORDINALITY
        AS g (x, y, w, h, label, score, n)
    ON CONFLICT (tenant_id, image_id, position) DO UPDATE
        SET sha256 = EXCLUDED.sha256, x = EXCLUDED.x, y = EXCLUDED.y, w = EXCLUDED.w, h = EXCLUDED.h, label = EXCLUDED.label,
            score = EXCLUDED.score, embedding = EXCLUDED.embedding
), gone AS (
    DELETE FROM {region} g USING ours o WHERE g.tenant_id = o.tenant_id AND g.image_id = o.image_id AND g.position > %(boxes)s
), named AS (
    UPDATE imgsearch.image i SET attributes = i.attributes || jsonb_build_object('picture_things', coalesce(%(things)s::text[], '{{}}'))
    FROM ours o WHERE i.tenant_id = o.tenant_id AND i.image_id = o.image_id AND (%(things)s::text[] IS NOT NULL OR i.attributes ? 'picture_things')
      AND i.attributes -> 'picture_things' IS DISTINCT FROM to_jsonb(coalesce(%(things)s::text[], '{{}}'))
), noted AS (
    UPDATE imgsearch.region_state r SET boxes = %(boxes)s, made_at = o.moment, attempts = 0, due = NULL, error_code = NULL, error = NULL
    FROM ours o WHERE r.tenant_id = o.tenant_id AND r.image_id = o.image_id AND r.space_id = %(space_id)s
)
SELECT count(*) FROM ours

-- name: fail
-- Looking failed: tried again later, or set aside where it was tried often enough; returns whether it was. Where nobody is
-- to blame the attempt does not count.
UPDATE imgsearch.region_state r
SET attempts = CASE WHEN %(blames)s THEN r.attempts ELSE greatest(r.attempts - 1, 0) END,
    due = CASE WHEN NOT %(blames)s OR r.attempts < %(most)s THEN now() + make_interval(secs => %(delay)s * CASE WHEN %(blames)s THEN power(2, least(r.attempts, 10)) ELSE 1 END) END,
    error_code = %(code)s, error = %(message)s
WHERE r.tenant_id = %(tenant)s AND r.image_id = %(image)s AND r.space_id = %(space_id)s AND r.sha256 = %(sha256)s AND r.proposer = %(proposer)s AND r.boxes IS NULL
RETURNING r.due IS NULL

-- name: forget
-- Remove the parts of some pictures of a shop that asks for none any more; returns of how many.
SELECT imgsearch.forget_regions(%(tenant)s)
