-- The complete answer in one statement: nearest pictures that match the named filters.
-- SQL text is put together from constant fragments and numbers; what was asked, also an attribute's name, is bound.

CREATE OR REPLACE FUNCTION imgsearch.find(
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
SET hnsw.ef_search = 200
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
    unpacked boolean := false;         -- attributes are read out of the rows
    wider    integer;
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
    IF tenant IS NOT NULL AND attributes IS NULL THEN
        -- A range, though of one value: planned without knowing it, and still out of the primary key for sure.
        SELECT count(*) INTO matches FROM (SELECT FROM imgsearch.vectors v WHERE v.tenant_id >= tenant AND v.tenant_id <= tenant
                                           ORDER BY v.tenant_id, v.image_id LIMIT 501) x;
        IF matches <= 500 AND EXISTS (SELECT FROM imgsearch.space s WHERE s.state = 'active' AND s.dimension = vector_dims(query)
                                      AND s.space_id = coalesce(space, s.space_id)) AND l2_norm(query) > 0 THEN
            SELECT coalesce(array_agg(r.image_id), '{}'), coalesce(array_agg(r.product_id), '{}'), coalesce(array_agg(r.d), '{}'), coalesce(max(r.n), 0)
            INTO images, products, distances, matches FROM (
                SELECT x.image_id, i.product_id, x.d, x.n FROM (
                    SELECT y.* FROM (
                        SELECT v.tenant_id, v.image_id, v.embedding <=> query AS d, count(*) OVER () AS n FROM imgsearch.vectors v
                        WHERE v.tenant_id >= tenant AND v.tenant_id <= tenant
                          AND (coalesce(category, min_price::text, max_price::text, in_stock::text) IS NULL AND categories IS NULL OR EXISTS (
                            SELECT FROM imgsearch.image i WHERE i.tenant_id = v.tenant_id AND i.image_id = v.image_id
                              AND (category IS NULL OR i.category = category) AND (categories IS NULL OR i.category = ANY (categories))
                              AND (min_price IS NULL OR i.price >= min_price) AND (max_price IS NULL OR i.price <= max_price)
                              AND (in_stock IS NULL OR i.in_stock = in_stock)))) y
                    WHERE (NOT deep OR (y.d, y.image_id) > (after_distance, after_image)) AND (max_distance IS NULL OR y.d <= max_distance)
                    ORDER BY y.d, y.image_id LIMIT k OFFSET skip) x
                JOIN imgsearch.image i ON i.tenant_id = x.tenant_id AND i.image_id = x.image_id ORDER BY x.d, x.image_id) r;
            strategy := 'exact'; reason := 'few';
            complete := true; more := false; ranked := matches;
            RETURN;
        END IF;
    END IF;
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
        SELECT filter || a.fragment, filter || a.indexed, a.names, a.vals, a.unpacked INTO filter, indexed, asked.names, asked.vals, unpacked FROM imgsearch.attribute_filter(attributes) a;
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
    -- 0.15 µs for a picture's bits out of an index, 0.8 out of the table; to look whether it matches, 0.025 in an index
    -- that does not begin with what was asked, 0.4 in the table; 2 ms to compare the best exactly.
    effort := here.pictures * CASE WHEN unpacked THEN share * 0.0008 + 0.0004 * coalesce(reached / nullif(here.sampled, 0), 1)
                                   WHEN coalesce(tenant, category, categories[1], min_price::text, max_price::text) IS NULL THEN share * 0.00015 + 0.000025
                                   ELSE share * 0.00015 END + 2;
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

    IF skip > 1000 THEN
        strategy := 'exact';
        reason := 'few';
    ELSIF filter = '' OR here.sampled > 0 THEN
        here.ef := CASE WHEN deep THEN 1000 ELSE here.ef END;
        SELECT w.ef, w.ef, w.reason INTO wider, ef, reason FROM imgsearch.walk(here, share, nearby, effort) w;
        WHILE wider IS NOT NULL LOOP
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
                strategy := 'hnsw'; reason := NULL;
                ranked := passed;
                matches := least(passed, last);
                more := true;
                take := least(last, CASE WHEN max_distance IS NULL THEN last ELSE width_bucket(max_distance, distances) END);
                images := images[skip + 1:take]; products := products[skip + 1:take]; distances := distances[skip + 1:take];
                complete := take = last;
                RETURN;
            END IF;
            -- Too few matched: once more and wider, where that still costs less than bits.
            wider := CASE WHEN reason IS NULL AND NOT deep THEN imgsearch.walk_again(here, ef, passed, effort) END;
            ef := coalesce(wider, ef);
            reason := 'tried';
        END LOOP;
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

CREATE OR REPLACE FUNCTION imgsearch.search(
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

CREATE OR REPLACE FUNCTION imgsearch.search(
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
