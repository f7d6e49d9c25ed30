-- A region of a stored picture: asked of a query worker, which reads the picture where it lies, and cached like any question.

-- The same as imgsearch.picture.region.Region in Python: millionths of the sides, or pixels.
CREATE OR REPLACE FUNCTION imgsearch_internal.region_text(region double precision[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    said   CONSTANT text := left(coalesce(region::text, 'null'), 100);
    shares boolean;
    scale  integer;
    most   integer;
    edges  double precision[];
BEGIN
    IF region IS NULL OR array_ndims(region) IS DISTINCT FROM 1 OR cardinality(region) <> 4 OR array_position(region, NULL) IS NOT NULL
       OR region && '{NaN,Infinity,-Infinity}' OR least(region[1], region[2], region[3], region[4]) < 0 OR least(region[3], region[4]) <= 0 THEN
        RAISE EXCEPTION 'imgsearch: % is no region of a picture', said
            USING HINT = 'Give ARRAY[x, y, w, h] within the picture as it is shown: shares from 0 to 1, or pixels.', ERRCODE = 'IM031';
    END IF;
    shares := greatest(region[1], region[2], region[3], region[4]) <= 1;
    scale := CASE WHEN shares THEN 1000000 ELSE 1 END;
    most := CASE WHEN shares THEN 1000000 ELSE 65535 END;
    edges := ARRAY[region[1], region[2], region[1] + region[3], region[2] + region[4]];
    IF greatest(edges[3], edges[4]) > most / scale::double precision + (CASE WHEN shares THEN 0.000001 ELSE 0.4999 END) THEN
        RAISE EXCEPTION 'imgsearch: the region % ends outside of the picture', said
            USING HINT = 'Give ARRAY[x, y, w, h] within the picture as it is shown: shares from 0 to 1, or pixels.', ERRCODE = 'IM031';
    END IF;
    edges := ARRAY(SELECT least(floor(e * scale + 0.5), most) FROM unnest(edges) WITH ORDINALITY u (e, n) ORDER BY n);
    IF least(edges[3] - edges[1], edges[4] - edges[2]) < (CASE WHEN shares THEN 1 ELSE 2 END) THEN
        RAISE EXCEPTION 'imgsearch: the region % is smaller than 2 x 2 pixels', said
            USING HINT = 'Give ARRAY[x, y, w, h] within the picture as it is shown: shares from 0 to 1, or pixels.', ERRCODE = 'IM031';
    END IF;
    RETURN format('%s%s,%s,%s,%s', CASE WHEN shares THEN 's' ELSE 'p' END, edges[1]::integer, edges[2]::integer, (edges[3] - edges[1])::integer, (edges[4] - edges[2])::integer);
END $$;
COMMENT ON FUNCTION imgsearch_internal.region_text(double precision[]) IS 'The one spelling of a region, which ends the key of a question: none of four numbers above 1 means shares.';

CREATE OR REPLACE FUNCTION imgsearch_internal.region_key(image_id bigint, region double precision[], tenant text) RETURNS bytea LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted CONSTANT text := imgsearch_internal.region_text(region);
    digest bytea := (SELECT i.sha256 FROM imgsearch.image i
                     WHERE i.image_id = region_key.image_id
                       AND (tenant IS NULL OR i.tenant_id = normalize(tenant, NFC)));
BEGIN
    IF digest IS NULL THEN
        RAISE EXCEPTION 'imgsearch: image % does not exist or was not read yet', region_key.image_id
            USING HINT = 'SELECT * FROM imgsearch.status; SELECT * FROM imgsearch.failures;', ERRCODE = 'IM004';
    END IF;
    RETURN digest || convert_to(wanted, 'UTF8');
END $$;
COMMENT ON FUNCTION imgsearch_internal.region_key(bigint, double precision[], text) IS 'The key in query_vector of a region of a stored picture: the digest of its bytes, and the region.';

CREATE OR REPLACE FUNCTION imgsearch.vec_of(image_id bigint, region double precision[], tenant text DEFAULT NULL) RETURNS halfvec LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted CONSTANT bytea := imgsearch_internal.region_key(image_id, region, tenant);
    found_ @extschema:vector@.halfvec;
BEGIN
    SELECT q.embedding INTO found_ FROM imgsearch.query_vector q
    WHERE q.tenant_id = coalesce(imgsearch.current_tenant(), '') AND q.space_id = imgsearch_internal.active_space() AND q.kind = 'picture' AND q.key = wanted;
    IF found_ IS NULL THEN
        RAISE EXCEPTION 'imgsearch: this region of image % was not asked yet', vec_of.image_id
            USING HINT = imgsearch_internal.embed_first(
                format('%s, %L::double precision[]', vec_of.image_id, region)), ERRCODE = 'IM001';
    END IF;
    RETURN found_;
END $$;
COMMENT ON FUNCTION imgsearch.vec_of(bigint, double precision[], text) IS
'The vector of a region of a stored picture, (x, y, w, h) in shares of its sides or in pixels: ORDER BY embedding <=> imgsearch.vec_of(42, ARRAY[0.1, 0.2, 0.5, 0.5]). One that is not cached is an error that says what to CALL.';

CREATE OR REPLACE PROCEDURE imgsearch.embed(image_id bigint, region double precision[], tenant text DEFAULT NULL, timeout_seconds double precision DEFAULT 10) LANGUAGE plpgsql AS $$
DECLARE
    asked_key bytea;
    answer    record;
    deadline  timestamptz;
BEGIN
    PERFORM imgsearch_internal.require_between('timeout_seconds', timeout_seconds, 0, 86400);
    deadline := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => timeout_seconds);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);  -- a procedure that commits may not say it above; until then
    CALL imgsearch_internal.require_autocommit('imgsearch.embed');
    asked_key := imgsearch_internal.region_key(image_id, region, tenant);
    PERFORM imgsearch_internal.require_asker();
    PERFORM imgsearch_internal.enqueue_question(NULL, NULL, NULL, NULL, asked_key, image_id);
    COMMIT;  -- the worker sees the question only now
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    LOOP
        SELECT q.answered_at, q.embedding, q.error, q.error_code INTO answer FROM imgsearch.query_vector q
        WHERE q.tenant_id = coalesce(imgsearch.current_tenant(), '') AND q.space_id = imgsearch_internal.active_space() AND q.kind = 'picture' AND q.key = asked_key;
        EXIT WHEN answer.answered_at IS NOT NULL;
        IF clock_timestamp() > deadline THEN
            RAISE EXCEPTION 'imgsearch: no worker embedded this region of image % within % s', image_id, timeout_seconds
                USING HINT = 'Is a query worker running? SELECT * FROM imgsearch.worker; start one with: imgsearch worker --queue queries', ERRCODE = 'IM005';
        END IF;
        COMMIT;  -- never hold a snapshot while waiting
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        PERFORM pg_sleep(0.005);
    END LOOP;
    IF answer.embedding IS NULL THEN
        RAISE EXCEPTION 'imgsearch: this region of image % could not be embedded: %', image_id, answer.error
            USING ERRCODE = CASE answer.error_code WHEN 'bad_region' THEN 'IM031' ELSE 'IM006' END;
    END IF;
END $$;
COMMENT ON PROCEDURE imgsearch.embed(bigint, double precision[], text, double precision) IS
'Has a worker embed a region of a stored picture: CALL imgsearch.embed(42, ARRAY[0.1, 0.2, 0.5, 0.5]); afterwards imgsearch.vec_of(42, ARRAY[0.1, 0.2, 0.5, 0.5]) knows it. Needs autocommit (no BEGIN around it).';
