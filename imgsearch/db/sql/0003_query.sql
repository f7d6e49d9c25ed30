-- Anything → vector, and what an admin looks at: vec, vec_of, embed, distance; status, failures, violations.
-- Errors carry SQLSTATEs of class IM so that every door can turn them into the same typed error.

CREATE FUNCTION imgsearch.canonical(query text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT btrim(regexp_replace(translate(lower(query), $p$!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~$p$, ''), '\s+', ' ', 'g'))
$$;
COMMENT ON FUNCTION imgsearch.canonical(text) IS 'Lower case, no punctuation, single spaces: the form SigLIP was trained on, and the key of a text in query_vector.';

CREATE FUNCTION imgsearch.active_space() RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    id integer;
BEGIN
    SELECT space_id INTO id FROM imgsearch.space WHERE state = 'active';
    IF id IS NULL THEN
        RAISE EXCEPTION 'imgsearch: there is no active space: no model has written here yet'
            USING HINT = 'Start a worker (imgsearch worker); it registers its model.', ERRCODE = 'IM002';
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION imgsearch.active_space() IS 'The space that is searched; an error when no worker has registered a model yet.';

-- STABLE, so that ORDER BY embedding <=> imgsearch.vec('…') is answered by the index: a volatile function there
-- means a sequential scan. It arms the iterative scan when a session has it off, because a filtered index scan
-- that does not iterate returns short pages without a word.
CREATE FUNCTION imgsearch.vec(query text) RETURNS halfvec LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    found  halfvec;
    wanted text := imgsearch.canonical(query);
BEGIN
    IF wanted = '' THEN
        RAISE EXCEPTION 'imgsearch: the query is empty' USING HINT = 'Ask for something, for example red canvas shoe.', ERRCODE = 'IM003';
    END IF;
    IF coalesce(current_setting('hnsw.iterative_scan', true), 'off') = 'off' THEN
        PERFORM set_config('hnsw.iterative_scan', 'strict_order', true);
    END IF;
    SELECT q.embedding INTO found FROM imgsearch.query_vector q
    WHERE q.space_id = imgsearch.active_space() AND q.kind = 'text' AND q.key = sha256(convert_to(wanted, 'UTF8'));
    IF found IS NULL THEN
        RAISE EXCEPTION 'imgsearch: nobody has asked for "%" yet', left(query, 200)
            USING HINT = format('CALL imgsearch.embed(%L);  -- then repeat your statement', left(query, 200)), ERRCODE = 'IM001';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION imgsearch.vec(text) IS 'The vector of a text. ORDER BY embedding <=> imgsearch.vec(''red canvas shoe''). A text nobody asked before is an error that says what to CALL.';

CREATE FUNCTION imgsearch.vec_of(image_id bigint, tenant text DEFAULT NULL) RETURNS halfvec LANGUAGE plpgsql STABLE AS $$
DECLARE
    found halfvec;
BEGIN
    SELECT v.embedding INTO found
    FROM imgsearch.image i JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
    WHERE i.image_id = vec_of.image_id AND (tenant IS NULL OR i.tenant_id = tenant);
    IF found IS NULL THEN
        RAISE EXCEPTION 'imgsearch: image % does not exist or has no vector yet', vec_of.image_id
            USING HINT = 'SELECT * FROM imgsearch.status; SELECT * FROM imgsearch.failures;', ERRCODE = 'IM004';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION imgsearch.vec_of(bigint, text) IS 'The stored vector of a picture: more like this. ORDER BY embedding <=> imgsearch.vec_of(42).';

-- Inlined by the planner (SQL, STABLE, one expression), so ORDER BY imgsearch.distance(embedding, '…') uses the index.
CREATE FUNCTION imgsearch.distance(embedding halfvec, query text) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT embedding <=> imgsearch.vec(query)
$$;
COMMENT ON FUNCTION imgsearch.distance(halfvec, text) IS 'Cosine distance of a vector to a text. ORDER BY imgsearch.distance(embedding, ''red shoe'') LIMIT 10.';

CREATE FUNCTION imgsearch.ask(query text DEFAULT NULL, picture bytea DEFAULT NULL) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    asked_kind text  := CASE WHEN picture IS NULL THEN 'text' ELSE 'picture' END;
    asked_key  bytea := sha256(coalesce(picture, convert_to(imgsearch.canonical(query), 'UTF8')));
BEGIN
    -- A failure is asked again after a minute, so that one bad moment of a worker is not remembered for ever.
    INSERT INTO imgsearch.query_vector AS q (space_id, kind, key, query, picture)
    VALUES (imgsearch.active_space(), asked_kind, asked_key, imgsearch.canonical(ask.query), ask.picture)
    ON CONFLICT (space_id, kind, key) DO UPDATE
        SET query = EXCLUDED.query, picture = EXCLUDED.picture, error_code = NULL, error = NULL,
            claimed = NULL, answered_at = NULL, asked_at = now()
        WHERE q.error_code IS NOT NULL AND q.answered_at < now() - interval '1 minute';
    PERFORM pg_notify('imgsearch_query', '');
    RETURN asked_key;
END $$;
COMMENT ON FUNCTION imgsearch.ask(text, bytea) IS 'Queues a text or a picture for a query worker and answers its key in query_vector; takes effect at COMMIT.';

CREATE PROCEDURE imgsearch.embed(query text, timeout_seconds double precision DEFAULT 10) LANGUAGE plpgsql AS $$
DECLARE
    asked_key bytea;
    answer    record;
    deadline  timestamptz := clock_timestamp() + make_interval(secs => timeout_seconds);
BEGIN
    IF imgsearch.canonical(query) = '' THEN
        RAISE EXCEPTION 'imgsearch: the query is empty' USING HINT = 'Ask for something, for example red canvas shoe.', ERRCODE = 'IM003';
    END IF;
    asked_key := imgsearch.ask(query);
    COMMIT;  -- the worker sees the question only now
    LOOP
        SELECT q.answered_at, q.embedding, q.error INTO answer FROM imgsearch.query_vector q
        WHERE q.space_id = imgsearch.active_space() AND q.kind = 'text' AND q.key = asked_key;
        EXIT WHEN answer.answered_at IS NOT NULL;
        IF clock_timestamp() > deadline THEN
            RAISE EXCEPTION 'imgsearch: no worker embedded "%" within % s', left(query, 200), timeout_seconds
                USING HINT = 'Is a query worker running? SELECT * FROM imgsearch.worker; start one with: imgsearch worker --lane queries', ERRCODE = 'IM005';
        END IF;
        COMMIT;  -- never hold a snapshot while waiting
        PERFORM pg_sleep(0.005);
    END LOOP;
    IF answer.embedding IS NULL THEN
        RAISE EXCEPTION 'imgsearch: "%" could not be embedded: %', left(query, 200), answer.error USING ERRCODE = 'IM006';
    END IF;
END $$;
COMMENT ON PROCEDURE imgsearch.embed(text, double precision) IS 'Has a worker embed a text nobody asked before: CALL imgsearch.embed(''red canvas shoe''); afterwards imgsearch.vec() knows it. Needs autocommit (no BEGIN around it).';

CREATE FUNCTION imgsearch.requeue(tenant text DEFAULT NULL, error_code text DEFAULT NULL, image_id bigint DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    UPDATE imgsearch.job j
    SET state = 'pending', due = now(), lease = NULL, token = NULL, attempts = 0, error_code = NULL, error = NULL
    WHERE j.state IN ('failed', 'skipped')
      AND (requeue.tenant IS NULL OR j.tenant_id = requeue.tenant)
      AND (requeue.error_code IS NULL OR j.error_code = requeue.error_code)
      AND (requeue.image_id IS NULL OR j.image_id = requeue.image_id);
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM pg_notify('imgsearch_image', '');
    RETURN changed;
END $$;
COMMENT ON FUNCTION imgsearch.requeue(text, text, bigint) IS 'Gives failed and skipped pictures another chance; answers how many. SELECT imgsearch.requeue(error_code => ''missing'');';

CREATE FUNCTION imgsearch.refetch(tenant text DEFAULT NULL, product_id text DEFAULT NULL, image_id bigint DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    -- Without a digest the bytes are unknown: the trigger takes the vector away, and a worker fetches the address anew.
    UPDATE imgsearch.image i SET sha256 = NULL
    WHERE i.uri ~* '^https?://' AND i.sha256 IS NOT NULL
      AND (refetch.tenant IS NULL OR i.tenant_id = refetch.tenant)
      AND (refetch.product_id IS NULL OR i.product_id = refetch.product_id)
      AND (refetch.image_id IS NULL OR i.image_id = refetch.image_id);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;
COMMENT ON FUNCTION imgsearch.refetch(text, text, bigint) IS 'Has pictures of http(s) addresses fetched and embedded again; answers how many. SELECT imgsearch.refetch(product_id => ''sku-1'');';

CREATE VIEW imgsearch.failures WITH (security_invoker = true) AS
SELECT j.tenant_id, j.image_id, i.product_id, i.uri, j.error_code, j.error, j.attempts, j.due AS failed_at
FROM imgsearch.job j JOIN imgsearch.image i ON i.tenant_id = j.tenant_id AND i.image_id = j.image_id
WHERE j.state = 'failed';
COMMENT ON VIEW imgsearch.failures IS 'Pictures that failed and why. SELECT imgsearch.requeue(image_id => …) tries one again.';

CREATE VIEW imgsearch.violations WITH (security_invoker = true) AS
SELECT 'neither vector nor job' AS violation, i.tenant_id, i.image_id
FROM imgsearch.image i
WHERE NOT EXISTS (SELECT FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id)
  AND NOT EXISTS (SELECT FROM imgsearch.vectors v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id)
UNION ALL
SELECT 'vector of other bytes', i.tenant_id, i.image_id
FROM imgsearch.image i JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE v.sha256 IS DISTINCT FROM i.sha256
UNION ALL
SELECT 'vector of the wrong dimension', v.tenant_id, v.image_id
FROM imgsearch.vectors v JOIN imgsearch.space s ON s.state = 'active' WHERE vector_dims(v.embedding) <> s.dimension
UNION ALL
SELECT 'vector and bits disagree', i.tenant_id, i.image_id
FROM imgsearch.image i LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
WHERE (to_jsonb(i) ->> ('bits_' || (SELECT space_id FROM imgsearch.space WHERE state = 'active')) IS NULL) <> (v.image_id IS NULL)
UNION ALL
SELECT 'lease not rescued', j.tenant_id, j.image_id
FROM imgsearch.job j WHERE j.state = 'leased' AND j.lease < now() - interval '5 minutes';
COMMENT ON VIEW imgsearch.violations IS 'Broken invariants: must return no row, ever.';

CREATE VIEW imgsearch.status WITH (security_invoker = true) AS
SELECT
    (SELECT count(*) FROM imgsearch.image)                                                   AS images,
    (SELECT count(*) FROM imgsearch.image i
     WHERE NOT EXISTS (SELECT FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id)
       AND EXISTS (SELECT FROM imgsearch.vectors v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id)) AS ready,
    count(*) FILTER (WHERE j.state = 'pending')                                              AS pending,
    count(*) FILTER (WHERE j.state = 'leased')                                               AS leased,
    count(*) FILTER (WHERE j.state = 'failed')                                               AS failed,
    count(*) FILTER (WHERE j.state = 'skipped')                                              AS skipped,
    now() - min(j.created_at) FILTER (WHERE j.state IN ('pending', 'leased'))                AS oldest_waiting,
    (SELECT count(*) FROM imgsearch.query_vector WHERE answered_at IS NULL)                  AS queries_waiting,
    (SELECT count(*) FROM imgsearch.worker WHERE seen_at > now() - interval '30 seconds')    AS workers,
    (SELECT max(seen_at) FROM imgsearch.worker)                                              AS worker_last_seen,
    (SELECT space_id FROM imgsearch.space WHERE state = 'active')                            AS space_id,
    (SELECT model FROM imgsearch.space WHERE state = 'active')                               AS model,
    (SELECT dimension FROM imgsearch.space WHERE state = 'active')                           AS dimension,
    coalesce((SELECT CASE WHEN x.indisvalid AND x.indisready THEN 'valid' ELSE 'invalid: run imgsearch index reindex' END
              FROM imgsearch.space s
              JOIN pg_index x ON x.indexrelid = to_regclass('imgsearch.embedding_' || s.space_id || '_hnsw')
              WHERE s.state = 'active'), 'none')                                             AS index_health,
    (SELECT pg_size_pretty(pg_relation_size(to_regclass('imgsearch.embedding_' || s.space_id || '_hnsw')))
     FROM imgsearch.space s WHERE s.state = 'active')                                        AS index_size
FROM imgsearch.job j;
COMMENT ON VIEW imgsearch.status IS 'How many pictures are in which state, the oldest waiting, workers seen, the model, index health.';

DO $$
BEGIN
    PERFORM '[1]'::vector;  -- loads the library: its settings cannot be set before
    EXECUTE format('ALTER DATABASE %I SET hnsw.iterative_scan = %L', current_database(), 'strict_order');
    EXECUTE format('ALTER DATABASE %I SET hnsw.ef_search = %L', current_database(), '100');
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'imgsearch: not the owner of this database, so hnsw.iterative_scan stays as it is; ask its owner for: ALTER DATABASE % SET hnsw.iterative_scan = strict_order', current_database();
END $$;
