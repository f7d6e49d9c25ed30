-- name: nearest
-- The statement of nearest.sql where parts of pictures weigh, %(regions)s: above 0, up to 1. Two graphs are walked, of
-- pictures and of regions, and the candidates among what they met ({met}) are compared, whole and by all of their regions.
-- A picture that neither met lies farther than the mean of the two edges, weighed in the same way: so a page is believed
-- when its last row lies nearer; else both are walked wider, and where that would cost more, all ({every}) are compared.
WITH RECURSIVE {asked}, imgsearch_walk (wide, edges, tenants, images, distances, labels, trusted) AS (
    SELECT NULL::integer[], NULL::double precision[], NULL::text[], NULL::bigint[], NULL::double precision[], NULL::text[] COLLATE "C", false
    FROM imgsearch_plan g WHERE g.ef IS NOT NULL
    UNION ALL
    SELECT m.wide, m.edges, x.tenants, x.images, x.distances, x.labels,
           coalesce(least(x.distances[%(last)s::integer], %(max_distance)s::double precision)
                    < imgsearch_internal.regional(m.edges[1], m.edges[2], %(regions)s::double precision), false)
    FROM imgsearch_walk w, imgsearch_plan g,
         LATERAL imgsearch_internal.walk_regions_round(g.ctx, g.plan, w.wide, w.edges, w.distances, %(max_distance)s::double precision, %(regions)s::double precision) m,
         LATERAL (SELECT array_agg(z.tenant_id) AS tenants, array_agg(z.image_id) AS images, array_agg(z.d) AS distances, array_agg(z.label) AS labels
                  FROM (SELECT z.* FROM ({met}) z ORDER BY z.d, z.image_id, z.label) z) x
    WHERE NOT w.trusted AND m.wide IS NOT NULL
), imgsearch_compared AS MATERIALIZED (
    {every}
)
SELECT f.tenant_id, f.image_id, f.distance, f.strategy, true AS complete, f.label FROM (
    SELECT u.*, 'hnsw' AS strategy FROM imgsearch_walk w, unnest(w.tenants, w.images, w.distances, w.labels) u (tenant_id, image_id, distance, label) WHERE w.trusted
    UNION ALL SELECT c.tenant_id, c.image_id, c.d, c.label, 'exact' FROM imgsearch_compared c) f
WHERE coalesce(f.distance <= %(max_distance)s::double precision, true)
ORDER BY f.distance, f.image_id, f.label LIMIT %(last)s::integer

-- name: nearest_exact
-- The same, comparing every candidate: for pages so deep that walks save nothing.
WITH imgsearch_asked AS MATERIALIZED (
    SELECT a.* FROM imgsearch_internal.search_context({query}, %(last)s::integer, %(space)s::integer) a
), imgsearch_compared AS MATERIALIZED (
    {every}
)
SELECT f.tenant_id, f.image_id, f.d AS distance, 'exact' AS strategy, true AS complete, f.label
FROM imgsearch_compared f WHERE coalesce(f.d <= %(max_distance)s::double precision, true)
ORDER BY f.d, f.image_id, f.label LIMIT %(last)s::integer

-- name: each_picture
-- A row of these per picture ({these} repeats none).
SELECT c.tenant_id, c.image_id, c.d, NULL::text COLLATE "C" AS label FROM ({compared}) c

-- name: each_group
-- A row per group, its nearest picture.
SELECT DISTINCT ON (g.label) g.tenant_id, g.image_id, g.d, g.label FROM (SELECT c.tenant_id, c.image_id, c.d, {group} AS label FROM ({compared}) c) g ORDER BY g.label, g.d, g.image_id

-- name: compared
-- How far each of these is. {needed}: whether anybody wants to know.
SELECT {told}, imgsearch_internal.regional(c.whole, c.region, %(regions)s::double precision) AS d FROM (
    SELECT c.*, imgsearch_internal.apart(v.embedding, (SELECT a.query FROM imgsearch_asked a)) AS whole,
           (SELECT min(imgsearch_internal.apart(r.embedding, (SELECT a.query FROM imgsearch_asked a))) FROM imgsearch.regions r
            WHERE r.tenant_id = c.tenant_id AND r.image_id = c.image_id) AS region
    FROM ({these}) c JOIN imgsearch.vectors v ON v.tenant_id = c.tenant_id AND v.image_id = c.image_id
    WHERE {needed} OFFSET 0) c

-- name: met
-- The candidates that the walks met.
SELECT {columns} FROM (SELECT DISTINCT u.* FROM unnest(m.tenants, m.images) u (tenant_id, image_id)) u
JOIN ({candidates}) c ON c.tenant_id = u.tenant_id AND c.image_id = u.image_id

-- name: every
-- All candidates.
SELECT {columns} FROM ({candidates}) c
