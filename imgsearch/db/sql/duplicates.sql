-- name: gather
-- What is compared: each hash of a tenant once with the same tiles (the earliest picture that has it), of pictures with something to see. Not
-- of those that were set aside: nobody can find them, so as an original one would hide what is found in its place.
CREATE TEMPORARY TABLE imgsearch_hashes ON COMMIT DROP AS
SELECT DISTINCT ON (f.tenant_id, f.pdq, coalesce(f.tiles, f.sha256)) f.tenant_id, f.image_id, f.pdq, f.turned, f.tiles, f.sha256
FROM imgsearch.fingerprint f
WHERE f.quality >= 50 AND (%(tenant)s::text IS NULL OR f.tenant_id = %(tenant)s) AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.set_aside_pictures() a WHERE a.tenant_id = f.tenant_id AND a.image_id = f.image_id)
ORDER BY f.tenant_id, f.pdq, coalesce(f.tiles, f.sha256), f.image_id

-- name: remember
-- What was found before this run: what workers link beside it is theirs.
CREATE TEMPORARY TABLE imgsearch_found ON COMMIT DROP AS
SELECT d.tenant_id, d.image_id, d.original FROM imgsearch.duplicate d
WHERE (%(tenant)s::text IS NULL OR d.tenant_id = %(tenant)s) AND d.tier = 'certain'

-- name: hashed
-- How many pictures have a hash.
SELECT count(*) FROM imgsearch.fingerprint f WHERE %(tenant)s::text IS NULL OR f.tenant_id = %(tenant)s

-- name: near
-- Pairs that share one band, in whichever turn of the later picture, and are at most so many bits apart. Of the pictures
-- that share a band the first hundred are compared with all others: the work stays linear where thousands look nearly the
-- same, and those still hang together by the first of them.
WITH base AS MATERIALIZED (
    SELECT * FROM (
        SELECT h.tenant_id, h.image_id, h.pdq, h.band, row_number() OVER (PARTITION BY h.tenant_id, h.band ORDER BY h.image_id) AS place
        FROM (SELECT tenant_id, image_id, pdq, substring(pdq FROM 1 + 16 * %(band)s FOR 16)::bit(16)::integer AS band FROM imgsearch_hashes) h) x
    WHERE x.place <= 100
)
SELECT q.tenant_id, b.image_id AS one, q.image_id AS other, min(bit_count(q.bits # b.pdq))::integer AS distance
FROM (SELECT h.tenant_id, h.image_id, t.bits, substring(t.bits FROM 1 + 16 * %(band)s FOR 16)::bit(16)::integer AS band
      FROM imgsearch_hashes h, unnest(imgsearch_internal.turns(h.pdq, h.turned)) t (bits)) q
JOIN base b ON b.band = q.band AND b.tenant_id = q.tenant_id AND b.image_id < q.image_id
WHERE bit_count(q.bits # b.pdq) <= %(most)s
GROUP BY q.tenant_id, b.image_id, q.image_id

-- name: agreeing
-- Of near pairs those that a second measure takes for the same, too: their tiles in the turn in which they are near, or their bytes.
SELECT w.tenant_id, w.one, w.other
FROM unnest(%(tenants)s::text[], %(ones)s::bigint[], %(others)s::bigint[]) w (tenant_id, one, other)
JOIN imgsearch_hashes a ON a.tenant_id = w.tenant_id AND a.image_id = w.one
JOIN imgsearch_hashes b ON b.tenant_id = w.tenant_id AND b.image_id = w.other
WHERE NOT imgsearch_internal.is_dismissed(w.tenant_id, w.one, w.other) AND (a.sha256 = b.sha256 OR EXISTS (
    SELECT 1 FROM unnest(imgsearch_internal.turns(a.pdq, a.turned)) WITH ORDINALITY t (bits, n)
    WHERE bit_count(t.bits # b.pdq) <= %(most)s AND imgsearch_internal.agree(a.tiles, b.tiles, t.n::integer)))

-- name: same
-- Pictures with the very same hash and tiles, or, where a hash says nothing, with the same bytes; the earliest first.
SELECT f.tenant_id, array_agg(f.image_id ORDER BY f.image_id) AS images
FROM imgsearch.fingerprint f
WHERE (%(tenant)s::text IS NULL OR f.tenant_id = %(tenant)s) AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.set_aside_pictures() a WHERE a.tenant_id = f.tenant_id AND a.image_id = f.image_id)
GROUP BY f.tenant_id, CASE WHEN f.quality >= 50 THEN f.pdq END, coalesce(CASE WHEN f.quality >= 50 THEN f.tiles END, f.sha256)
HAVING count(*) > 1

-- name: turns
-- The hashes of some pictures, with their turns.
SELECT h.tenant_id, h.image_id, h.pdq::text || h.turned::text AS bits
FROM imgsearch_hashes h JOIN unnest(%(tenants)s::text[], %(images)s::bigint[]) w (tenant_id, image_id)
    ON h.tenant_id = w.tenant_id AND h.image_id = w.image_id

-- name: clear
-- Forget what was found before, and of pairs that are certain now that somebody should look at them.
DELETE FROM imgsearch.duplicate d
USING (SELECT tenant_id, image_id, original, 'certain' AS tier FROM imgsearch_found
       UNION ALL SELECT w.*, 'look' FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(originals)s::bigint[]) w) x
WHERE d.tenant_id = x.tenant_id AND d.image_id = x.image_id AND d.original = x.original AND d.tier = x.tier

-- name: clear_looked
-- Of some pictures forget what should be looked at beside them.
DELETE FROM imgsearch.duplicate d USING unnest(%(tenants)s::text[], %(images)s::bigint[]) w (tenant_id, image_id)
WHERE d.tenant_id = w.tenant_id AND d.original = w.image_id AND d.tier = 'look'

-- name: write
-- Keep what was found of pictures that are still there, and still look the same: one may have been replaced since it was
-- compared, and in a group some may be like each other and not like the one in its middle. Their rows are held, so that nobody takes one away under its mark.
WITH pair AS MATERIALIZED (
    SELECT f.tenant_id, f.image_id, o.image_id AS original, w.tier, w.similarity, f.pdq, f.sha256 = o.sha256 AS same, f.tiles, o.tiles AS original_tiles,
           imgsearch_internal.turns(o.pdq, o.turned) AS turns
    FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(originals)s::bigint[], %(tiers)s::text[], %(similarities)s::real[]) w (tenant_id, image_id, original, tier, similarity)
    JOIN imgsearch.fingerprint f ON f.tenant_id = w.tenant_id AND f.image_id = w.image_id
    JOIN imgsearch.fingerprint o ON o.tenant_id = w.tenant_id AND o.image_id = w.original
    FOR KEY SHARE OF f, o
)
INSERT INTO imgsearch.duplicate AS d (tenant_id, image_id, original, tier, distance, turn, similarity)
SELECT p.tenant_id, p.image_id, p.original, p.tier, near.distance, near.turn, p.similarity
FROM pair p, LATERAL (SELECT bit_count(t.bits # p.pdq)::smallint AS distance, t.n::smallint AS turn,
                       p.tier = 'certain' AND (p.same OR bit_count(t.bits # p.pdq) <= %(widest)s
                           AND imgsearch_internal.agree(p.original_tiles, p.tiles, t.n::integer)) AS agrees
               FROM unnest(p.turns) WITH ORDINALITY t (bits, n) ORDER BY 3 DESC NULLS LAST, 1, 2 LIMIT 1) near
WHERE (p.tier = 'look' OR near.agrees) AND NOT imgsearch_internal.is_dismissed(p.tenant_id, p.image_id, p.original)
ON CONFLICT DO NOTHING

-- name: looked
-- Of some pictures those that somebody should look at beside them.
SELECT i.tenant_id, i.image_id AS one, d.duplicate AS other, d.cosine AS similarity
FROM unnest(%(tenants)s::text[], %(images)s::bigint[]) i (tenant_id, image_id),
     LATERAL (SELECT x.* FROM imgsearch.image h, LATERAL imgsearch.duplicates_of(h.image_id, h.tenant_id, %(similarity)s) x
              WHERE h.tenant_id = i.tenant_id AND h.image_id = i.image_id) d  -- one that went meanwhile is no error
WHERE d.tier = 'look' AND d.duplicate > i.image_id

-- name: images
-- Pictures with a hash, some at a time.
SELECT f.tenant_id, f.image_id FROM imgsearch.fingerprint f
WHERE (%(tenant)s::text IS NULL OR f.tenant_id = %(tenant)s) AND (f.tenant_id, f.image_id) > (%(after_tenant)s, %(after_image)s)
ORDER BY f.tenant_id, f.image_id LIMIT %(most)s

-- name: missing
-- Pictures without a hash or its tiles, some at a time.
SELECT i.tenant_id, i.image_id, i.uri, i.sha256 FROM imgsearch.image i
WHERE (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s) AND i.sha256 IS NOT NULL AND i.image_id > %(after_image)s
  AND NOT EXISTS (SELECT 1 FROM imgsearch.fingerprint f WHERE f.tenant_id = i.tenant_id AND f.image_id = i.image_id AND f.tiles IS NOT NULL)
ORDER BY i.image_id LIMIT %(most)s

-- name: count_missing
-- How many there are.
SELECT count(*) FROM imgsearch.image i
WHERE (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s) AND i.sha256 IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM imgsearch.fingerprint f WHERE f.tenant_id = i.tenant_id AND f.image_id = i.image_id AND f.tiles IS NOT NULL)

-- name: store
-- Keep the hashes of pictures that still have these bytes.
SELECT imgsearch_internal.store_fingerprints(%(tenants)s, %(images)s, %(digests)s::bytea[], %(pdqs)s, %(qualities)s::smallint[])

-- name: listed
-- What was found, group by group.
SELECT d.tenant_id, d.original, d.original_product, d.image_id, d.product_id, d.position, d.tier, d.distance, d.turn, d.similarity,
       encode(o.sha256, 'hex') AS original_sha256, encode(i.sha256, 'hex') AS sha256
FROM imgsearch.duplicates d
JOIN imgsearch.image o ON o.tenant_id = d.tenant_id AND o.image_id = d.original
JOIN imgsearch.image i ON i.tenant_id = d.tenant_id AND i.image_id = d.image_id
WHERE (%(tenant)s::text IS NULL OR d.tenant_id = %(tenant)s) AND (%(tier)s::text IS NULL OR d.tier = %(tier)s)
ORDER BY d.tenant_id, d.tier, d.original, d.distance, d.image_id LIMIT %(most)s

-- name: of
-- The pictures that show what one shows.
SELECT d.duplicate AS image_id, d.product_id, d.place AS position, d.tier, d.distance, d.turn, d.cosine AS similarity
FROM imgsearch.duplicates_of(%(image_id)s, %(tenant)s, %(similarity)s) d

-- name: dismiss
-- Say for good that two pictures are not the same.
SELECT imgsearch.dismiss_duplicate(%(image_id)s, %(duplicate)s, %(tenant)s)

-- name: twins
-- Some pictures, and what is certainly the same as one of them, the nearest first: as many as a filter takes.
SELECT coalesce(array_agg(t.image_id ORDER BY t.distance, t.image_id), '{{}}')
FROM (SELECT t.image_id, min(t.distance) AS distance
      FROM imgsearch.image i, LATERAL (
          SELECT i.image_id, -1 AS distance UNION ALL SELECT c.image_id, c.distance FROM imgsearch_internal.certain_twins(i.tenant_id, i.image_id) c) t
      WHERE i.image_id = ANY (%(images)s::bigint[]) AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)
      GROUP BY 1 ORDER BY 2, 1 LIMIT %(most)s) t
