-- What the statement of nearest() (nearest.sql) asks of the database.

-- The bits of a picture in the active space, for statements that reach image themselves. Inlined by the planner, so
-- that the indexes which hold the bits answer; made anew when another space becomes active.
CREATE OR REPLACE FUNCTION imgsearch.space_activated(id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM imgsearch.image_sample;  -- its bits are of the space before; workers soon draw another
    EXECUTE format('CREATE OR REPLACE FUNCTION imgsearch.bits_of(picture imgsearch.image) RETURNS bit varying LANGUAGE sql STABLE AS %L',
                   CASE WHEN id IS NULL THEN 'SELECT NULL::bit varying' ELSE format('SELECT ($1).bits_%s::bit varying', id) END);
END $$;
SELECT imgsearch.space_activated((SELECT space_id FROM imgsearch.space WHERE state = 'active'));
COMMENT ON FUNCTION imgsearch.bits_of(imgsearch.image) IS 'The bits of a picture in the active space; null until it is embedded.';

-- What nearest() asks between sampling and walking: sets how wide to walk, or answers a null ef where bits are quicker.
CREATE FUNCTION imgsearch.gate(
    aimed imgsearch.aimed, aparts double precision[], unit double precision, floor double precision, OUT ef integer, OUT take integer, OUT of_walked integer
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    share  double precision := cardinality(aparts) / nullif(aimed.sampled, 0);
    nearby double precision := share;
    effort double precision := (share * unit + floor) * aimed.pictures + 2;
    seen   double precision;  -- sampled pictures that this role may see
    edge   double precision;
BEGIN
    IF share IS NULL THEN
        RETURN;
    END IF;
    SELECT count(*) INTO seen FROM imgsearch.image_sample;
    IF share > 0 AND share < 0.95 AND effort > 4 THEN
        SELECT max(x.apart) INTO edge FROM (SELECT s.bits <~> aimed.bits AS apart FROM imgsearch.image_sample s ORDER BY 1 LIMIT 32) x;
        SELECT count(*) / least(32, seen) * seen / aimed.sampled INTO nearby FROM unnest(aparts) a (apart) WHERE a.apart <= edge;
    END IF;
    ef := (imgsearch.walk(aimed, share, nearby, effort, 1.4)).ef;  -- wider than find(), which can walk again
    -- Behind a wall only one tenant's part of the walk comes back: of that, the first part is believed.
    of_walked := CASE WHEN seen < aimed.sampled THEN aimed.spread ELSE 1 END;
    take := CASE WHEN seen < aimed.sampled THEN ef ELSE ef / aimed.spread END;
    IF ef IS NOT NULL THEN
        PERFORM set_config('hnsw.iterative_scan', 'off', true), set_config('hnsw.ef_search', ef::text, true);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch.gate(imgsearch.aimed, double precision[], double precision, double precision) IS
'aparts: how far the sampled pictures that match are from the query, in bits; unit: ms to rank one that matches, floor: to look at one of all. Sets and answers hnsw.ef_search, or null to compare bits; of what the walk brings, `take` are taken, and of those one in `of_walked` is believed.';

-- The page out of what the arms brought: the walk's pictures where they are believed, else the best of the keys
-- (bits apart << 51 | image_id, ascending), compared exactly.
CREATE FUNCTION imgsearch.settle(
    aimed imgsearch.aimed, ef integer, walked boolean, tenants text[], images bigint[], distances double precision[], keys bigint[],
    max_distance double precision
) RETURNS TABLE (tenant_id text, image_id bigint, distance double precision, strategy text, complete boolean)
LANGUAGE plpgsql ROWS 10 SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    last   integer := aimed.last;
    query  halfvec := aimed.query;
    ranked integer := least(cardinality(keys), aimed.pool);
BEGIN
    IF ef IS NOT NULL THEN  -- the transaction has its settings of the HNSW back
        PERFORM set_config('hnsw.iterative_scan', coalesce(aimed.iteration, 'off'), true), set_config('hnsw.ef_search', coalesce(aimed.width, '40'), true);
    END IF;
    IF walked THEN
        strategy := 'hnsw';
    ELSE
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
COMMENT ON FUNCTION imgsearch.settle(imgsearch.aimed, integer, boolean, text[], bigint[], double precision[], bigint[], double precision) IS 'The page of nearest(), and how it was found.';

SELECT imgsearch.refresh_sample();
