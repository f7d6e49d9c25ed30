-- name: set
-- The language of a shop's words, and what is kept for it, what becomes of duplicates.
SELECT imgsearch.set_shop(%(tenant)s, %(language)s, %(keep_questions)s, %(duplicates)s, %(describe_pictures)s, %(keep_captures)s, %(regions)s, %(regions_per_picture)s)

-- name: show
-- What a shop says of itself, and how far workers have come with what it asks for.
SELECT t.tenant AS tenant, coalesce(s.language, 'simple') AS language, coalesce(s.keep_questions, false) AS keep_questions,
       coalesce(s.duplicates, 'keep') AS duplicates,
       coalesce(s.describe_pictures, false) AS describe_pictures, coalesce(s.keep_captures, false) AS keep_captures,
       coalesce(s.region_proposer, 'off') AS regions, coalesce(s.regions_per_picture, 5) AS regions_per_picture,
       p.pictures, p.described, p.read AS captures_read, p.timed AS with_time, p.placed AS with_place, r.with_regions, r.regions_wait, r.regions_failed
FROM (SELECT %(tenant)s::text) t (tenant) LEFT JOIN imgsearch.shop s ON s.tenant_id = t.tenant,
     LATERAL (SELECT count(*) AS pictures, count(*) FILTER (WHERE i.attributes ? 'picture_shape') AS described,
                     count(c.image_id) AS read, count(c.taken_at) AS timed, count(c.latitude) AS placed
              FROM imgsearch.image i LEFT JOIN imgsearch.capture c ON c.tenant_id = i.tenant_id AND c.image_id = i.image_id AND c.sha256 = i.sha256
              WHERE i.tenant_id = t.tenant) p,
     imgsearch_internal.count_regions(imgsearch_internal.searched_space(), t.tenant) r

-- name: forget_regions
-- Remove the parts of some pictures of a shop that asks for none any more; returns of how many.
SELECT imgsearch.forget_regions(%(tenant)s)

-- name: suggest
-- What somebody may be typing.
SELECT suggestion, kind, product_id FROM imgsearch.suggest(%(typed)s, %(tenant)s, %(k)s,
    (SELECT imgsearch.filters_of(%(filters)s::jsonb) WHERE %(filters)s::jsonb IS NOT NULL))
