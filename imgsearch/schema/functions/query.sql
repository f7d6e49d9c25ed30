-- Anything → vector: vec, vec_of, distance, embed.
-- Errors carry SQLSTATEs of class IM so that every door can turn them into the same typed error.

-- The same as canonical() of imgsearch/query/cache.py. All classes of letters are written out: no locale reads them.
CREATE OR REPLACE FUNCTION imgsearch_internal.canonical(query text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    small  text COLLATE "C" := imgsearch_internal.small_letters(query);
    before text COLLATE "C" := '';
BEGIN
    -- A sign that goes may leave another one where it means nothing.
    WHILE small <> before AND small ~ '[!-/:-@\[-`{-~]' LOOP
        before := small;
        small := regexp_replace(small, '(?<=[0-9]) (?=%(?![^ !-/:-@\[-`{-~]))', '', 'g');  -- 50 % is 50%
        small := regexp_replace(small, '(?<=[0-9])[!-/:-@\[-`{-~]+(?=[0-9])', ' ', 'g');
        small := regexp_replace(small, '["!&''()*,/:;=?@\[\\\]^_`{|}~]'
            '|[+%](?=[^ !-/:-@\[-`{-~])|(?<![^ !-*,-/:-@\[-`{-~])\+|(?<![^ !-/:-@\[-`{-~])%'
            '|(?<=[^ !-/:-@\[-`{-~])#(?=[^ !-/:-@\[-`{-~])|(?<=[!-/:-@\[-`{-~])#|(?<![^ ])#(?![0-9])'
            '|(?<![0-9])\$(?![0-9])|(?<=[^ ])[-<>]|[-<>](?![.]?[0-9])|(?<=[^ <>-])[.]|[.](?![0-9])', '', 'g');
        small := imgsearch_internal.small_letters(small);
    END LOOP;
    RETURN small;
END $$;
COMMENT ON FUNCTION imgsearch_internal.canonical(text) IS 'Small letters, single blanks, no signs but those that carry meaning (4.5, C++, -50%): what the model reads, and the key of a text in query_vector.';

CREATE OR REPLACE FUNCTION imgsearch_internal.active_space() RETURNS integer LANGUAGE plpgsql STABLE AS $$
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
COMMENT ON FUNCTION imgsearch_internal.active_space() IS 'The space that is searched; an error when no worker has registered a model yet.';

CREATE OR REPLACE FUNCTION imgsearch_internal.require_model(space integer, state text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.space_id = require_model.space AND s.kind = 'given') THEN
        RAISE EXCEPTION 'imgsearch: the vectors of this space are brought along, so nobody makes one of a question'
            USING HINT = 'Ask with a vector, with imgsearch.vec_of(42), or by words alone (look_weight 0).', ERRCODE = state;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_model(integer, text) IS 'Refuses a question in a space whose vectors are given: no worker could ever answer it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.require_texts(space integer) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM imgsearch_internal.require_model(space, 'IM030');
    IF EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.space_id = require_texts.space AND NOT s.reads_texts) THEN
        RAISE EXCEPTION 'imgsearch: the model of this space sees pictures only'
            USING HINT = 'Ask with a picture (imgsearch.vec_of(42)), or by words alone (look_weight 0).', ERRCODE = 'IM030';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_texts(integer) IS 'Refuses a text in a space whose model has no text tower, such as DINO: nobody could ever answer it.';

-- STABLE, so that ORDER BY embedding <=> imgsearch.vec('…') is answered by the index: a volatile function there
-- means a sequential scan. It arms the iterative scan when a session has it off, because a filtered index scan
-- that does not iterate returns short pages without a word.
CREATE OR REPLACE FUNCTION imgsearch_internal.embed_first(arguments text) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN pg_is_in_recovery() THEN 'This is a replica; on the primary: ' ELSE '' END
        || format('CALL imgsearch.embed(%s);  -- then repeat your statement. ', arguments)
        || 'In manual commit say ROLLBACK and \set AUTOCOMMIT on before it (psql; elsewhere its switch).'
$$;
COMMENT ON FUNCTION imgsearch_internal.embed_first(text) IS
'What to type where a vector is not cached: the CALL, and what manual commit needs before it.';

CREATE OR REPLACE FUNCTION imgsearch.vec(query text) RETURNS halfvec LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    found  record;
    wanted text := imgsearch_internal.canonical(query);
BEGIN
    IF wanted = '' THEN
        RAISE EXCEPTION 'imgsearch: the query is empty' USING HINT = 'Ask for something, for example red canvas shoe.', ERRCODE = 'IM003';
    END IF;
    IF coalesce(current_setting('hnsw.iterative_scan', true), 'off') = 'off' THEN
        PERFORM set_config('hnsw.iterative_scan', 'strict_order', true);
    END IF;
    SELECT q.embedding, q.tokens, q.tokens_read INTO found FROM imgsearch.query_vector q
    WHERE q.tenant_id = coalesce(imgsearch.current_tenant(), '') AND q.space_id = imgsearch_internal.active_space()
      AND q.kind = 'text' AND q.key = sha256(convert_to(wanted, 'UTF8'));
    IF found.embedding IS NULL THEN
        PERFORM imgsearch_internal.require_texts(imgsearch_internal.active_space());
        RAISE EXCEPTION 'imgsearch: no embedding is cached for the text "%"', left(query, 200)
            USING HINT = imgsearch_internal.embed_first(format('%L', left(query, 200))), ERRCODE = 'IM001';
    END IF;
    IF found.tokens IS NOT NULL THEN
        RAISE NOTICE 'imgsearch: only the first % of % tokens of the text were read', found.tokens_read, found.tokens;
    END IF;
    RETURN found.embedding;
END $$;
COMMENT ON FUNCTION imgsearch.vec(text) IS 'The vector of a text. ORDER BY embedding <=> imgsearch.vec(''red canvas shoe''). A text that is not cached is an error that says what to CALL.';

CREATE OR REPLACE FUNCTION imgsearch.vec_of(image_id bigint, tenant text DEFAULT NULL) RETURNS halfvec LANGUAGE plpgsql STABLE AS $$
DECLARE
    found @extschema:vector@.halfvec;
BEGIN
    SELECT v.embedding INTO found
    FROM imgsearch.image i JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
    WHERE i.image_id = vec_of.image_id AND (tenant IS NULL OR i.tenant_id = normalize(tenant, NFC));
    IF found IS NULL THEN
        RAISE EXCEPTION 'imgsearch: image % does not exist or has no vector yet', vec_of.image_id
            USING HINT = 'SELECT * FROM imgsearch.status; SELECT * FROM imgsearch.failures;', ERRCODE = 'IM004';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION imgsearch.vec_of(bigint, text) IS 'The stored vector of a picture: more like this. ORDER BY embedding <=> imgsearch.vec_of(42).';

CREATE OR REPLACE FUNCTION imgsearch_internal.vectors_of_product(product_id text, tenant text) RETURNS TABLE (tenant_id text, embedding halfvec)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT i.tenant_id, l2_normalize(@extschema:vector@.avg(v.embedding::vector))::halfvec
        FROM imgsearch.image i JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
        WHERE i.product_id = normalize(vectors_of_product.product_id, NFC)
          AND (tenant IS NULL OR i.tenant_id = normalize(tenant, NFC))
        GROUP BY i.tenant_id ORDER BY i.tenant_id LIMIT 2;
END $$;
COMMENT ON FUNCTION imgsearch_internal.vectors_of_product(text, text) IS 'The mean of the pictures of a product, for the first two tenants that have one of this id.';

CREATE OR REPLACE FUNCTION imgsearch.vec_of_product(product_id text, tenant text DEFAULT NULL) RETURNS halfvec LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_ @extschema:vector@.halfvec[] := ARRAY(SELECT p.embedding FROM imgsearch_internal.vectors_of_product(vec_of_product.product_id, vec_of_product.tenant) p);
BEGIN
    IF found_ = '{}' THEN
        RAISE EXCEPTION 'imgsearch: product % does not exist or has no picture with a vector yet', left(product_id, 200)
            USING HINT = 'SELECT * FROM imgsearch.status; SELECT * FROM imgsearch.failures;', ERRCODE = 'IM004';
    ELSIF cardinality(found_) > 1 THEN
        RAISE EXCEPTION 'imgsearch: several tenants have a product %', left(product_id, 200)
            USING HINT = 'Say whose: imgsearch.vec_of_product(''sku-1'', ''acme'').', ERRCODE = 'IM003';
    END IF;
    RETURN found_[1];
END $$;
COMMENT ON FUNCTION imgsearch.vec_of_product(text, text) IS
'The vector of a product, the mean of its pictures: SELECT * FROM imgsearch.search(imgsearch.vec_of_product(''sku-1'', ''acme''), tenant => ''acme'', exclude_product_ids => ARRAY[''sku-1'']);';

-- Inlined by the planner (SQL, STABLE, one expression), so ORDER BY imgsearch.distance(embedding, '…') uses the index.
CREATE OR REPLACE FUNCTION imgsearch.distance(embedding halfvec, query text) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT embedding OPERATOR(@extschema:vector@.<=>) imgsearch.vec(query)
$$;
COMMENT ON FUNCTION imgsearch.distance(halfvec, text) IS 'Cosine distance of a vector to a text. ORDER BY imgsearch.distance(embedding, ''red shoe'') LIMIT 10.';

CREATE OR REPLACE FUNCTION imgsearch.distance(embedding halfvec, query halfvec) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT embedding OPERATOR(@extschema:vector@.<=>) query
$$;
COMMENT ON FUNCTION imgsearch.distance(halfvec, halfvec) IS 'Cosine distance of two vectors, as <=> is, also where that operator is not on the search_path. ORDER BY imgsearch.distance(embedding, imgsearch.vec_of(42)) LIMIT 10.';

-- What a role of one tenant asks without saying whose it is would be nobody's: it could never read the answer.
CREATE OR REPLACE FUNCTION imgsearch_internal.require_asker() RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    asker name := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;  -- not whose rights this runs with
BEGIN
    IF imgsearch.current_tenant() IS NULL AND imgsearch_internal.is_restricted(asker) THEN
        RAISE EXCEPTION 'imgsearch: % sees one tenant at a time, and none is set', asker
            USING HINT = 'SELECT set_config(''imgsearch.tenant'', ''acme'', false);  -- then ask again', ERRCODE = 'IM021';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_asker() IS 'Refuses a question of a role that row-level security limits to a tenant, where no tenant is set.';

-- A picture's key is the digest of its bytes, behind it the text of a region where only that is meant.
CREATE OR REPLACE FUNCTION imgsearch_internal.enqueue_question(query text, picture bytea, space integer, region text, key bytea, image_id bigint) RETURNS bytea
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    of_picture CONSTANT boolean := picture IS NOT NULL OR image_id IS NOT NULL;
    wanted     CONSTANT integer := coalesce(enqueue_question.space, imgsearch_internal.active_space());
    asked_key  CONSTANT bytea := CASE WHEN image_id IS NOT NULL THEN enqueue_question.key
        ELSE sha256(coalesce(picture, convert_to(imgsearch_internal.canonical(query), 'UTF8'))) || coalesce(convert_to(region, 'UTF8'), '') END;
    asked_text CONSTANT text := coalesce(image_id::text, imgsearch_internal.canonical(query));
BEGIN
    PERFORM imgsearch_internal.require_asker();
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'imgsearch: this is a replica, which no question can be written to'
            USING HINT = 'Ask on the primary; the answer follows to here.', ERRCODE = '25006';
    END IF;
    IF of_picture THEN
        PERFORM imgsearch_internal.require_model(wanted, 'IM003');
    ELSE
        PERFORM imgsearch_internal.require_texts(wanted);
    END IF;
    -- A failure is asked again after a minute, so that one bad moment of a worker is not remembered for ever.
    INSERT INTO imgsearch.query_vector AS q (tenant_id, space_id, kind, key, query, picture)
    VALUES (coalesce(imgsearch.current_tenant(), ''), wanted, CASE WHEN of_picture THEN 'picture' ELSE 'text' END, asked_key, asked_text,
            enqueue_question.picture)
    ON CONFLICT (tenant_id, kind, key, space_id) DO UPDATE
        SET query = EXCLUDED.query, picture = EXCLUDED.picture, error_code = NULL, error = NULL,
            claimed = NULL, answered_at = NULL, asked_at = EXCLUDED.asked_at
        WHERE q.error_code IS NOT NULL AND q.answered_at < EXCLUDED.asked_at - interval '1 minute';
    PERFORM pg_notify('imgsearch_query', '');
    RETURN asked_key;
END $$;
COMMENT ON FUNCTION imgsearch_internal.enqueue_question(text, bytea, integer, text, bytea, bigint) IS 'Queues a text, a picture, or a region of it or of a stored one, of the tenant that is set (none: of somebody above tenants) for a query worker of the searched space, or of the one given, and returns its key in query_vector; takes effect at COMMIT.';

-- A function may never commit: so this is how the server, in its own language, refuses it inside a transaction.
CREATE OR REPLACE FUNCTION imgsearch_internal.commit_refused() RETURNS text LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    COMMIT;
EXCEPTION WHEN invalid_transaction_termination THEN
    RETURN SQLERRM;
END $$;
COMMENT ON FUNCTION imgsearch_internal.commit_refused() IS
'What the server says to a COMMIT inside a transaction.';

-- A block with an EXCEPTION cannot commit either, but in autocommit the server refuses it in other words.
CREATE OR REPLACE PROCEDURE imgsearch_internal.require_autocommit(procedure_name text) LANGUAGE plpgsql AS $$
DECLARE
    refusal text;
BEGIN
    BEGIN
        COMMIT;
    EXCEPTION WHEN invalid_transaction_termination THEN
        refusal := SQLERRM;
    END;
    IF refusal OPERATOR(pg_catalog.=) imgsearch_internal.commit_refused() THEN
        RAISE EXCEPTION 'imgsearch: % commits as it goes, so it cannot run inside a transaction', procedure_name
            USING HINT = 'COMMIT or ROLLBACK, then repeat it in autocommit: \set AUTOCOMMIT on in psql, '
                'autocommit=True in psycopg, the switch of that name elsewhere.', ERRCODE = 'IM009';
    END IF;
END $$;
COMMENT ON PROCEDURE imgsearch_internal.require_autocommit(text) IS
'Refuses a call inside a transaction with what to do, before a COMMIT does without.';

CREATE OR REPLACE PROCEDURE imgsearch.embed(query text, timeout_seconds double precision DEFAULT 10, space text DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    id        CONSTANT integer := CASE WHEN space IS NOT NULL THEN imgsearch_internal.space_of(space) END;  -- null: the searched one, also when that changes
    asked_key bytea;
    answer    record;
    deadline  timestamptz;
BEGIN
    PERFORM imgsearch_internal.require_between('timeout_seconds', timeout_seconds, 0, 86400);
    deadline := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => timeout_seconds);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);  -- a procedure that commits may not say it above; until then
    CALL imgsearch_internal.require_autocommit('imgsearch.embed');
    IF coalesce(imgsearch_internal.canonical(query), '') = '' THEN
        RAISE EXCEPTION 'imgsearch: the query is empty' USING HINT = 'Ask for something, for example red canvas shoe.', ERRCODE = 'IM003';
    ELSIF length(query) > 2000 THEN
        RAISE EXCEPTION 'imgsearch: the query has % characters, the limit is 2000', length(query) USING HINT = 'Shorten it.', ERRCODE = 'IM003';
    END IF;
    PERFORM imgsearch_internal.require_asker();
    asked_key := imgsearch_internal.enqueue_question(query, NULL, id, NULL, NULL, NULL);
    COMMIT;  -- the worker sees the question only now
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    LOOP
        SELECT q.answered_at, q.embedding, q.error, q.tokens, q.tokens_read INTO answer FROM imgsearch.query_vector q
        WHERE q.tenant_id = coalesce(imgsearch.current_tenant(), '') AND q.space_id = coalesce(id, imgsearch_internal.active_space())
          AND q.kind = 'text' AND q.key = asked_key;
        EXIT WHEN answer.answered_at IS NOT NULL;
        IF clock_timestamp() > deadline THEN
            RAISE EXCEPTION 'imgsearch: no worker embedded "%" within % s', left(query, 200), timeout_seconds
                USING HINT = 'Is a query worker running? SELECT * FROM imgsearch.worker; start one with: imgsearch worker ' || coalesce('--space ' || lower(space) || ' ', '') || '--queue queries', ERRCODE = 'IM005';
        END IF;
        COMMIT;  -- never hold a snapshot while waiting
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        PERFORM pg_sleep(0.005);
    END LOOP;
    IF answer.embedding IS NULL THEN
        RAISE EXCEPTION 'imgsearch: "%" could not be embedded: %', left(query, 200), answer.error USING ERRCODE = 'IM006';
    ELSIF answer.tokens IS NOT NULL THEN
        RAISE NOTICE 'imgsearch: only the first % of % tokens of the text were read', answer.tokens_read, answer.tokens;
    END IF;
END $$;
COMMENT ON PROCEDURE imgsearch.embed(text, double precision, text) IS 'Has a worker embed a text that is not cached: CALL imgsearch.embed(''red canvas shoe''); afterwards imgsearch.vec() knows it; space => ''clip'' asks the model of another space. Needs autocommit (no BEGIN around it).';
