-- name: nearest
-- The `last` nearest rows among candidates, whatever SELECT they come from: nearest() of every door is this text.
-- {query}: an expression of type halfvec. {candidates}: a SELECT of tenant_id, image_id and bits
-- (imgsearch_internal.bits_of(image)); it may repeat an image where {distinct} is DISTINCT. {sampled}: the same of the
-- sampled images, image_id and bits alone: they guess how many match. {access}: how bits are read, see bits_ms().
-- {per}: 'label' where a row stands for a group, else NULL. {group}: the group as text (of collation C: bytes are
-- compared), out of the {columns} of that name that {candidates} has as well, which are cast where few are left: behind
-- a LIMIT, or for what a walk met.
-- The steps are those of find(), each as nearest_step() settles it: of the two arms, the one that the plan names is
-- executed. One flat statement, because the candidates are the caller's own SQL.
WITH RECURSIVE imgsearch_asked AS MATERIALIZED (
    -- Three times one row, but a thousand million where a prepared statement is planned without its values: so it is
    -- planned with them each time, as it must (a price range that is not known is taken for 0.5 % of all images).
    SELECT a AS ctx, a.bits FROM imgsearch_internal.nearest_context({query}, %(last)s::integer, %(space)s::integer, {per}) a,
         generate_series(%(last)s::integer, %(last)s::integer) x, generate_series(%(last)s::integer, %(last)s::integer) y,
         generate_series(%(last)s::integer, %(last)s::integer) z
), imgsearch_step (ctx, bits, plan, ef, pool, answer) AS (
    SELECT a.ctx, a.bits, g, CASE WHEN g.source = 'hnsw' THEN g.ef END, g.pool, NULL::imgsearch_internal.page
    FROM imgsearch_asked a, LATERAL imgsearch_internal.nearest_plan(a.ctx,
        ARRAY(SELECT imgsearch_internal.differ(s.bits, a.bits) FROM (SELECT {distinct} s.image_id, s.bits FROM ({sampled}) s) s),
        {access}) g
    UNION ALL
    SELECT n.ctx, s.bits, n.plan, CASE WHEN (n.plan).source = 'hnsw' THEN (n.plan).ef END, (n.plan).pool, n.answer
    FROM imgsearch_step s, LATERAL (
        SELECT array_agg(z.tenant_id) AS tenants, array_agg(z.image_id) AS images, array_agg(z.d) AS distances,
               NULL::bigint[] AS keys, array_agg(z.label) AS labels
        FROM (SELECT {distinct} h.d, h.image_id, h.tenant_id, {group} AS label
              FROM imgsearch_internal.hnsw_candidates(s.ctx, s.ef, (s.plan).restricted) h
              JOIN ({candidates}) c ON c.tenant_id = h.tenant_id AND c.image_id = h.image_id
              ORDER BY h.d, h.image_id, label) z
        HAVING s.ef IS NOT NULL
        UNION ALL
        SELECT NULL, NULL, NULL, array_agg(c.key), array_agg({group})
        FROM (SELECT {distinct} imgsearch_internal.pack_key(imgsearch_internal.differ(c.bits, s.bits), c.image_id) AS key {columns}
              FROM ({candidates}) c WHERE c.bits IS NOT NULL ORDER BY 1 LIMIT s.pool + 1) c
        HAVING s.ef IS NULL
        -- LIMIT: of many rows, as the planner takes it for, it would join the caller's tables by reading them whole.
        LIMIT 1) x, LATERAL imgsearch_internal.nearest_step(s.ctx, s.plan, x.tenants, x.images, x.distances, x.keys, x.labels,
            %(max_distance)s::double precision, %(last)s::integer) n
    WHERE (s.answer).strategy IS NULL
)
SELECT f.tenant_id, f.image_id, f.distance, (s.answer).strategy, (s.answer).complete, f.label
FROM imgsearch_step s, LATERAL unnest((s.answer).tenants, (s.answer).images, (s.answer).distances, (s.answer).products)
    f (tenant_id, image_id, distance, label)
WHERE (s.answer).strategy IS NOT NULL

-- name: nearest_exact
-- The same, comparing every candidate: for pages so deep that ranking by bits saves nothing.
WITH imgsearch_asked AS MATERIALIZED (
    SELECT a.* FROM imgsearch_internal.search_context({query}, %(last)s::integer, %(space)s::integer, {per}) a
), imgsearch_ranked AS MATERIALIZED (
    SELECT {first} v.tenant_id, v.image_id, imgsearch_internal.apart(v.embedding, (SELECT a.query FROM imgsearch_asked a)) AS d, {group} AS label
    FROM ({candidates}) c JOIN imgsearch.vectors v ON v.tenant_id = c.tenant_id AND v.image_id = c.image_id {order}
)
SELECT r.tenant_id, r.image_id, r.d AS distance, 'exact' AS strategy, true AS complete, r.label
FROM imgsearch_ranked r WHERE coalesce(r.d <= %(max_distance)s::double precision, true)
ORDER BY r.d, r.image_id, r.label LIMIT %(last)s::integer
