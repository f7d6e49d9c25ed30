-- Spaces: their names, the locks that change them, and making one (a table to rank on, a column to pre-filter on).

CREATE OR REPLACE FUNCTION imgsearch_internal.space_of(space text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    id    integer;
    known text;
BEGIN
    SELECT s.space_id INTO id FROM imgsearch.space s WHERE s.name = lower(space) OR s.space_id::text = space;
    IF id IS NULL THEN
        SELECT string_agg(s.name, ', ' ORDER BY s.space_id) INTO known FROM imgsearch.space s;
        RAISE EXCEPTION 'imgsearch: there is no space %', coalesce(quote_literal(left(space, 100)), 'null')
            USING HINT = CASE WHEN known IS NULL THEN 'There is none yet: start a worker (imgsearch worker).' ELSE format('There are: %s. SELECT * FROM imgsearch.spaces;', known) END,
                  ERRCODE = 'IM023';
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.space_of(text) IS 'The number of a space by its name or number; raises that there is none.';

-- One change of spaces at a time. Read committed: what is written from the list of spaces must know them all.
CREATE OR REPLACE FUNCTION imgsearch_internal.change_spaces() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'imgsearch: spaces are changed in READ COMMITTED, this transaction is %', upper(current_setting('transaction_isolation'))
            USING HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED;', ERRCODE = 'IM009';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('imgsearch.space'));
END $$;
COMMENT ON FUNCTION imgsearch_internal.change_spaces() IS 'Waits for its turn to change spaces, until the transaction ends.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_locked(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    who text;
BEGIN
    SELECT string_agg(DISTINCT format('process %s of %s (%s, its transaction is open since %s)', a.pid, a.usename, a.state, to_char(a.xact_start, 'HH24:MI:SS')), '; ')
    INTO who FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.relation = refuse_locked.relation AND l.granted AND l.pid <> pg_backend_pid() AND a.xact_start < now();
    RAISE EXCEPTION 'imgsearch: % was in use whenever it was asked for: %', relation, coalesce(who, 'by short statements, again and again')
        USING HINT = 'Nothing was changed. Try again when that transaction has ended, or end it: SELECT pg_terminate_backend(process);', ERRCODE = 'IM026';
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_locked(regclass) IS 'Raises who kept a table from being locked.';

-- All others wait behind whoever waits for the strongest lock: so it is asked for again and again, and never waited for
-- for long. The weaker lock first, for which nobody waits: autovacuum gives way to it, after deadlock_timeout.
CREATE OR REPLACE FUNCTION imgsearch_internal.lock_briefly(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    until timestamptz := clock_timestamp() + coalesce(nullif(current_setting('imgsearch.lock_patience', true), ''), '20s')::interval;
BEGIN
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '2500ms', true);
            EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', relation);
            PERFORM set_config('lock_timeout', '80ms', true);
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', relation);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF clock_timestamp() > until THEN
                PERFORM imgsearch_internal.refuse_locked(relation);
            END IF;
            PERFORM pg_sleep(0.1 + random() / 5);
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.lock_briefly(regclass) IS 'Takes the strongest lock on a table without making others wait for more than 80 ms at a time; leaves that lock_timeout set. Raises who was in the way after imgsearch.lock_patience (20s).';

-- Bits are compared in index-only scans, one index for each filter that may stand first: a scan of the rows themselves in
-- random order was measured 3 to 10 times slower (docs/decisions/0002-search-statement.md).
CREATE OR REPLACE FUNCTION imgsearch_internal.indexes_of(space integer) RETURNS TABLE (name text, relation text, how text) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'image_bits_' || space, 'image', format('(tenant_id, category, price, in_stock, image_id) INCLUDE (bits_%s, product_id)', space)
    UNION ALL SELECT 'image_bits_category_' || space, 'image', format('(category, price, in_stock, image_id) INCLUDE (bits_%s, product_id, tenant_id)', space)
    UNION ALL SELECT 'image_bits_price_' || space, 'image', format('(price, category, in_stock, image_id) INCLUDE (bits_%s, product_id, tenant_id)', space)
    UNION ALL SELECT 'image_bits_' || p.column_name || '_' || space, 'image',
                     format('(%I, tenant_id, category, price, in_stock, image_id) INCLUDE (bits_%s, product_id)', p.column_name, space)
    FROM imgsearch.promoted_attribute p
    UNION ALL SELECT format('embedding_%s_hnsw', space), 'embedding_' || space, imgsearch_internal.graph_sql()
    WHERE imgsearch_internal.may_have_graph()
$$;
COMMENT ON FUNCTION imgsearch_internal.indexes_of(integer) IS 'The indexes a space is searched with: the name, the table in imgsearch, and what stands behind CREATE INDEX … ON it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.name_space(wanted text, model text, fingerprint text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- Of google/siglip2-base-patch16-256 the last part, of shop.models:Shoes the name of the class.
    base   text := left(trim(BOTH '-._' FROM regexp_replace(lower(regexp_replace(rtrim(model, '/'), '^.*[/:]', '')), '[^a-z0-9._-]+', '-', 'g')), 50);
    taken  text;
    number integer := 1;
BEGIN
    IF NOT (wanted ~ '^[a-z0-9][a-z0-9._-]{0,62}$' AND wanted !~ '^\d+$' AND wanted <> 'all') THEN
        RAISE EXCEPTION 'imgsearch: % cannot be the name of a space', quote_literal(left(wanted, 100))
            USING HINT = 'Small letters, digits, dots, - and _, at most 63, not digits alone, and not "all": siglip2, clip-2026.', ERRCODE = 'IM009';
    END IF;
    SELECT s.name INTO taken FROM imgsearch.space s WHERE s.name = wanted OR s.kind = 'model' AND s.fingerprint = name_space.fingerprint;
    IF taken IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: %', CASE WHEN taken = wanted THEN format('there is a space %L already', taken) ELSE format('the space %L was made by this very model', taken) END
            USING HINT = CASE WHEN taken = wanted THEN 'Give it another name, or drop that one first.'
                         WHEN (SELECT s.state FROM imgsearch.space s WHERE s.name = taken) = 'building' THEN format('Fill it: imgsearch space fill %s', taken)
                         ELSE 'Nothing is to be done: imgsearch space list' END, ERRCODE = 'IM024';
    ELSIF wanted IS NOT NULL THEN
        RETURN wanted;
    END IF;
    base := CASE WHEN base ~ '^\d*$' OR base = 'all' THEN concat_ws('-', 'space', nullif(base, '')) ELSE base END;
    LOOP
        wanted := base || CASE WHEN number > 1 THEN '-' || number ELSE '' END;
        EXIT WHEN NOT EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.name = wanted);
        number := number + 1;
    END LOOP;
    RETURN wanted;
END $$;
COMMENT ON FUNCTION imgsearch_internal.name_space(text, text, text) IS 'The name of a new space: the one that is wanted, or one from its model. Raises that it is no name or taken, or that this model has a space.';

-- Nobody waits: the column is added without a rewrite under a lock that is held for milliseconds, and the table is empty.
-- `indexes`: also those it is searched with, at once, for an image table that is small; else `imgsearch space fill` makes
-- them CONCURRENTLY when it is full, which no function can.
CREATE OR REPLACE FUNCTION imgsearch.add_space(
    model text, revision text, fingerprint text, dimension integer, preprocessing text,
    mean halfvec, probe_picture halfvec DEFAULT NULL, probe_text halfvec DEFAULT NULL,
    name text DEFAULT NULL, kind text DEFAULT 'model', indexes boolean DEFAULT false
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
#variable_conflict use_variable
DECLARE
    id    integer;
    plain text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN ' STORAGE PLAIN' ELSE '' END;
    made  record;
BEGIN
    IF model IS NULL OR revision IS NULL OR fingerprint IS NULL OR preprocessing IS NULL OR kind IS NULL
       OR kind NOT IN ('model', 'given') OR (dimension BETWEEN 1 AND 4000) IS NOT TRUE OR vector_dims(mean) IS DISTINCT FROM dimension THEN
        RAISE EXCEPTION 'imgsearch: a space needs a model, its revision, fingerprint and preprocessing, a dimension from 1 to 4000,'
            ' a mean of that dimension, and the kind model or given'
            USING HINT = 'Workers make theirs: imgsearch worker; imgsearch space add names another model.', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.change_spaces();
    INSERT INTO imgsearch.space (name, kind, model, revision, fingerprint, dimension, preprocessing, mean, probe_picture, probe_text)
    VALUES (imgsearch_internal.name_space(name, model, fingerprint), kind, model, revision, fingerprint, dimension, preprocessing, mean, probe_picture, probe_text)
    RETURNING space_id INTO id;
    UPDATE imgsearch.space s SET rotation = id, signs = imgsearch_internal.signs_of(id, dimension) WHERE s.space_id = id;
    PERFORM imgsearch_internal.make_embedding(id, model, dimension, plain);
    PERFORM imgsearch_internal.lock_briefly('imgsearch.image');
    EXECUTE format('ALTER TABLE imgsearch.image ADD COLUMN bits_%s bit(%s)%s', id, dimension, plain);
    IF plain = '' THEN  -- PostgreSQL 15
        EXECUTE format('ALTER TABLE imgsearch.image ALTER COLUMN bits_%s SET STORAGE PLAIN', id);
    END IF;
    EXECUTE format('COMMENT ON COLUMN imgsearch.image.bits_%s IS %L', id, 'Signs of the vector minus the mean of space ' || id || ', turned by its rotation; null until embedded.');
    PERFORM imgsearch_internal.tie_vectors(id), imgsearch_internal.tie_regions(id);
    PERFORM imgsearch_internal.write_image_triggers();
    IF indexes THEN
        FOR made IN SELECT * FROM imgsearch_internal.indexes_of(id) LOOP
            EXECUTE format('CREATE INDEX %I ON imgsearch.%I %s', made.name, made.relation, made.how);
        END LOOP;
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION imgsearch.add_space(text, text, text, integer, text, halfvec, halfvec, halfvec, text, text, boolean) IS
'Registers a model: makes embedding_<id> and image.bits_<id>, beside searches and writers; returns the space_id. It is filled from then on by its workers, and searched after activate_space().';

CREATE OR REPLACE FUNCTION imgsearch_internal.make_embedding(id integer, model text, dimension integer, plain text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Storage PLAIN keeps the vector in the row: an exact scan of TOASTed vectors was measured 4.4 times slower.
    -- image_id before tenant_id wastes no byte on alignment: with 768 dimensions five rows fit a page, not four.
    -- 0.1: a vacuum passes through the whole HNSW four times, so not often; dead entries lengthen walks, so not late.
    EXECUTE format('CREATE TABLE imgsearch.embedding_%s (
            image_id bigint NOT NULL,
            tenant_id text NOT NULL,
            sha256 bytea NOT NULL,
            embedding halfvec(%s)%s NOT NULL,
            PRIMARY KEY (tenant_id, image_id),
            CONSTRAINT vector_has_length_one CHECK (l2_norm(embedding) BETWEEN 0.99 AND 1.01)
        ) WITH (autovacuum_vacuum_scale_factor = 0.1)', id, dimension, plain);
    IF plain = '' THEN  -- PostgreSQL 15
        EXECUTE format('ALTER TABLE imgsearch.embedding_%s ALTER COLUMN embedding SET STORAGE PLAIN', id);
    END IF;
    EXECUTE format('COMMENT ON TABLE imgsearch.embedding_%s IS %L', id, 'Vectors of ' || model || ': immutable, what you rank on.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.tenant_id IS %L', id, 'Whose picture.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.image_id IS %L', id, 'Which picture.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.sha256 IS %L', id, 'The bytes this vector was made from.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.embedding IS %L', id, 'Vector of length one; cosine distance is <=>.');
    EXECUTE format('CREATE INDEX embedding_%1$s_by_id ON imgsearch.embedding_%1$s (image_id)', id);
    -- Only this table: to wall the others again takes their strongest lock, and somebody who reads imgsearch.status at
    -- that moment holds one and waits for another.
    PERFORM imgsearch.enable_rls(format('imgsearch.embedding_%s', id)::regclass);
    PERFORM imgsearch_internal.grant_rights(format('imgsearch.embedding_%s', id)::regclass);
    PERFORM imgsearch_internal.make_tail(id);
    PERFORM imgsearch.enable_rls(format('imgsearch.embedding_%s_tail', id)::regclass);
    PERFORM imgsearch_internal.grant_rights(format('imgsearch.embedding_%s_tail', id)::regclass);
    PERFORM imgsearch_internal.make_regions(id, dimension);
END $$;
COMMENT ON FUNCTION imgsearch_internal.make_embedding(integer, text, integer, text) IS 'Makes the table of a space''s vectors, behind the walls between tenants.';
