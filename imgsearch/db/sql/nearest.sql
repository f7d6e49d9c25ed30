-- name: asked
-- What is asked and how wide to walk: the first parts of every statement here but the exact ones.
imgsearch_asked AS MATERIALIZED (
    -- Three times one row, but a thousand million where a prepared statement is planned without its values: so it is
    -- planned with them each time, as it must (a price range that is not known is taken for 0.5 % of all images).
    SELECT a AS ctx, a.query, a.bits FROM imgsearch_internal.{context}({query}, %(last)s::integer, %(space)s::integer) a, generate_series(%(last)s::integer, %(last)s::integer) x,
         generate_series(%(last)s::integer, %(last)s::integer) y, generate_series(%(last)s::integer, %(last)s::integer) z
), imgsearch_plan AS MATERIALIZED (
    -- One row of both: each relation less in a round of walking is a tenth of its planning.
    SELECT a.ctx, a.bits, g AS plan, g.ef, g.share, g.restricted, g.bits_ms FROM imgsearch_asked a, LATERAL imgsearch_internal.{plan}(a.ctx,
        ARRAY(SELECT imgsearch_internal.differ(s.bits, a.bits) FROM (SELECT {distinct} s.image_id, s.bits FROM ({sampled}) s) s), {access}) g
)

-- name: nearest
-- The `last` nearest images among candidates, whatever SELECT they come from: nearest() of every door is this text.
-- {query}: an expression of type halfvec. {candidates}: a SELECT of tenant_id, image_id and bits
-- (imgsearch_internal.bits_of(image)); it may repeat an image where {distinct} is DISTINCT. {sampled}: the same of the
-- sampled images, image_id and bits alone: they guess how many match. {access}: how bits are read, see bits_cost_ms().
-- The steps are those of find(): the graph is walked, twice at most, and believed near its centre only, else bits rank
-- all and few are compared exactly. An arm that is not needed is never executed. One flat statement, because the
-- candidates are the caller's own SQL.
WITH RECURSIVE {asked}, imgsearch_walk (round, next, tenants, images, distances, trusted) AS (
    SELECT 0, g.ef, NULL::text[], NULL::bigint[], NULL::double precision[], false FROM imgsearch_plan g
    UNION ALL
    -- next: where too few matched, once more and wider, if that still costs less than bits.
    SELECT w.round + 1, imgsearch_internal.widen_ef(g.ctx, w.next, coalesce(cardinality(x.images), 0), g.bits_ms), x.tenants, x.images, x.distances,
           imgsearch_internal.is_trusted(x.distances[1:imgsearch_internal.sure(g.ctx, g.share, g.restricted, w.next, cardinality(x.images))],
                                         %(last)s::integer, %(max_distance)s::double precision)
    FROM imgsearch_walk w, imgsearch_plan g,
         LATERAL (SELECT array_agg(z.tenant_id) AS tenants, array_agg(z.image_id) AS images, array_agg(z.d) AS distances FROM (
             SELECT {distinct} h.d, h.image_id, h.tenant_id FROM imgsearch_internal.hnsw_candidates(g.ctx, w.next, g.restricted) h
             JOIN ({candidates}) c ON c.tenant_id = h.tenant_id AND c.image_id = h.image_id
             ORDER BY h.d, h.image_id) z) x
    WHERE w.round < 2 AND NOT w.trusted AND w.next IS NOT NULL
), imgsearch_trusted AS MATERIALIZED (
    SELECT w.tenants, w.images, w.distances FROM imgsearch_walk w WHERE w.trusted
), imgsearch_pool (round, found) AS (
    SELECT 0, NULL::imgsearch_internal.page WHERE NOT EXISTS (SELECT 1 FROM imgsearch_trusted)
    UNION ALL
    -- Once more and wider where the pool may lack rows of the page.
    SELECT p.round + 1, imgsearch_internal.nearest_by_bits(g.ctx, p.round, x.keys)
    FROM imgsearch_pool p, imgsearch_plan g, LATERAL (SELECT (imgsearch_internal.pool_of_round(g.ctx, p.round)).pool AS size) n,
         LATERAL (SELECT array_agg(c.key) AS keys FROM (
             SELECT {distinct} imgsearch_internal.pack_key(imgsearch_internal.differ(c.bits, g.bits), c.image_id) AS key FROM ({candidates}) c
             WHERE c.bits IS NOT NULL ORDER BY 1 LIMIT n.size + 1) c) x
    WHERE (p.found).strategy IS NULL
)
SELECT f.tenant_id, f.image_id, f.distance, f.strategy, f.complete FROM imgsearch_plan g LEFT JOIN imgsearch_trusted x ON true,
    LATERAL imgsearch_internal.nearest_page(g.ctx, x.tenants, x.images, x.distances, (SELECT p.found FROM imgsearch_pool p WHERE (p.found).strategy IS NOT NULL), %(max_distance)s::double precision) f

-- name: nearest_groups
-- The same with a row per group, its nearest image, ordered by (distance, image_id, group). {group}: the group as text (of
-- collation C: bytes are compared), out of the {columns} of that name that {candidates} has as well, which
-- are cast where few are left: behind a LIMIT, or for what a walk met. A candidate that is there twice does no harm. Both arms count groups: a walk is believed where the
-- page's last group lies nearer than the farthest image it met, and bits are ranked wider until they hold the groups.
WITH RECURSIVE {asked}, imgsearch_walk (round, next, tenants, images, distances, groups, trusted) AS (
    SELECT 0, g.ef, NULL::text[], NULL::bigint[], NULL::double precision[], NULL::text[] COLLATE "C", false FROM imgsearch_plan g
    UNION ALL
    SELECT w.round + 1, imgsearch_internal.widen_ef(g.ctx, w.next, coalesce(cardinality(x.images), 0), g.bits_ms), x.tenants, x.images, x.distances, x.groups,
           imgsearch_internal.is_trusted(x.distances || x.reach, %(last)s::integer, %(max_distance)s::double precision)
    FROM imgsearch_walk w, imgsearch_plan g,
         LATERAL (SELECT array_agg(z.tenant_id) AS tenants, array_agg(z.image_id) AS images, array_agg(z.d) AS distances, array_agg(z.label) AS groups, max(z.reach) AS reach FROM (
             SELECT y.* FROM (
                 SELECT DISTINCT ON (m.label) m.* FROM (
                     SELECT h.d, h.image_id, h.tenant_id, {group} AS label, max(h.d) OVER () AS reach
                     FROM imgsearch_internal.hnsw_candidates(g.ctx, w.next, g.restricted) h JOIN ({candidates}) c ON c.tenant_id = h.tenant_id AND c.image_id = h.image_id) m
                 ORDER BY m.label, m.d, m.image_id) y
             ORDER BY y.d, y.image_id, y.label) z) x
    WHERE w.round < 2 AND NOT w.trusted AND w.next IS NOT NULL
), imgsearch_trusted AS MATERIALIZED (
    SELECT w.tenants, w.images, w.distances, w.groups FROM imgsearch_walk w WHERE w.trusted
), imgsearch_pool (round, size, keys, groups, enough) AS (
    SELECT 0, NULL::bigint, NULL::bigint[], NULL::text[] COLLATE "C", NULL::integer WHERE NOT EXISTS (SELECT 1 FROM imgsearch_trusted)
    UNION ALL
    SELECT p.round + 1, n.size, x.keys, x.groups, imgsearch_internal.groups_within(g.ctx, x.keys, x.groups, n.size)
    FROM imgsearch_pool p, imgsearch_plan g, LATERAL (SELECT imgsearch_internal.pool_of_groups(g.ctx, p.round) AS size) n,
         LATERAL (SELECT array_agg(c.key) AS keys, array_agg({group}) AS groups FROM (
             SELECT imgsearch_internal.pack_key(imgsearch_internal.differ(c.bits, g.bits), c.image_id) AS key, {columns} FROM ({candidates}) c
             WHERE c.bits IS NOT NULL ORDER BY 1 LIMIT n.size + 1) c) x
    WHERE p.enough IS NULL
)
SELECT f.tenant_id, f.image_id, f.distance, f.strategy, f.complete, f.label FROM imgsearch_plan g,
    -- LIMIT: of many rows, as the planner takes it for, it would join the caller's tables by reading them whole.
    (SELECT w.tenants, w.images, w.distances, w.groups, NULL::bigint[] AS keys, NULL::integer AS enough FROM imgsearch_trusted w
     UNION ALL SELECT NULL, NULL, NULL, p.groups, p.keys, p.enough FROM imgsearch_pool p WHERE p.enough IS NOT NULL LIMIT 1) x,
    LATERAL imgsearch_internal.nearest_groups(g.ctx, x.tenants, x.images, x.distances, x.groups, x.keys, x.enough, %(max_distance)s::double precision) f

-- name: nearest_exact
-- The same, comparing every candidate: for pages so deep that ranking by bits saves nothing.
WITH imgsearch_asked AS MATERIALIZED (
    SELECT a.* FROM imgsearch_internal.search_context({query}, %(last)s::integer, %(space)s::integer) a
), imgsearch_ranked AS MATERIALIZED (
    SELECT {distinct} v.tenant_id, v.image_id, imgsearch_internal.apart(v.embedding, (SELECT a.query FROM imgsearch_asked a)) AS d
    FROM ({candidates}) c JOIN imgsearch.vectors v ON v.tenant_id = c.tenant_id AND v.image_id = c.image_id
)
SELECT r.tenant_id, r.image_id, r.d AS distance, 'exact' AS strategy, true AS complete
FROM imgsearch_ranked r WHERE coalesce(r.d <= %(max_distance)s::double precision, true)
ORDER BY r.d, r.image_id LIMIT %(last)s::integer

-- name: nearest_groups_exact
-- The same with a row per group.
WITH imgsearch_asked AS MATERIALIZED (
    SELECT a.* FROM imgsearch_internal.search_context({query}, %(last)s::integer, %(space)s::integer) a
), imgsearch_ranked AS MATERIALIZED (
    SELECT DISTINCT ON (y.label) y.* FROM (
        SELECT v.tenant_id, v.image_id, imgsearch_internal.apart(v.embedding, (SELECT a.query FROM imgsearch_asked a)) AS d, {group} AS label
        FROM ({candidates}) c JOIN imgsearch.vectors v ON v.tenant_id = c.tenant_id AND v.image_id = c.image_id) y
    ORDER BY y.label, y.d, y.image_id
)
SELECT r.tenant_id, r.image_id, r.d AS distance, 'exact' AS strategy, true AS complete, r.label
FROM imgsearch_ranked r WHERE coalesce(r.d <= %(max_distance)s::double precision, true)
ORDER BY r.d, r.image_id, r.label LIMIT %(last)s::integer
