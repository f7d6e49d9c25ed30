-- boost => {"in_stock": 0.05, "attributes.popularity": 0.1}: score = 1 - distance + sum of weight * value, value from 0 to 1.

-- An attribute counts as it is, from 0 to 1, whatever other rows have: scaled by the best of a window, the same row
-- would count differently on each page. True is 1; a text, or nothing, is 0. newest halves every 30 days.
CREATE OR REPLACE FUNCTION imgsearch_internal.boost_value(i imgsearch.image, name text) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
    v CONSTANT jsonb := CASE WHEN name LIKE 'attributes.%' THEN i.attributes -> substring(name FROM 12) END;
BEGIN
    RETURN coalesce(CASE name WHEN 'in_stock' THEN i.in_stock::integer
        WHEN 'newest' THEN 0.5 ^ least(1000, greatest(0, extract(epoch FROM now() - i.created_at) / 2592000))
        ELSE CASE jsonb_typeof(v) WHEN 'number' THEN least(greatest(v::numeric, 0), 1) WHEN 'boolean' THEN v::boolean::integer END END, 0);
END $$;
COMMENT ON FUNCTION imgsearch_internal.boost_value(imgsearch.image, text) IS 'How much of a boost an image gets, from 0 to 1.';

CREATE OR REPLACE FUNCTION imgsearch_internal.boosted(pool imgsearch_internal.pool, boost jsonb) RETURNS imgsearch_internal.pool LANGUAGE plpgsql STABLE AS $$
DECLARE
    names   CONSTANT text[] := ARRAY(SELECT b.key FROM jsonb_each(boost) b ORDER BY b.key);
    weights CONSTANT double precision[] := ARRAY(SELECT b.value::double precision FROM jsonb_each(boost) b ORDER BY b.key);
    chosen  integer[];
BEGIN
    SELECT array_agg(u.score + x.shift ORDER BY u.n) INTO pool.scores
    FROM unnest(pool.tenants, pool.images, pool.scores) WITH ORDINALITY u (tenant_id, image_id, score, n)
    LEFT JOIN imgsearch.image i ON i.tenant_id = u.tenant_id AND i.image_id = u.image_id,
        LATERAL (SELECT sum(b.weight * imgsearch_internal.boost_value(i, b.name)) AS shift FROM unnest(names, weights) b (name, weight)) x;
    chosen := ARRAY(SELECT u.n::integer FROM unnest(pool.scores, pool.firsts, pool.images) WITH ORDINALITY u (score, first, image, n) ORDER BY u.first DESC, u.score DESC, u.n);
    RETURN imgsearch_internal.picked(pool, chosen);
END $$;
COMMENT ON FUNCTION imgsearch_internal.boosted(imgsearch_internal.pool, jsonb) IS 'The rows by their score with each boost added.';
