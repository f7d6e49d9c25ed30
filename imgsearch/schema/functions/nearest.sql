-- What the statement of nearest() (nearest.sql) asks of the database.

-- What nearest() asks between sampling and walking: how wide to walk, or a null ef where bits are quicker.
CREATE OR REPLACE FUNCTION imgsearch.gate(
    aimed imgsearch.aimed, aparts double precision[], unit double precision, floor double precision,
    OUT ef integer, OUT walled boolean, OUT effort double precision
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    share  double precision := cardinality(aparts) / nullif(aimed.sampled, 0);
    nearby double precision := share;
    seen   double precision;  -- sampled pictures that this role may see
    edge   double precision;
BEGIN
    IF share IS NULL THEN
        RETURN;
    END IF;
    effort := (share * unit + floor) * aimed.pictures + 2;
    SELECT count(*) INTO seen FROM imgsearch.image_sample;
    walled := seen < aimed.sampled;
    IF share > 0 AND share < 0.95 AND effort > 4 THEN
        SELECT max(x.apart) INTO edge FROM (SELECT s.bits <~> aimed.bits AS apart FROM imgsearch.image_sample s ORDER BY 1 LIMIT 32) x;
        SELECT count(*) / least(32, seen) * seen / aimed.sampled INTO nearby FROM unnest(aparts) a (apart) WHERE a.apart <= edge;
    END IF;
    ef := (imgsearch.walk(aimed, share, nearby, effort)).ef;
END $$;
COMMENT ON FUNCTION imgsearch.gate(imgsearch.aimed, double precision[], double precision, double precision) IS
'aparts: how far the sampled pictures that match are from the query, in bits; unit: ms to rank one that matches, floor: to look at one of all. Answers how wide to walk, and the ms that bits would take.';

-- The page out of what the arms brought: the walk's pictures where they are believed, else the best of the keys
-- (bits apart << 51 | image_id, ascending), compared exactly.
CREATE OR REPLACE FUNCTION imgsearch.settle(
    aimed imgsearch.aimed, tenants text[], images bigint[], distances double precision[], keys bigint[], max_distance double precision
) RETURNS TABLE (tenant_id text, image_id bigint, distance double precision, strategy text, complete boolean)
LANGUAGE plpgsql STABLE ROWS 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    last   integer := aimed.last;
    query  halfvec := aimed.query;
    ranked integer := least(cardinality(keys), aimed.pool);
BEGIN
    strategy := 'hnsw';
    IF images IS NULL THEN
        IF NOT aimed.rough AND cardinality(keys) > last THEN
            ranked := width_bucket((((keys[last] >> 51) + aimed.margin + 1) << 51) - 1, keys[1:ranked]);
        END IF;
        strategy := CASE WHEN ranked = cardinality(keys) THEN 'exact' ELSE 'bits' END;
        -- OFFSET 0: & is not leakproof, and a join on it would wait behind a wall until every vector there was read.
        SELECT array_agg(r.tenant_id), array_agg(r.image_id), array_agg(r.d) INTO tenants, images, distances FROM (
            SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d
            FROM (SELECT u.key & 2251799813685247 AS image_id FROM unnest(keys[1:ranked]) u (key) OFFSET 0) u
            JOIN imgsearch.vectors v ON v.image_id = u.image_id ORDER BY d, v.image_id LIMIT last) r;
    END IF;
    ranked := least(last, coalesce(CASE WHEN max_distance IS NULL THEN cardinality(distances) ELSE width_bucket(max_distance, distances) END, 0));
    complete := strategy = 'exact' OR ranked = last OR max_distance IS NULL;
    RETURN QUERY SELECT x.*, strategy, complete FROM unnest(tenants[1:ranked], images[1:ranked], distances[1:ranked]) x;
END $$;
COMMENT ON FUNCTION imgsearch.settle(imgsearch.aimed, text[], bigint[], double precision[], bigint[], double precision) IS 'The page of nearest(), and how it was found: by the walk''s pictures, or where there are none by the keys.';
