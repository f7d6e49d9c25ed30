-- name: nearest
-- The `last` nearest pictures among candidates, whatever SELECT they come from: nearest() of every door is this text.
-- {query}: an expression of type halfvec. {candidates}: a SELECT of tenant_id, image_id and bits (imgsearch.bits_of(image)); it may repeat a picture where
-- {distinct} is DISTINCT. {sampled}: the same of the sampled pictures, image_id and bits alone: they guess how many match.
-- Then the graph is walked, twice at most, and believed near its centre only, else bits rank all and few are compared
-- exactly. An arm that is not needed is never executed. Like find(), but one flat statement, because the candidates are the caller's own SQL.
WITH imgsearch_asked AS MATERIALIZED (
    -- Three times one row, but a thousand million where a prepared statement is planned without its values: so it is
    -- planned with them each time, as it must (a price range that is not known is taken for 0.5 % of all pictures).
    SELECT a.* FROM imgsearch.aim({query}, %(last)s::integer, %(space)s::integer) a, generate_series(%(last)s::integer, %(last)s::integer) x,
         generate_series(%(last)s::integer, %(last)s::integer) y, generate_series(%(last)s::integer, %(last)s::integer) z
), imgsearch_gate AS MATERIALIZED (
    SELECT g.* FROM imgsearch_asked a, LATERAL imgsearch.gate(a, ARRAY(SELECT s.bits <~> a.bits FROM (SELECT {distinct} s.image_id, s.bits FROM ({sampled}) s) s), {unit}, {floor}) g
), imgsearch_walk AS MATERIALIZED (
    SELECT w.* FROM imgsearch_asked a, imgsearch_gate g, LATERAL imgsearch.neighbours(a, g.ef, g.walled) w
), imgsearch_passed AS MATERIALIZED (
    SELECT {distinct} w.d, w.image_id, w.tenant_id
    FROM imgsearch_walk w JOIN ({candidates}) c ON c.tenant_id = w.tenant_id AND c.image_id = w.image_id
    ORDER BY w.d, w.image_id LIMIT %(last)s::integer + 1
), imgsearch_verdict AS MATERIALIZED (
    SELECT p.*, imgsearch.believed(p.distances, %(last)s::integer, %(max_distance)s::double precision) AS walked
    FROM (SELECT array_agg(p.tenant_id ORDER BY p.d, p.image_id) AS tenants, array_agg(p.image_id ORDER BY p.d, p.image_id) AS images,
                 array_agg(p.d ORDER BY p.d) AS distances FROM imgsearch_passed p) p
), imgsearch_walk_again AS MATERIALIZED (
    -- Too few matched: once more and wider, where that still costs less than bits.
    SELECT w.* FROM imgsearch_asked a, imgsearch_gate g, imgsearch_verdict x,
        LATERAL imgsearch.neighbours(a, CASE WHEN NOT x.walked THEN imgsearch.walk_again(a, g.ef, coalesce(cardinality(x.images), 0), g.effort) END, g.walled) w
), imgsearch_passed_again AS MATERIALIZED (
    SELECT {distinct} w.d, w.image_id, w.tenant_id
    FROM imgsearch_walk_again w JOIN ({candidates}) c ON c.tenant_id = w.tenant_id AND c.image_id = w.image_id
    ORDER BY w.d, w.image_id LIMIT %(last)s::integer + 1
), imgsearch_verdict_again AS MATERIALIZED (
    SELECT p.*, imgsearch.believed(p.distances, %(last)s::integer, %(max_distance)s::double precision) AS walked
    FROM (SELECT array_agg(p.tenant_id ORDER BY p.d, p.image_id) AS tenants, array_agg(p.image_id ORDER BY p.d, p.image_id) AS images,
                 array_agg(p.d ORDER BY p.d) AS distances FROM imgsearch_passed_again p) p
), imgsearch_believed AS MATERIALIZED (
    SELECT v.* FROM imgsearch_verdict v WHERE v.walked UNION ALL SELECT v.* FROM imgsearch_verdict_again v WHERE v.walked
), imgsearch_pool AS MATERIALIZED (
    -- Bits apart << 51 | image_id: one number sorts faster than a row.
    SELECT {distinct} (c.bits <~> (SELECT a.bits FROM imgsearch_asked a))::bigint << 51 | c.image_id AS key
    FROM ({candidates}) c
    WHERE c.bits IS NOT NULL AND NOT EXISTS (SELECT FROM imgsearch_believed)
    ORDER BY 1 LIMIT (SELECT a.pool + 1 FROM imgsearch_asked a)
)
SELECT f.* FROM imgsearch_asked a LEFT JOIN imgsearch_believed x ON true,
    LATERAL imgsearch.settle(a, x.tenants, x.images, x.distances, ARRAY(SELECT p.key FROM imgsearch_pool p), %(max_distance)s::double precision) f
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
