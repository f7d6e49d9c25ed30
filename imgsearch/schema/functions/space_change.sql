-- Spaces on their way: filled, searched, set back, dropped. None of these makes a search or a writer wait for long.

CREATE OR REPLACE FUNCTION imgsearch.fill_space(space text, size integer DEFAULT 2000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id     integer := imgsearch_internal.space_of(space);
    here   imgsearch.space;
    last   bigint;
    queued bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('imgsearch.fill'), id) THEN
        RAISE EXCEPTION 'imgsearch: space % is being filled by another session', space
            USING HINT = 'Wait for it, or end it; what it has queued is not lost.', ERRCODE = 'IM026';
    END IF;
    SELECT s.* INTO here FROM imgsearch.space s WHERE s.space_id = id;
    IF here.kind <> 'model' THEN
        RAISE EXCEPTION 'imgsearch: nobody embeds the pictures of space %', here.name
            USING HINT = 'Its vectors are given: add(…, vector => …).', ERRCODE = 'IM009';
    ELSIF here.filled_at IS NOT NULL THEN
        RETURN 0;
    END IF;
    SELECT max(x.image_id), count(*) INTO last, queued
    FROM (SELECT i.image_id FROM imgsearch.image i WHERE i.image_id > here.filled_to ORDER BY i.image_id LIMIT size) x;
    EXECUTE format('INSERT INTO imgsearch.job (tenant_id, image_id, space_id)
        SELECT i.tenant_id, i.image_id, $1 FROM imgsearch.image i
        WHERE i.image_id > $2 AND i.image_id <= $3
          AND NOT EXISTS (SELECT 1 FROM imgsearch.embedding_%s e WHERE e.tenant_id = i.tenant_id AND e.image_id = i.image_id)
        ORDER BY i.image_id ON CONFLICT (tenant_id, image_id, space_id) DO NOTHING', id) USING id, here.filled_to, last;
    UPDATE imgsearch.space s SET filled_to = coalesce(last, s.filled_to), filled_at = CASE WHEN last IS NULL THEN now() END,
        filling = coalesce(s.filling, jsonb_build_object('at', now(), 'embedded', (imgsearch_internal.count_space(id)).embedded))
    WHERE s.space_id = id;
    PERFORM pg_notify('imgsearch_image', '');
    RETURN queued;
END $$;
COMMENT ON FUNCTION imgsearch.fill_space(text, integer) IS 'Queues the next images for a space that is being filled and returns how many it looked at; 0: all are queued. Call it again and again, each time with a COMMIT; `imgsearch space fill` does so at the pace of the workers.';

-- What the searched space finds and this one would not.
CREATE OR REPLACE FUNCTION imgsearch_internal.lost_by(space integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    before integer := (SELECT s.space_id FROM imgsearch.space s WHERE s.state = 'active');
    lost   bigint := 0;
BEGIN
    IF before <> space THEN
        EXECUTE format('SELECT count(*) FROM imgsearch.embedding_%s a WHERE NOT EXISTS (
            SELECT 1 FROM imgsearch.embedding_%s b WHERE b.tenant_id = a.tenant_id AND b.image_id = a.image_id AND b.sha256 IN (a.sha256, ''''))', before, space) INTO lost;
    END IF;
    RETURN lost;
END $$;
COMMENT ON FUNCTION imgsearch_internal.lost_by(integer) IS 'How many images the searched space finds that this space would not.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_activation(space integer) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    here  imgsearch.space := (SELECT s FROM imgsearch.space s WHERE s.space_id = refuse_activation.space);
    lost  bigint := imgsearch_internal.lost_by(space);
    count record  := imgsearch_internal.count_space(space);
    -- Every way of searching a table of few pages is quick.
    crawl text[] := CASE WHEN pg_table_size('imgsearch.image') > 8 * 1024 * 1024 THEN ARRAY(
        SELECT o.name FROM imgsearch_internal.indexes_of(space) o LEFT JOIN pg_index x ON x.indexrelid = to_regclass('imgsearch.' || quote_ident(o.name))
        WHERE x.indisvalid IS NOT TRUE ORDER BY 1) ELSE '{}' END;
BEGIN
    IF lost > 0 THEN
        RAISE EXCEPTION 'imgsearch: space % is not full: % images that are found now would not be found (% wait, % failed)', here.name, lost, count.waiting, count.failed
            USING HINT = CASE WHEN here.kind = 'given' THEN format('Add their vectors: add(…, vector => …); force => true gives up %s images.', lost)
                              ELSE format('imgsearch space fill %s; SELECT * FROM imgsearch.failures WHERE space = %L; force => true (--force) gives up %s images.', here.name, here.name, lost) END,
                  ERRCODE = 'IM025';
    ELSIF crawl <> '{}' THEN
        RAISE EXCEPTION 'imgsearch: space % has no valid index yet: %', here.name, array_to_string(crawl, ', ')
            USING HINT = format('imgsearch space fill %s builds them; force => true (--force) searches slowly.', here.name), ERRCODE = 'IM025';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_activation(integer) IS 'Raises why a space cannot take over: images that would be lost, indexes that are missing.';

CREATE OR REPLACE FUNCTION imgsearch.activate_space(space text, force boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    id     integer := imgsearch_internal.space_of(space);
    before integer := (SELECT s.space_id FROM imgsearch.space s WHERE s.state = 'active' AND s.space_id <> imgsearch_internal.space_of(space));
    until  timestamptz;
BEGIN
    PERFORM imgsearch_internal.change_spaces();
    IF NOT force THEN
        PERFORM imgsearch_internal.refuse_activation(id);
    END IF;
    IF before IS NOT NULL AND NOT imgsearch_internal.has_engine(before) THEN
        PERFORM imgsearch_internal.write_engine(before);  -- a fifth of a second, and nothing is locked yet
    END IF;
    -- From here on nothing new is delivered to the searched space: what is full now stays so until this commits.
    BEGIN
        PERFORM 1 FROM imgsearch.space s WHERE s.state = 'active' OR s.space_id = id ORDER BY s.space_id FOR UPDATE;
    EXCEPTION WHEN lock_not_available THEN  -- whoever gives vectors holds it until his transaction ends
        PERFORM imgsearch_internal.refuse_locked('imgsearch.space');
    END;
    IF NOT force THEN
        PERFORM imgsearch_internal.refuse_activation(id);
    END IF;
    UPDATE imgsearch.space s SET state = 'standby' WHERE s.state = 'active' AND s.space_id <> id;
    UPDATE imgsearch.space s SET state = 'active', activated_at = now(), filled_at = coalesce(s.filled_at, now()) WHERE s.space_id = id;
    PERFORM imgsearch_internal.draw_sample(id, 512);
    -- What the new one was searched with by its name stays: whoever does so now is not in our way, nor we in his.
    PERFORM imgsearch_internal.measure_engine(s.space_id) FROM imgsearch.space s WHERE s.state <> 'active' AND imgsearch_internal.has_engine(s.space_id);
    -- Searches hold the view while they run, and each that comes waits behind us: so not for long.
    until := clock_timestamp() + coalesce(nullif(current_setting('imgsearch.lock_patience', true), ''), '20s')::interval;
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '80ms', true);
            PERFORM imgsearch_internal.write_vectors();
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF clock_timestamp() > until THEN
                PERFORM imgsearch_internal.refuse_locked('imgsearch.vectors');
            END IF;
            PERFORM pg_sleep(0.1 + random() / 5);
        END;
    END LOOP;
    PERFORM pg_notify('imgsearch_query', '');
END $$;
COMMENT ON FUNCTION imgsearch.activate_space(text, boolean) IS 'Makes a space the searched one, in one transaction: views and searches follow at commit, and the one before stands by. Refused (IM025) while it is not full; force: say what is lost and do it all the same.';

CREATE OR REPLACE FUNCTION imgsearch.rollback_space(force boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before text := (SELECT s.name FROM imgsearch.space s WHERE s.state = 'standby' ORDER BY s.activated_at DESC NULLS LAST, s.space_id DESC LIMIT 1);
BEGIN
    IF before IS NULL THEN
        RAISE EXCEPTION 'imgsearch: no space stands by to go back to'
            USING HINT = 'SELECT * FROM imgsearch.spaces; a space that was dropped must be added and filled again.', ERRCODE = 'IM023';
    END IF;
    PERFORM imgsearch.activate_space(before, force);
    RETURN before;
END $$;
COMMENT ON FUNCTION imgsearch.rollback_space(boolean) IS 'Makes the space that was searched before the searched one again; returns its name. Nothing is lost: it was kept in step.';

CREATE OR REPLACE FUNCTION imgsearch.drop_space(space text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    id integer := imgsearch_internal.space_of(space);
BEGIN
    PERFORM imgsearch_internal.change_spaces();
    IF EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.space_id = id AND s.state = 'active') THEN
        RAISE EXCEPTION 'imgsearch: space % is the searched one', space
            USING HINT = 'Activate another one first: imgsearch space activate NAME, or imgsearch space rollback.', ERRCODE = 'IM009';
    END IF;
    PERFORM imgsearch_internal.drop_engine(id);
    DELETE FROM imgsearch.space s WHERE s.space_id = id;  -- waits for deliveries, which hold this row and nothing of ours
    DELETE FROM imgsearch.region_state r WHERE r.space_id = id;  -- before the lock that others wait for
    PERFORM imgsearch_internal.lock_briefly('imgsearch.image');
    PERFORM imgsearch_internal.write_image_triggers();
    EXECUTE format('DROP TABLE imgsearch.embedding_%1$s_tail, imgsearch.embedding_%1$s, imgsearch.region_%1$s', id);
    EXECUTE format('ALTER TABLE imgsearch.image DROP COLUMN bits_%s', id);
    -- Its jobs are forgotten by the next sweep: there may be many, and others wait here.
END $$;
COMMENT ON FUNCTION imgsearch.drop_space(text) IS 'Forgets a space: its vectors, its bits and what was asked in it. Refused for the searched one; there is no way back.';
