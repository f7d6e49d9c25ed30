-- A second look at the first of an answer: asked here, answered by a worker, shown page by page.

CREATE OR REPLACE FUNCTION imgsearch_internal.enqueue_look(asked jsonb, picture bytea, seconds double precision) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whose CONSTANT text := coalesce(imgsearch.current_tenant(), '');
    made  uuid;
BEGIN
    PERFORM imgsearch_internal.require_asker();
    IF (CASE WHEN jsonb_typeof(asked -> 'steps') = 'array' THEN jsonb_array_length(asked -> 'steps') > 4 END) OR octet_length(asked::text) > 400000 OR octet_length(picture) > 67108864 OR seconds IS NULL OR NOT seconds BETWEEN 0 AND 600 THEN
        RAISE EXCEPTION 'imgsearch: this second look is too large' USING HINT = 'Re-rank at most 500 rows by 4 steps, within 600 seconds.', ERRCODE = 'IM008';
    ELSIF (SELECT count(*) FROM imgsearch.second_look l WHERE l.tenant_id = whose AND l.claimed IS NULL AND l.until > now()) >= 64 THEN
        RETURN NULL;  -- so many of one tenant wait that its next would wait in vain
    END IF;
    INSERT INTO imgsearch.second_look (tenant_id, space_id, steps, question, picture, images, pool, belongs_to, until)
    VALUES (whose, (asked ->> 'space')::integer, asked -> 'steps', asked -> 'question', picture, ARRAY(SELECT i::bigint FROM jsonb_array_elements_text(asked -> 'images') i),
            asked -> 'pool', asked ->> 'belongs_to', clock_timestamp() + make_interval(secs => seconds))
    RETURNING ticket INTO made;
    PERFORM pg_notify('imgsearch_look', '');
    RETURN made;
END $$;
COMMENT ON FUNCTION imgsearch_internal.enqueue_look(jsonb, bytea, double precision) IS 'Queues a second look of the tenant that is set (none: of somebody above tenants) for a query worker, and returns its ticket; null where too many wait. Takes effect at COMMIT.';

-- What no longer matches has gone from the page: another order shows nothing that the filters leave out.
CREATE OR REPLACE FUNCTION imgsearch_internal.looked_page(shown jsonb, f imgsearch.filters) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    page   imgsearch_internal.page;
    images CONSTANT bigint[] := ARRAY(SELECT (r ->> 'image')::bigint FROM jsonb_array_elements(shown -> 'rows') r);
BEGIN
    SELECT coalesce(array_agg(r ->> 'tenant' ORDER BY n), '{}'), coalesce(array_agg((r ->> 'image')::bigint ORDER BY n), '{}'),
           coalesce(array_agg((r ->> 'distance')::double precision ORDER BY n), '{}'), coalesce(array_agg(r ->> 'product' ORDER BY n), '{}'),
           coalesce(array_agg(r ->> 'cursor' ORDER BY n), '{}'), coalesce(array_agg((r ->> 'fit')::double precision ORDER BY n), '{}'),
           array_agg(nullif(r -> 'part', 'null') ORDER BY n)
    INTO page.tenants, page.images, page.distances, page.products, page.cursors, page.fits, page.parts
    FROM jsonb_array_elements(shown -> 'rows') WITH ORDINALITY x (r, n)
    JOIN imgsearch_internal.matching(images, f) m (image) ON m.image = (r ->> 'image')::bigint;
    IF NOT (shown ->> 'per_product')::boolean THEN
        page.products := NULL;
    END IF;
    page.strategy := shown ->> 'strategy'; page.complete := (shown ->> 'complete')::boolean; page.matches := (shown ->> 'matches')::bigint;
    page.more := (shown ->> 'more')::boolean; page.pictures := (shown ->> 'pictures')::bigint; page.space := (shown ->> 'space')::integer;
    RETURN page;
END $$;
COMMENT ON FUNCTION imgsearch_internal.looked_page(jsonb, imgsearch.filters) IS 'A page of rows in the order that a second look gave them, those that still match.';

-- As Python's retrieval/rerank.py says them: pool is how many rows a step sees, everything else is told to it.
CREATE OR REPLACE FUNCTION imgsearch_internal.look_steps(steps jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    step jsonb;
    made jsonb := '[]';
    many integer;
BEGIN
    FOR step IN SELECT CASE jsonb_typeof(e) WHEN 'object' THEN e ELSE jsonb_build_object('step', e) END FROM jsonb_array_elements(steps) WITH ORDINALITY y (e, n) ORDER BY n LOOP
        many := CASE WHEN step ->> 'step' IN ('k_reciprocal', 'expand') THEN 500 ELSE 100 END;
        IF step -> 'pool' IS NULL THEN
            many := CASE step ->> 'step' WHEN 'k_reciprocal' THEN 200 WHEN 'expand' THEN 200 WHEN 'cross_encoder' THEN 20 ELSE 50 END;
        ELSIF jsonb_typeof(step -> 'pool') <> 'number' OR step ->> 'pool' !~ '^[0-9]{1,3}$' OR (step ->> 'pool')::integer NOT BETWEEN 2 AND many THEN
            RAISE EXCEPTION 'imgsearch: %: pool is %', left(step ->> 'step', 40), left(step ->> 'pool', 40)
                USING HINT = format('It is a whole number from 2 to %s.', many), ERRCODE = 'IM008';
        ELSE
            many := (step ->> 'pool')::integer;
        END IF;
        made := made || jsonb_build_object('step', step ->> 'step', 'pool', many, 'given', step - 'step' - 'pool');
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION imgsearch_internal.look_steps(jsonb) IS 'Steps of a second look as a worker reads them: each with how many rows it sees, and what it is told.';

CREATE OR REPLACE PROCEDURE imgsearch.rerank(INOUT images bigint[], INOUT steps jsonb, query text DEFAULT NULL, image_id bigint DEFAULT NULL, timeout_seconds double precision DEFAULT 5) LANGUAGE plpgsql AS $$
DECLARE
    many     CONSTANT integer := coalesce(pg_catalog.cardinality(images), 0);
    deadline timestamptz;
    asked    jsonb;
    made     uuid;
    answer_  jsonb;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);  -- a procedure that commits may not say it above; until then
    CALL imgsearch_internal.require_autocommit('imgsearch.rerank');
    PERFORM imgsearch_internal.require_between('timeout_seconds', timeout_seconds, 0, 86400);
    deadline := pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => timeout_seconds);
    IF many > 500 OR array_ndims(images) > 1 OR (SELECT count(*) FROM unnest(images) u WHERE u IS NULL) > 0 OR jsonb_typeof(steps) IS DISTINCT FROM 'array' OR jsonb_array_length(steps) NOT BETWEEN 1 AND 4 THEN
        RAISE EXCEPTION 'imgsearch: rerank takes up to 500 images and 1 to 4 steps' USING HINT = 'steps => ''[{"step": "k_reciprocal"}]''', ERRCODE = 'IM008';
    END IF;
    PERFORM imgsearch_internal.require_asker();
    asked := jsonb_build_object('space', imgsearch_internal.active_space(), 'images', to_jsonb(images), 'belongs_to', '',
        'question', jsonb_build_object('text', query, 'image_id', image_id, 'vector', CASE WHEN query IS NOT NULL THEN imgsearch.vec(query)::text WHEN image_id IS NOT NULL THEN imgsearch.vec_of(image_id)::text END),
        'steps', imgsearch_internal.look_steps(steps),
        'pool', jsonb_build_object('rows', (SELECT coalesce(jsonb_agg(jsonb_build_object('image', i, 'distance', 0)), '[]') FROM unnest(images) i)));
    made := imgsearch_internal.enqueue_look(asked, NULL, timeout_seconds);
    COMMIT;  -- the worker sees it only now
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    LOOP
        SELECT l.answer INTO answer_ FROM imgsearch.second_look l WHERE l.tenant_id = coalesce(imgsearch.current_tenant(), '') AND l.ticket = made AND l.answered_at IS NOT NULL;
        EXIT WHEN answer_ IS NOT NULL OR made IS NULL OR clock_timestamp() > deadline;
        COMMIT;  -- never hold a snapshot while waiting
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        PERFORM pg_sleep(0.005);
    END LOOP;
    steps := answer_ -> 'steps';
    IF steps IS NULL THEN
        RAISE NOTICE 'imgsearch: no worker looked again within % s; the order stands', timeout_seconds;
    ELSE
        images := ARRAY(SELECT images[place::integer + 1] FROM jsonb_array_elements_text(answer_ -> 'order') WITH ORDINALITY o (place, n) ORDER BY n);
    END IF;
END $$;
COMMENT ON PROCEDURE imgsearch.rerank(bigint[], jsonb, text, bigint, double precision) IS 'Has a worker rank images anew, and says what each step did; they stand as they were (steps: null) where none does in time: CALL imgsearch.rerank(ARRAY(SELECT image_id FROM imgsearch.search(''red shoe'', k => 50)), ''["k_reciprocal"]'', ''red shoe''). Needs autocommit (no BEGIN around it).';
