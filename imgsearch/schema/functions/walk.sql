-- What is known before a search begins: the query's bits, the space, and whether the graph should be walked.

CREATE OR REPLACE FUNCTION imgsearch.aim(query halfvec, last integer, space integer DEFAULT NULL) RETURNS imgsearch.aimed
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    here  record;
    aimed imgsearch.aimed;
    far   boolean;  -- a text, or a picture unlike all of ours
    many  double precision;  -- above 1: among more pictures walks go wider and are believed less, and more bits are compared exactly
BEGIN
    SELECT s.space_id, s.dimension, s.mean, s.mean_text, (s.parameters #>> '{sample,size}')::double precision AS sampled,
           coalesce((s.parameters #>> '{sample,pictures}')::double precision, (
               SELECT c.reltuples FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('imgsearch.embedding_' || s.space_id))) AS pictures,
           (s.parameters #>> '{sample,radius}')::double precision AS radius,
           -- imgsearch.search: the same parameters for one transaction; how tune tries them without writing
           (p.search ->> 'ef')::integer AS ef, (p.search ->> 'pool')::integer AS pool,
           EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indexrelid = to_regclass('imgsearch.embedding_' || s.space_id || '_hnsw')
                   AND x.indisvalid) AS indexed
    INTO here FROM imgsearch.space s,
         LATERAL (SELECT coalesce(nullif(current_setting('imgsearch.search', true), '')::jsonb, s.parameters -> 'search') AS search) p
    WHERE s.state = 'active';
    IF here.space_id IS NULL THEN
        PERFORM imgsearch.active_space();  -- knows what to say
    ELSIF space <> here.space_id THEN
        RAISE EXCEPTION 'imgsearch: the query is a vector of space %, but space % is searched', space, here.space_id
            USING HINT = 'Ask again: another model has just taken over.', ERRCODE = 'IM002';
    ELSIF query IS NULL OR vector_dims(query) <> here.dimension THEN
        RAISE EXCEPTION 'imgsearch: the query has % dimensions, the active space has %', coalesce(vector_dims(query), 0), here.dimension
            USING HINT = 'Use a vector of the active space: imgsearch.vec(''red shoe'') or imgsearch.vec_of(42).', ERRCODE = 'IM007';
    ELSIF l2_norm(query) = 0 THEN
        RAISE EXCEPTION 'imgsearch: the query vector is zero and points nowhere' USING HINT = 'Use imgsearch.vec(''red shoe'') or imgsearch.vec_of(42).', ERRCODE = 'IM007';
    END IF;
    -- Bits are signs around the mean of the query's own kind: around the pictures' mean, all texts look alike.
    far := coalesce((query <=> here.mean) > here.radius, false);
    many := least(2, (greatest(200000, here.pictures) / 200000) ^ 0.4);
    here.ef := least(1000, coalesce(here.ef, 200 * many));
    aimed := ROW(here.space_id, query, NULL, far AND here.mean_text IS NULL, coalesce(here.sampled, 0), here.pictures, last,
                 ceil(CASE WHEN far THEN 0.75 ELSE 1 END * here.ef), round(CASE WHEN last > 50 THEN 4 ELSE 6 END * many), NULL,
                 ceil(1.75 * sqrt(here.dimension * many)), here.indexed);
    aimed.bits := binary_quantize(CASE WHEN aimed.rough THEN query WHEN far THEN l2_normalize(query) - here.mean_text
                                       ELSE l2_normalize(query) - here.mean END);
    aimed.pool := greatest(last, ceil(CASE WHEN aimed.rough THEN 8 ELSE 1 END * coalesce(here.pool, 320 * many) * sqrt(last)));
    RETURN aimed;
END $$;
COMMENT ON FUNCTION imgsearch.aim(halfvec, integer, integer) IS 'The query''s bits, and what the active space knows of how to search for its `last` nearest; raises why it cannot be searched.';

-- What a walk costs, in ms: the nodes it compares lie all over the memory.
CREATE OR REPLACE FUNCTION imgsearch.walking(ef double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT 0.75 + 0.0155 * ef';
COMMENT ON FUNCTION imgsearch.walking(double precision) IS 'ms that a walk of that hnsw.ef_search takes, in proportion to the ms that find() and gate() reckon for bits.';

-- How many nodes a walk along the graph has to hold to be believed, or why there is none (as in find()).
-- share: of the sample that matches; nearby: the same among the sampled pictures nearest to the query.
-- effort: ms that ranking by bits would take. Of ef pictures the walk holds it misses few among the nearest, more towards
-- the edge, so that only the first part (1 / aimed.spread) is believed: docs/decisions/0002-search-statement.md.
CREATE OR REPLACE FUNCTION imgsearch.walk(
    aimed imgsearch.aimed, share double precision, nearby double precision, effort double precision, OUT ef integer, OUT reason text
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    needed double precision;
    wide   double precision;
BEGIN
    -- A tie to the neighbourhood is stronger still among the very nearest.
    nearby := CASE WHEN share >= 0.95 OR share = 0 THEN share
                   WHEN abs(nearby - share) > 2 * sqrt(share * (1 - share) / 32) THEN least(1, nearby * nearby / share)
                   ELSE (nearby + share) / 2 END;
    needed := aimed.spread * aimed.last / nullif(nearby, 0);  -- then as many match as are wanted, on average
    wide := least(1000, greatest(aimed.ef, ceil(1.1 * needed)));
    reason := CASE WHEN nearby = 0 THEN 'rare' WHEN needed > 1000 THEN 'deep' WHEN NOT aimed.indexed THEN 'absent'
                   WHEN imgsearch.walking(wide) >= 0.8 * effort THEN 'dear' END;
    IF reason IS NULL THEN
        ef := wide;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch.walk(imgsearch.aimed, double precision, double precision, double precision) IS 'The hnsw.ef_search for a search of which that share matches; null, and why, where the graph does not help.';

CREATE OR REPLACE FUNCTION imgsearch.walk_again(aimed imgsearch.aimed, ef integer, passed bigint, effort double precision) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    wide double precision := greatest(1.5 * ef, 1.2 * ef * (aimed.last + 1) / greatest(passed, 0.5));
BEGIN
    RETURN CASE WHEN ef < 1000 AND wide <= 1600 AND imgsearch.walking(least(1000, wide)) < 0.8 * effort THEN least(1000, wide) END;
END $$;
COMMENT ON FUNCTION imgsearch.walk_again(imgsearch.aimed, integer, bigint, double precision) IS 'How wide to walk once more after a walk of `ef` in whose believed part only `passed` matched; null where bits cost less.';

-- enable_sort is off: this function is a walk, whatever the planner thinks of it.
CREATE OR REPLACE FUNCTION imgsearch.neighbours(aimed imgsearch.aimed, ef integer, walled boolean)
RETURNS TABLE (tenant_id text, image_id bigint, d double precision) LANGUAGE plpgsql STABLE ROWS 40
SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0
SET enable_sort = off
SET hnsw.iterative_scan = off
SET hnsw.ef_search = 200
AS $$
#variable_conflict use_column
DECLARE
    query halfvec := aimed.query;
BEGIN
    IF ef IS NULL THEN
        RETURN;
    END IF;
    PERFORM set_config('hnsw.ef_search', neighbours.ef::text, true);
    IF walled THEN
        -- Only one tenant's part of the walk comes back: of that, the first part.
        RETURN QUERY SELECT w.tenant_id, w.image_id, w.d
            FROM (SELECT w.*, row_number() OVER (ORDER BY w.d) AS place, count(*) OVER () AS walked
                  FROM (SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.vectors v ORDER BY v.embedding <=> query LIMIT 1000) w) w
            WHERE w.place <= w.walked / aimed.spread;
    ELSE
        RETURN QUERY SELECT w.* FROM (
            SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d FROM imgsearch.vectors v ORDER BY v.embedding <=> query LIMIT 1000) w
        LIMIT neighbours.ef / aimed.spread;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch.neighbours(imgsearch.aimed, integer, boolean) IS 'The pictures nearest to a query by the graph, those that are believed; none where ef is null.';

CREATE OR REPLACE FUNCTION imgsearch.believed(distances double precision[], last integer, max_distance double precision) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    -- The row behind the page must be farther away: rows as far as its last one may be missing.
    SELECT coalesce(cardinality(distances) > last AND distances[last + 1] > distances[last] OR distances[cardinality(distances)] > max_distance, false)
$$;
COMMENT ON FUNCTION imgsearch.believed(double precision[], integer, double precision) IS 'Whether what matches in the believed part of a walk, ascending, holds the whole page.';
