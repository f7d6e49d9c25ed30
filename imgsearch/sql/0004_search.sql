-- The complete answer in one statement: nearest pictures that match the named filters.
-- SQL text is put together from constant fragments and numbers; what was asked, also an attribute's name, is bound.

DO $$
BEGIN
    PERFORM '[1]'::halfvec;  -- loads the library: find() below sets its settings
END $$;

-- A few hundred random pictures, to guess how many match a filter and whether it favours the query's neighbourhood.
-- The columns are those of image, so that any WHERE on image fits.
CREATE TABLE imgsearch.image_sample (
    LIKE imgsearch.image INCLUDING COMMENTS,
    bits bit varying NOT NULL,
    PRIMARY KEY (tenant_id, image_id)
);
COMMENT ON TABLE imgsearch.image_sample IS 'A few hundred random pictures of the active space, from which a search guesses how many match. A stale sample costs time, never recall.';
COMMENT ON COLUMN imgsearch.image_sample.bits IS 'The picture''s bits in the active space.';

-- What was asked, as one bound value of every dynamic statement.
CREATE TYPE imgsearch.asked AS (
    query halfvec, bits bit varying, tenant text, category text, categories text[], min_price double precision,
    max_price double precision, in_stock boolean, names text[], vals jsonb[], after_distance double precision,
    after_image bigint, max_distance double precision
);
COMMENT ON TYPE imgsearch.asked IS 'What find() was asked, as one bound value of its dynamic statements.';

-- Replaces the sample in one transaction, so that searches always see one. From a large table it takes whole blocks,
-- and of each block one picture before a second: neighbours were added together and are alike.
CREATE FUNCTION imgsearch.refresh_sample(older_than interval DEFAULT '0', size integer DEFAULT 512) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    here  record;
    many  double precision;
    taken integer;
BEGIN
    SELECT s.space_id, s.mean, (s.parameters #>> '{sample,at}')::timestamptz AS at INTO here FROM imgsearch.space s WHERE s.state = 'active';
    IF NOT FOUND OR here.at > now() - older_than OR NOT pg_try_advisory_xact_lock(hashtext('imgsearch.image_sample')) THEN
        RETURN false;
    END IF;
    SELECT greatest(c.reltuples, 0) INTO many FROM pg_class c WHERE c.oid = format('imgsearch.embedding_%s', here.space_id)::regclass;
    DELETE FROM imgsearch.image_sample;
    EXECUTE format('INSERT INTO imgsearch.image_sample (tenant_id, image_id, product_id, position, category, price, in_stock,
            attributes, uri, sha256, phash, etag, created_at, updated_at, bits)
        SELECT tenant_id, image_id, product_id, position, category, price, in_stock,
            attributes, uri, sha256, phash, etag, created_at, updated_at, bits
        FROM (SELECT i.*, i.bits_%1$s AS bits, row_number() OVER (PARTITION BY (i.ctid::text::point)[0] ORDER BY random()) AS turn
              FROM imgsearch.image i TABLESAMPLE SYSTEM (%2$s) WHERE i.bits_%1$s IS NOT NULL) x
        ORDER BY turn, random() LIMIT %3$s', here.space_id, least(100, 100.0 * 50 * size / greatest(many, 1)), size);
    GET DIAGNOSTICS taken = ROW_COUNT;
    UPDATE imgsearch.space s
    SET parameters = s.parameters || jsonb_build_object('sample', jsonb_build_object('at', now(), 'size', taken,
            'pictures', CASE WHEN taken < size THEN taken ELSE greatest(many, taken) END,
            'radius', (SELECT max(v.embedding <=> s.mean) FROM imgsearch.image_sample i JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id))),
        mean_text = (SELECT CASE WHEN count(*) >= 16 THEN avg(embedding) END
                     FROM (SELECT q.embedding FROM imgsearch.query_vector q WHERE q.space_id = s.space_id AND q.kind = 'text' AND q.embedding IS NOT NULL
                           ORDER BY q.asked_at DESC LIMIT 1000) x)
    WHERE s.space_id = here.space_id;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgsearch.refresh_sample(interval, integer) IS 'Draws the sample anew if it is older than that; workers call it now and then. Answers whether it did.';

-- A condition over an attribute's own column, where it has one; promotion replaces it.
CREATE FUNCTION imgsearch.promoted_filter(name text, operator text, value jsonb, here integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch.promoted_filter(text, text, jsonb, integer) IS 'The condition on an attribute that was promoted to a column; null where jsonb must be asked.';

CREATE FUNCTION imgsearch.attribute_filter(attributes jsonb, OUT fragment text, OUT indexed text, OUT names text[], OUT vals jsonb[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name     text;
    asked    jsonb;
    operator text;
    value    jsonb;
    wanted   text;
    here     integer;
    made     text;
    promoted text;
BEGIN
    fragment := '';
    indexed := '';
    names := '{}';
    vals := '{}';
    IF jsonb_typeof(attributes) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: attributes is a JSON %, not an object', jsonb_typeof(attributes)
            USING HINT = 'For example {"colour": "red", "size": {"min": 38}}.', ERRCODE = 'IM008';
    END IF;
    FOR name, asked IN SELECT * FROM jsonb_each(attributes) LOOP
        FOR operator, value IN
            SELECT o.key, o.value FROM jsonb_each(CASE jsonb_typeof(asked)
                WHEN 'object' THEN asked
                WHEN 'array' THEN jsonb_build_object('in', asked)
                ELSE jsonb_build_object('is', asked) END) o
        LOOP
            wanted := CASE
                WHEN operator IN ('in', 'not_in') THEN 'array'
                WHEN operator = 'exists' THEN 'boolean'
                WHEN operator IN ('min', 'max', 'above', 'below') AND jsonb_typeof(value) <> 'string' THEN 'number' END;
            IF jsonb_typeof(value) <> wanted THEN
                RAISE EXCEPTION 'imgsearch: % wants a JSON %, not %', operator, wanted, left(value::text, 100)
                    USING HINT = 'For example {"size": {"min": 38}, "colour": {"in": ["red", "blue"]}}.', ERRCODE = 'IM008';
            END IF;
            names := names || name;
            vals := vals || CASE WHEN operator IN ('is', 'not') AND jsonb_typeof(value) NOT IN ('object', 'array')
                                 THEN jsonb_build_object(name, value) ELSE value END;
            here := cardinality(names);
            promoted := imgsearch.promoted_filter(name, operator, value, here);
            made := ' AND ' || coalesce(promoted, CASE operator
                WHEN 'is' THEN format(CASE WHEN jsonb_typeof(value) IN ('object', 'array')
                    THEN 'i.attributes -> ($1).names[%1$s] = ($1).vals[%1$s]' ELSE 'i.attributes @> ($1).vals[%1$s]' END, here)
                WHEN 'not' THEN format(CASE WHEN jsonb_typeof(value) IN ('object', 'array')
                    THEN 'i.attributes -> ($1).names[%1$s] IS DISTINCT FROM ($1).vals[%1$s]' ELSE 'NOT i.attributes @> ($1).vals[%1$s]' END, here)
                WHEN 'has' THEN format('i.attributes @> jsonb_build_object(($1).names[%1$s], jsonb_build_array(($1).vals[%1$s]))', here)
                WHEN 'in' THEN (
                    SELECT coalesce('(' || string_agg(format(
                        'i.attributes @> jsonb_build_object(($1).names[%1$s], ($1).vals[%1$s] -> %2$s)'
                        || ' AND i.attributes -> ($1).names[%1$s] = ($1).vals[%1$s] -> %2$s', here, n), ' OR ') || ')', 'false')
                    FROM generate_series(0, jsonb_array_length(value) - 1) n)
                WHEN 'not_in' THEN format('(i.attributes -> ($1).names[%1$s] IN (SELECT jsonb_array_elements(($1).vals[%1$s]))) IS NOT TRUE', here)
                WHEN 'exists' THEN format('(i.attributes ? ($1).names[%1$s]) = ($1).vals[%1$s]::boolean', here)
                WHEN 'min' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] >= ($1).vals[%1$s]', here)
                WHEN 'max' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] <= ($1).vals[%1$s]', here)
                WHEN 'above' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] > ($1).vals[%1$s]', here)
                WHEN 'below' THEN format('jsonb_typeof(i.attributes -> ($1).names[%1$s]) = jsonb_typeof(($1).vals[%1$s]) AND i.attributes -> ($1).names[%1$s] < ($1).vals[%1$s]', here)
            END);
            IF made IS NULL THEN
                RAISE EXCEPTION 'imgsearch: "%" is no operator on an attribute', left(operator, 100)
                    USING HINT = 'Use is, not, in, not_in, has, min, max, above, below or exists.', ERRCODE = 'IM008';
            END IF;
            fragment := fragment || made;
            IF promoted IS NOT NULL OR operator IN ('in', 'has') OR operator = 'is' AND jsonb_typeof(value) NOT IN ('object', 'array') THEN
                indexed := indexed || made;
            END IF;
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch.attribute_filter(jsonb) IS 'The SQL of conditions on attributes, made of constants and numbers: {"colour": "red", "size": {"min": 38}}.';

-- What a query is to the active space, and what the space knows: read once per statement.
CREATE TYPE imgsearch.aimed AS (
    space_id integer, query halfvec, bits bit varying, rough boolean, sampled double precision, pictures double precision,
    last integer, ef integer, spread integer, pool integer, margin integer, indexed boolean, iteration text, width text
);
COMMENT ON TYPE imgsearch.aimed IS 'A query, its bits, and what the active space knows of how to search: see aim().';

CREATE FUNCTION imgsearch.aim(query halfvec, last integer, space integer DEFAULT NULL) RETURNS imgsearch.aimed
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    here  record;
    aimed imgsearch.aimed;
    far   boolean;  -- a text, or a picture unlike all of ours
BEGIN
    SELECT s.space_id, s.dimension, s.mean, s.mean_text, (s.parameters #>> '{sample,size}')::double precision AS sampled,
           coalesce((s.parameters #>> '{sample,pictures}')::double precision, (
               SELECT c.reltuples FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('imgsearch.embedding_' || s.space_id))) AS pictures,
           (s.parameters #>> '{sample,radius}')::double precision AS radius,
           -- imgsearch.search: the same parameters for one transaction; how tune tries them without writing
           coalesce((p.search ->> 'ef')::integer, 250) AS ef, coalesce((p.search ->> 'pool')::integer, 320) AS pool,
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
    aimed := ROW(here.space_id, query, NULL, far AND here.mean_text IS NULL, coalesce(here.sampled, 0), here.pictures, last, here.ef, CASE WHEN last > 50 THEN 4 ELSE 7 END, NULL,
                 ceil(1.75 * sqrt(here.dimension)), here.indexed,
                 current_setting('hnsw.iterative_scan', true), current_setting('hnsw.ef_search', true));
    aimed.bits := binary_quantize(CASE WHEN aimed.rough THEN query WHEN far THEN l2_normalize(query) - here.mean_text
                                       ELSE l2_normalize(query) - here.mean END);
    aimed.pool := greatest(last, ceil(CASE WHEN aimed.rough THEN 8 ELSE 1 END * here.pool * sqrt(last)));
    RETURN aimed;
END $$;
COMMENT ON FUNCTION imgsearch.aim(halfvec, integer, integer) IS 'The query''s bits, and what the active space knows of how to search for its `last` nearest; raises why it cannot be searched.';

-- How many nodes a walk along the graph has to hold to be believed, or why there is none (as in find()).
-- share: of the sample that matches; nearby: the same among the sampled pictures nearest to the query.
-- effort: ms that ranking by bits would take. Of ef pictures the walk holds it misses few among the nearest, more towards
-- the edge: of 250, 400, 600 the first seventh were measured to be 98.9, 99.5, 99.4 % complete without a filter.
CREATE FUNCTION imgsearch.walk(
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
    wide := least(1000, greatest(aimed.ef, ceil(1.4 * needed)));
    reason := CASE WHEN nearby = 0 THEN 'rare' WHEN needed > 1000 THEN 'deep' WHEN NOT aimed.indexed THEN 'absent'
                   WHEN 0.6 + 0.016 * wide >= 0.8 * effort THEN 'dear' END;
    IF reason IS NULL THEN
        ef := wide;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch.walk(imgsearch.aimed, double precision, double precision, double precision) IS 'The hnsw.ef_search for a search of which that share matches; null, and why, where the graph does not help.';

CREATE FUNCTION imgsearch.find(
    query halfvec, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL,
    space integer DEFAULT NULL,
    OUT images bigint[], OUT products text[], OUT distances double precision[], OUT strategy text, OUT complete boolean,
    OUT matches bigint, OUT more boolean, OUT share double precision, OUT nearby double precision, OUT ef integer,
    OUT ranked bigint, OUT reason text
) LANGUAGE plpgsql STABLE
-- The few static statements keep one plan; the dynamic ones are planned for their values each time.
SET plan_cache_mode = force_generic_plan
SET jit = off
SET max_parallel_workers_per_gather = 0
SET hnsw.iterative_scan = off
SET hnsw.ef_search = 250
AS $$
#variable_conflict use_variable
DECLARE
    here     imgsearch.aimed;
    asked    imgsearch.asked;
    filter   text := '';
    deep     boolean := after_distance IS NOT NULL;
    last     integer;                  -- rank of the page's last row
    hits     double precision;
    seen     double precision;         -- sampled pictures that this role may see
    effort   double precision;         -- of ranking by bits, in ms
    indexed  text := '';               -- the part of the filter that an index answers
    reached  double precision;         -- sampled pictures that pass that part
    take     integer;
    pool     integer;
    passed   bigint;
    keys     bigint[];                 -- bits apart << 51 | image_id, ascending: one number sorts faster than a row
BEGIN
    IF k IS NULL OR k < 1 OR k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', k USING HINT = 'Page through more rows with several searches.', ERRCODE = 'IM008';
    ELSIF skip IS NULL OR skip < 0 OR skip > 100000 THEN
        RAISE EXCEPTION 'imgsearch: skip is %, it must be from 0 to 100000', skip USING HINT = 'Continue behind the last row instead: after_distance and after_image.', ERRCODE = 'IM008';
    ELSIF deep <> (after_image IS NOT NULL) THEN
        RAISE EXCEPTION 'imgsearch: after_distance and after_image go together' USING HINT = 'Pass both, of the last row of the page before.', ERRCODE = 'IM008';
    END IF;
    last := k + skip;
    here := imgsearch.aim(query, last, space);

    asked.query := query; asked.bits := here.bits; asked.tenant := tenant; asked.category := category; asked.categories := categories;
    asked.min_price := min_price; asked.max_price := max_price; asked.in_stock := in_stock;
    asked.after_distance := after_distance; asked.after_image := after_image; asked.max_distance := max_distance;
    IF tenant IS NOT NULL THEN filter := filter || ' AND i.tenant_id = ($1).tenant'; END IF;
    IF category IS NOT NULL THEN filter := filter || ' AND i.category = ($1).category'; END IF;
    IF categories IS NOT NULL THEN filter := filter || ' AND i.category = ANY (($1).categories)'; END IF;
    IF min_price IS NOT NULL THEN filter := filter || ' AND i.price >= ($1).min_price'; END IF;
    IF max_price IS NOT NULL THEN filter := filter || ' AND i.price <= ($1).max_price'; END IF;
    IF in_stock IS NOT NULL THEN filter := filter || ' AND i.in_stock = ($1).in_stock'; END IF;
    indexed := filter;
    IF attributes IS NOT NULL THEN
        SELECT filter || a.fragment, filter || a.indexed, a.names, a.vals INTO filter, indexed, asked.names, asked.vals FROM imgsearch.attribute_filter(attributes) a;
    END IF;

    share := 1;
    reached := here.sampled;
    IF here.sampled > 0 AND attributes IS NOT NULL THEN
        EXECUTE 'SELECT count(*) FILTER (WHERE true' || filter || '), count(*) FILTER (WHERE true' || indexed || '), count(*) FROM imgsearch.image_sample i'
        INTO hits, reached, seen USING asked;
        share := hits / here.sampled;
    ELSIF here.sampled > 0 AND (filter <> '' OR row_security_active('imgsearch.image')) THEN
        -- Written out, and not as a dynamic statement or over the composite: planned once, and 512 times cheaper to ask.
        SELECT count(*) FILTER (WHERE (tenant IS NULL OR i.tenant_id = tenant) AND (category IS NULL OR i.category = category)
                 AND (categories IS NULL OR i.category = ANY (categories)) AND (min_price IS NULL OR i.price >= min_price)
                 AND (max_price IS NULL OR i.price <= max_price) AND (in_stock IS NULL OR i.in_stock = in_stock)), count(*)
        INTO hits, seen FROM imgsearch.image_sample i;
        reached := hits;
        share := hits / here.sampled;
    END IF;
    nearby := share;
    -- 0.15 µs for a picture's bits out of an index, 1.5 out of the table, 0.3 to look whether a row matches; 2 ms to compare the best exactly.
    effort := here.pictures * CASE WHEN attributes IS NULL THEN share * 0.00015
                                   ELSE share * 0.001 + 0.0005 * coalesce(reached / nullif(here.sampled, 0), 1) END + 2;
    IF hits > 0 AND share < 0.95 AND effort > 4 THEN
        IF attributes IS NULL THEN
            SELECT avg(x.m::integer) INTO nearby
            FROM (SELECT ((tenant IS NULL OR i.tenant_id = tenant) AND (category IS NULL OR i.category = category)
                 AND (categories IS NULL OR i.category = ANY (categories)) AND (min_price IS NULL OR i.price >= min_price)
                 AND (max_price IS NULL OR i.price <= max_price) AND (in_stock IS NULL OR i.in_stock = in_stock)) AS m
                  FROM imgsearch.image_sample i ORDER BY i.bits <~> here.bits LIMIT 32) x;
        ELSE
            EXECUTE 'SELECT avg(m::integer) FROM (SELECT (true' || filter || ') AS m FROM imgsearch.image_sample i ORDER BY i.bits <~> ($1).bits LIMIT 32) x'
            INTO nearby USING asked;
        END IF;
        nearby := nearby * seen / here.sampled;
    END IF;

    IF tenant IS NOT NULL AND filter = ' AND i.tenant_id = ($1).tenant' AND share * here.pictures < 1000 OR skip > 1000 THEN
        strategy := 'exact';
        reason := 'few';
    ELSIF filter = '' OR here.sampled > 0 THEN
        here.ef := CASE WHEN deep THEN 1000 ELSE here.ef END;
        SELECT w.ef, w.reason INTO ef, reason FROM imgsearch.walk(here, share, nearby, effort) w;
        IF ef IS NOT NULL THEN
            PERFORM set_config('hnsw.ef_search', ef::text, true);
            take := last + 1;
            LOOP
                EXECUTE format('SELECT array_agg(z.image_id ORDER BY z.d, z.image_id), array_agg(z.product_id ORDER BY z.d, z.image_id), array_agg(z.d ORDER BY z.d)
                    FROM (SELECT q.image_id, i.product_id, q.d FROM (%1$s) q JOIN imgsearch.image i ON i.tenant_id = q.tenant_id AND i.image_id = q.image_id
                          WHERE true%2$s%3$s ORDER BY q.d LIMIT $2) z',
                    format(CASE WHEN seen < here.sampled
                        -- Behind a wall only one tenant's part of the walk comes back: of that, the first part.
                        THEN 'SELECT * FROM (SELECT w.*, row_number() OVER (ORDER BY w.d) AS place, count(*) OVER () AS walked FROM (
                            SELECT e.tenant_id, e.image_id, e.embedding <=> ($1).query AS d FROM imgsearch.embedding_%1$s e ORDER BY e.embedding <=> ($1).query LIMIT %2$s) w) w
                            WHERE w.place <= w.walked / %3$s'
                        ELSE 'SELECT e.tenant_id, e.image_id, e.embedding <=> ($1).query AS d FROM imgsearch.embedding_%1$s e ORDER BY e.embedding <=> ($1).query LIMIT %2$s / %3$s'
                        END, here.space_id, ef, here.spread),
                    filter, CASE WHEN deep THEN ' AND (q.d, q.image_id) > (($1).after_distance, ($1).after_image)' ELSE '' END)
                INTO images, products, distances USING asked, take;
                passed := coalesce(cardinality(distances), 0);
                -- The row behind the page must be farther away: rows as far as its last one may be missing here.
                EXIT WHEN take > last + 1 OR passed <= last OR distances[last] < distances[passed];
                take := ef;
            END LOOP;
            IF passed > last AND distances[last] < distances[passed] OR distances[passed] > max_distance THEN
                strategy := 'hnsw';
                ranked := passed;
                matches := least(passed, last);
                more := true;
                take := least(last, CASE WHEN max_distance IS NULL THEN last ELSE width_bucket(max_distance, distances) END);
                images := images[skip + 1:take]; products := products[skip + 1:take]; distances := distances[skip + 1:take];
                complete := take = last;
                RETURN;
            END IF;
            reason := 'tried';
        END IF;
    ELSE
        reason := 'rare';
    END IF;

    pool := here.pool;
    WHILE strategy IS NULL AND pool <= 20000 LOOP
        EXECUTE format('SELECT coalesce(array_agg(b.key), ''{}'') FROM (
            SELECT (i.bits_%1$s <~> ($1).bits)::bigint << 51 | i.image_id AS key FROM imgsearch.image i
            WHERE i.bits_%1$s IS NOT NULL%2$s ORDER BY 1 LIMIT $2) b', here.space_id, filter)
        INTO keys USING asked, pool + 1;
        more := cardinality(keys) > pool;
        matches := least(cardinality(keys), pool);
        ranked := matches;
        IF NOT deep AND NOT here.rough AND matches > last THEN
            ranked := width_bucket((((keys[last] >> 51) + here.margin + 1) << 51) - 1, keys[1:pool]);
        END IF;
        -- OFFSET 0: & is not leakproof, and a join on it would wait behind a wall until every vector there was read.
        SELECT coalesce(array_agg(r.image_id), '{}'), coalesce(array_agg(r.product_id), '{}'), coalesce(array_agg(r.d), '{}')
        INTO images, products, distances FROM (
            SELECT x.image_id, i.product_id, x.d FROM (
                SELECT v.image_id, v.embedding <=> query AS d
                FROM (SELECT u.key & 2251799813685247 AS image_id FROM unnest(keys[1:ranked]) u (key) OFFSET 0) u
                JOIN imgsearch.vectors v ON v.image_id = u.image_id
                WHERE v.space_id = here.space_id AND (tenant IS NULL OR v.tenant_id = tenant)
                  AND (max_distance IS NULL OR v.embedding <=> query <= max_distance)
                  AND (NOT deep OR (v.embedding <=> query, v.image_id) > (after_distance, after_image))
                ORDER BY d, v.image_id LIMIT k OFFSET skip) x
            JOIN imgsearch.image i ON i.image_id = x.image_id
            ORDER BY x.d, x.image_id) r;
        strategy := CASE WHEN ranked = matches AND NOT more THEN 'exact' ELSE 'bits' END;
        complete := strategy = 'exact' OR cardinality(images) = k OR max_distance IS NULL AND NOT deep;
        EXIT WHEN NOT deep OR NOT more;
        SELECT count(*) INTO passed
        FROM (SELECT u.key & 2251799813685247 AS image_id FROM unnest(keys[1:ranked]) u (key) OFFSET 0) u JOIN imgsearch.vectors v ON v.image_id = u.image_id
        WHERE (v.embedding <=> query, v.image_id) <= (after_distance, after_image);
        EXIT WHEN cardinality(images) = k AND pool >= here.pool * sqrt((passed + k) / last);
        strategy := NULL;
        pool := greatest(4 * pool, ceil(here.pool * sqrt((passed + k) / last))::integer);
    END LOOP;
    IF strategy IS NOT NULL AND images IS NOT NULL THEN
        RETURN;
    END IF;

    EXECUTE format('SELECT coalesce(array_agg(r.image_id), ''{}''), coalesce(array_agg(r.product_id), ''{}''), coalesce(array_agg(r.d), ''{}''), coalesce(max(r.n), 0)
        FROM (SELECT x.image_id, i.product_id, x.d, x.n FROM (
            SELECT y.* FROM (SELECT e.tenant_id, e.image_id, (e.embedding <=> ($1).query) + 0 AS d, count(*) OVER () AS n FROM imgsearch.embedding_%1$s e%2$s) y
            WHERE (NOT $4 OR (y.d, y.image_id) > (($1).after_distance, ($1).after_image)) AND (($1).max_distance IS NULL OR y.d <= ($1).max_distance)
            ORDER BY y.d, y.image_id LIMIT $2 OFFSET $3) x
        JOIN imgsearch.image i ON i.tenant_id = x.tenant_id AND i.image_id = x.image_id ORDER BY x.d, x.image_id) r',
        here.space_id, CASE WHEN replace(filter, ' AND i.tenant_id = ($1).tenant', '') = '' THEN CASE WHEN filter <> '' THEN ' WHERE e.tenant_id = ($1).tenant' ELSE '' END
                       ELSE ' JOIN imgsearch.image i ON i.tenant_id = e.tenant_id AND i.image_id = e.image_id WHERE true' || filter END)
    INTO images, products, distances, matches USING asked, k, skip, deep;
    strategy := 'exact'; complete := true; more := false; ranked := matches;
END $$;
COMMENT ON FUNCTION imgsearch.find IS 'One page of nearest pictures as arrays, and how it was found, in one row; imgsearch.search() unfolds it. reason: why not by the HNSW: few (one small tenant, or a deep page), rare (nothing in the sample matches), deep (the walk would be too long), dear (comparing bits costs less), absent (no valid index), tried (too few matched near its centre).';

CREATE FUNCTION imgsearch.search(
    query halfvec, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, strategy text, complete boolean, matches bigint, more boolean)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY SELECT h.*, f.strategy, f.complete, f.matches, f.more
    FROM imgsearch.find(query, tenant, category, min_price, max_price, in_stock, attributes, k, max_distance, categories,
                        skip, after_distance, after_image) f,
         unnest(f.images, f.products, f.distances) h;
END $$;
COMMENT ON FUNCTION imgsearch.search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint) IS
'Nearest pictures that match the filters. SELECT * FROM imgsearch.search(imgsearch.vec_of(42), tenant => ''acme'', max_price => 50);';

CREATE FUNCTION imgsearch.search(
    query text, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL, in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10, max_distance double precision DEFAULT NULL, categories text[] DEFAULT NULL,
    skip integer DEFAULT 0, after_distance double precision DEFAULT NULL, after_image bigint DEFAULT NULL
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, strategy text, complete boolean, matches bigint, more boolean)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY SELECT * FROM imgsearch.search(imgsearch.vec(query), tenant, category, min_price, max_price, in_stock,
                                                attributes, k, max_distance, categories, skip, after_distance, after_image);
END $$;
COMMENT ON FUNCTION imgsearch.search(text, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], integer, double precision, bigint) IS
'Nearest pictures to a text that match the filters. SELECT * FROM imgsearch.search(''red canvas shoe'', tenant => ''acme'', category => ''shoes'', max_price => 50, k => 10);';

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

-- What nearest() asks between sampling and walking: sets how wide to walk, or answers null where bits are quicker.
CREATE FUNCTION imgsearch.gate(aimed imgsearch.aimed, hits double precision, near double precision, seen double precision, nearest double precision, unit double precision)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    ef integer;
BEGIN
    IF aimed.sampled > 0 THEN
        ef := (imgsearch.walk(aimed, hits / aimed.sampled, coalesce(near / nullif(nearest, 0), 0) * seen / aimed.sampled, hits / aimed.sampled * aimed.pictures * unit + 2)).ef;
    END IF;
    IF ef IS NOT NULL THEN
        PERFORM set_config('hnsw.iterative_scan', 'off', true), set_config('hnsw.ef_search', ef::text, true);
    END IF;
    RETURN ef;
END $$;
COMMENT ON FUNCTION imgsearch.gate(imgsearch.aimed, double precision, double precision, double precision, double precision, double precision) IS
'Of `seen` sampled pictures `hits` match, of the `nearest` of them `near` do, and ranking one takes `unit` ms: sets and answers hnsw.ef_search, or null to compare bits.';

CREATE FUNCTION imgsearch.ungate(aimed imgsearch.aimed, ef integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF ef IS NOT NULL THEN
        PERFORM set_config('hnsw.iterative_scan', coalesce(aimed.iteration, 'off'), true), set_config('hnsw.ef_search', coalesce(aimed.width, '40'), true);
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgsearch.ungate(imgsearch.aimed, integer) IS 'Gives the transaction its settings of the HNSW back.';

SELECT imgsearch.refresh_sample();
