-- Several examples → one vector. What it computes and why: docs/decisions/0011-not-this.md.

CREATE OR REPLACE FUNCTION imgsearch_internal.combined(vectors halfvec[], weights double precision[]) RETURNS halfvec LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    WITH given AS (
        SELECT l2_normalize(g.vector::vector) OPERATOR(@extschema:vector@.*) array_fill(abs(g.weight)::real, ARRAY[vector_dims(g.vector)])::vector AS part, g.weight
        FROM unnest(vectors, weights) WITH ORDINALITY AS g (vector, weight, place)
    ), near AS (
        SELECT l2_normalize(@extschema:vector@.sum(g.part)) AS q FROM given g WHERE g.weight > 0 HAVING vector_norm(@extschema:vector@.sum(g.part)) > 0.01 * max(g.weight)
    ), far AS (
        SELECT l2_normalize(@extschema:vector@.sum(g.part)) AS n, least(1, max(-g.weight)) AS strength FROM given g WHERE g.weight < 0
    ), turn AS (
        -- Half of what they share, and never more than a quarter of the question's length: it is turned, not turned round.
        SELECT near.q, far.n, far.strength * least(greatest(-(near.q <#> far.n), 0) / 2, 0.25) AS by FROM near, far
    )
    SELECT l2_normalize(CASE WHEN t.by > 0 THEN t.q OPERATOR(@extschema:vector@.-) (t.n OPERATOR(@extschema:vector@.*) array_fill(t.by::real, ARRAY[vector_dims(t.q)])::vector) ELSE t.q END)::halfvec FROM turn t
$$;
COMMENT ON FUNCTION imgsearch_internal.combined(halfvec[], double precision[]) IS 'The vector of weighted examples; null where those to be near to cancel out.';

CREATE OR REPLACE FUNCTION imgsearch.combine(vectors halfvec[], weights double precision[]) RETURNS halfvec LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found halfvec;
BEGIN
    IF cardinality(vectors) IS DISTINCT FROM cardinality(weights) OR cardinality(weights) > 64 THEN
        RAISE EXCEPTION 'imgsearch: there are % vectors and % weights', coalesce(cardinality(vectors), 0), coalesce(cardinality(weights), 0)
            USING HINT = 'Give each vector one weight, at most 64 of them.', ERRCODE = 'IM003';
    ELSIF array_position(vectors, NULL) IS NOT NULL OR EXISTS (
        SELECT 1 FROM unnest(weights) w (w) WHERE (abs(w.w) BETWEEN 1e-6 AND 1e6) IS NOT TRUE) THEN
        RAISE EXCEPTION 'imgsearch: a vector is null, or a weight is null, 0, not finite or beyond a million' USING HINT = 'Leave that example out.', ERRCODE = 'IM003';
    ELSIF NOT EXISTS (SELECT 1 FROM unnest(weights) w (w) WHERE w.w > 0) THEN
        RAISE EXCEPTION 'imgsearch: there is nothing to look for' USING HINT = 'Give at least one vector a weight above 0.', ERRCODE = 'IM003';
    END IF;
    found := imgsearch_internal.combined(vectors, weights);
    IF found IS NULL THEN
        RAISE EXCEPTION 'imgsearch: these examples cancel each other out' USING HINT = 'Leave one of them out.', ERRCODE = 'IM007';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION imgsearch.combine(halfvec[], double precision[]) IS
'Several examples as one vector, above 0 to be near to, below 0 "not this": SELECT * FROM imgsearch.search(imgsearch.combine(ARRAY[imgsearch.vec(''red shoe''), imgsearch.vec_of(44)], ARRAY[1, -1]), exclude_image_ids => ARRAY[44]);';
