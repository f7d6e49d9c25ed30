-- sort => 'price': a window by what its rows cost, not by how near they are.

-- name: price, newest, or an attribute. Numbers (class 0) stand before texts (1), those before true and false (2), and
-- rows that have none of it last, whichever way is sorted; equal ones by distance.
CREATE OR REPLACE FUNCTION imgsearch_internal.sort_value(i imgsearch.image, name text, OUT class integer, OUT number double precision, OUT words text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v    CONSTANT jsonb := CASE name WHEN 'price' THEN to_jsonb(i.price) WHEN 'newest' THEN to_jsonb(-extract(epoch FROM i.created_at)::double precision)
                                     ELSE i.attributes -> substring(name FROM 12) END;
    kind CONSTANT text := jsonb_typeof(v);
BEGIN
    class := CASE kind WHEN 'number' THEN 0 WHEN 'string' THEN 1 WHEN 'boolean' THEN 2 ELSE 3 END;
    number := CASE kind WHEN 'number' THEN least(greatest(v::numeric, -1e300), 1e300)::double precision WHEN 'boolean' THEN v::boolean::integer END;
    words := CASE kind WHEN 'string' THEN left(v #>> '{}', 60) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.sort_value(imgsearch.image, text) IS 'What an image is sorted by: a number, or the first 60 letters of a text.';

-- Behind the row that `at` tells of: that row is put among the others, so that no comparison stands here twice.
CREATE OR REPLACE FUNCTION imgsearch_internal.sorted(pool imgsearch_internal.pool, sort text, at imgsearch_internal.place) RETURNS imgsearch_internal.pool LANGUAGE plpgsql STABLE AS $$
DECLARE
    name CONSTANT text := ltrim(sort, '-');
    turn CONSTANT integer := CASE WHEN sort LIKE '-%' THEN -1 ELSE 1 END;
    kept integer[];
BEGIN
    SELECT array_agg(x.class ORDER BY u.n), array_agg(x.number ORDER BY u.n), array_agg(x.words ORDER BY u.n) INTO pool.classes, pool.numbers, pool.texts
    FROM unnest(pool.tenants, pool.images) WITH ORDINALITY u (tenant_id, image_id, n)
    LEFT JOIN imgsearch.image i ON i.tenant_id = u.tenant_id AND i.image_id = u.image_id, LATERAL imgsearch_internal.sort_value(i, name) x;
    WITH every AS (
        SELECT u.n, u.class, u.number, u.text, coalesce(u.distance, 3) AS distance, u.image, false AS here
        FROM unnest(pool.classes, pool.numbers, pool.texts, pool.distances, pool.images) WITH ORDINALITY u (class, number, text, distance, image, n)
        UNION ALL SELECT NULL, at.class, at.value, CASE at.class WHEN 1 THEN at.words END, at.distance, at.image, true WHERE at.class IS NOT NULL
    ), placed AS (
        SELECT e.n, e.here, row_number() OVER (ORDER BY e.class, turn * e.number, CASE WHEN turn > 0 THEN e.text END, CASE WHEN turn < 0 THEN e.text END DESC, e.distance, e.image, e.here) AS place
        FROM every e
    )
    SELECT coalesce(array_agg(p.n::integer ORDER BY p.place), '{}') INTO kept FROM placed p
    WHERE NOT p.here AND p.place > coalesce((SELECT o.place FROM placed o WHERE o.here), 0);
    RETURN imgsearch_internal.picked(pool, kept);
END $$;
COMMENT ON FUNCTION imgsearch_internal.sorted(imgsearch_internal.pool, text, imgsearch_internal.place) IS 'The rows by price, age or an attribute, nulls last, behind the row that was shown last.';
