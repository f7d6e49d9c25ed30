-- name: nearest
-- The `last` nearest pictures among candidates, whatever SELECT they come from: nearest() of every door is this text.
-- {query}: an expression of type halfvec. {candidates}: a SELECT of tenant_id, image_id and bits (imgsearch.bits_of(image)); it may repeat a picture where
-- {distinct} is DISTINCT, and stands here three times: the sample guesses how many match, the graph is walked and
-- believed near its centre only, else bits rank all and few are compared exactly. An arm that is not needed is never
-- executed. Like find(), but one flat statement, because the candidates are the caller's own SQL.
WITH imgsearch_asked AS MATERIALIZED (
    SELECT a.* FROM imgsearch.aim({query}, %(last)s::integer, %(space)s::integer) a
), imgsearch_near AS MATERIALIZED (
    SELECT max(x.apart) AS apart, count(*) AS pictures
    FROM (SELECT s.bits <~> (SELECT a.bits FROM imgsearch_asked a) AS apart FROM imgsearch.image_sample s ORDER BY 1 LIMIT 32) x
), imgsearch_hits AS MATERIALIZED (
    SELECT count(*) AS pictures, count(*) FILTER (WHERE x.apart <= (SELECT n.apart FROM imgsearch_near n)) AS near
    FROM (SELECT {distinct} s.image_id, s.bits <~> (SELECT a.bits FROM imgsearch_asked a) AS apart
          FROM imgsearch.image_sample s JOIN ({candidates}) c ON c.tenant_id = s.tenant_id AND c.image_id = s.image_id) x
), imgsearch_gate AS MATERIALIZED (
    SELECT imgsearch.gate(a, h.pictures, h.near, (SELECT count(*) FROM imgsearch.image_sample s), n.pictures, {unit}) AS ef
    FROM imgsearch_asked a, imgsearch_hits h, imgsearch_near n
), imgsearch_walk AS MATERIALIZED (
    SELECT w.tenant_id, w.image_id, w.d
    FROM (SELECT v.*, row_number() OVER (ORDER BY v.d) AS place, count(*) OVER () AS walked
          FROM (SELECT v.tenant_id, v.image_id, v.embedding <=> (SELECT a.query FROM imgsearch_asked a) AS d FROM imgsearch.vectors v
                WHERE (SELECT g.ef FROM imgsearch_gate g) IS NOT NULL
                ORDER BY v.embedding <=> (SELECT a.query FROM imgsearch_asked a) LIMIT 1000) v) w
    WHERE w.place <= w.walked / (SELECT a.spread FROM imgsearch_asked a)
), imgsearch_passed AS MATERIALIZED (
    SELECT {distinct} w.tenant_id, w.image_id, w.d
    FROM imgsearch_walk w JOIN ({candidates}) c ON c.tenant_id = w.tenant_id AND c.image_id = w.image_id
    ORDER BY w.d, w.image_id LIMIT %(last)s::integer + 1
), imgsearch_verdict AS MATERIALIZED (
    -- The row behind the page must be farther away: rows as far as its last one may be missing here.
    SELECT coalesce(count(*) > %(last)s::integer AND max(p.d) > (SELECT q.d FROM imgsearch_passed q ORDER BY q.d, q.image_id OFFSET %(last)s::integer - 1 LIMIT 1)
                    OR max(p.d) > %(max_distance)s::double precision, false) AS walked
    FROM imgsearch_passed p
), imgsearch_pool AS MATERIALIZED (
    -- Bits apart << 51 | image_id: one number sorts faster than a row.
    SELECT {distinct} (c.bits <~> (SELECT a.bits FROM imgsearch_asked a))::bigint << 51 | c.image_id AS key
    FROM ({candidates}) c
    WHERE c.bits IS NOT NULL AND NOT (SELECT x.walked FROM imgsearch_verdict x)
    ORDER BY 1 LIMIT (SELECT a.pool + 1 FROM imgsearch_asked a)
), imgsearch_edge AS MATERIALIZED (
    SELECT CASE WHEN a.rough THEN NULL ELSE ((SELECT p.key >> 51 FROM imgsearch_pool p ORDER BY p.key OFFSET %(last)s::integer - 1 LIMIT 1) + a.margin + 1) << 51 END AS key,
           (SELECT count(*) FROM imgsearch_pool) AS pictures, a.pool
    FROM imgsearch_asked a
), imgsearch_best AS MATERIALIZED (
    -- On its own: & is not leakproof, and a join on it would wait behind a wall until every vector there was read.
    SELECT p.key & 2251799813685247 AS image_id FROM imgsearch_pool p WHERE coalesce(p.key < (SELECT e.key FROM imgsearch_edge e), true)
), imgsearch_ranked AS MATERIALIZED (
    SELECT v.tenant_id, v.image_id, v.embedding <=> (SELECT a.query FROM imgsearch_asked a) AS d
    FROM imgsearch_best b JOIN imgsearch.vectors v ON v.image_id = b.image_id
), imgsearch_picked AS MATERIALIZED (
    SELECT x.* FROM (SELECT p.* FROM imgsearch_passed p WHERE (SELECT y.walked FROM imgsearch_verdict y) UNION ALL SELECT r.* FROM imgsearch_ranked r) x
    WHERE coalesce(x.d <= %(max_distance)s::double precision, true)
    ORDER BY x.d, x.image_id LIMIT %(last)s::integer
), imgsearch_told AS MATERIALIZED (
    SELECT CASE WHEN x.walked THEN 'hnsw' WHEN e.pictures <= e.pool AND (SELECT count(*) FROM imgsearch_ranked) = e.pictures THEN 'exact' ELSE 'bits' END AS strategy,
           imgsearch.ungate(a, g.ef) AS ungated, (SELECT count(*) FROM imgsearch_picked) AS pictures
    FROM imgsearch_asked a, imgsearch_gate g, imgsearch_verdict x, imgsearch_edge e
)
SELECT p.tenant_id, p.image_id, p.d AS distance, t.strategy,
       t.strategy = 'exact' OR t.pictures = %(last)s::integer OR %(max_distance)s::double precision IS NULL AS complete
FROM imgsearch_picked p, imgsearch_told t
-- name: nearest_exact
-- The same, comparing every candidate: for pages so deep that ranking by bits saves nothing.
WITH imgsearch_asked AS MATERIALIZED (
    SELECT a.* FROM imgsearch.aim({query}, %(last)s::integer, %(space)s::integer) a
), imgsearch_ranked AS MATERIALIZED (
    SELECT {distinct} v.tenant_id, v.image_id, v.embedding <=> (SELECT a.query FROM imgsearch_asked a) AS d
    FROM ({candidates}) c JOIN imgsearch.vectors v ON v.tenant_id = c.tenant_id AND v.image_id = c.image_id
)
SELECT r.tenant_id, r.image_id, r.d AS distance, 'exact' AS strategy, true AS complete
FROM imgsearch_ranked r WHERE coalesce(r.d <= %(max_distance)s::double precision, true)
ORDER BY r.d, r.image_id LIMIT %(last)s::integer
