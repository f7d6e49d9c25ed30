-- What is known before a search begins: the query's bits, and what the active space knows of how to search.

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_query(query halfvec, space integer, active integer, dimension integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    searched integer := imgsearch_internal.searched_space();
BEGIN
    IF space <> active OR active <> searched THEN
        RAISE EXCEPTION 'imgsearch: the query is a vector of space %, but space % is searched', coalesce(space, active), searched
            USING HINT = 'Ask again: another model has just taken over.', ERRCODE = 'IM022';
    ELSIF active IS NULL THEN
        PERFORM imgsearch_internal.active_space();  -- knows what to say
    ELSIF query IS NULL OR vector_dims(query) <> dimension THEN
        RAISE EXCEPTION 'imgsearch: the query has % dimensions, the active space has %', coalesce(vector_dims(query), 0), dimension
            USING HINT = 'Use a vector of the active space: imgsearch.vec(''red shoe'') or imgsearch.vec_of(42).', ERRCODE = 'IM007';
    ELSIF l2_norm(query) = 0 THEN
        RAISE EXCEPTION 'imgsearch: the query vector is zero' USING HINT = 'Use imgsearch.vec(''red shoe'') or imgsearch.vec_of(42).', ERRCODE = 'IM007';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_query(halfvec, integer, integer, integer) IS 'Raises why a query cannot be searched for.';

CREATE OR REPLACE FUNCTION imgsearch_internal.search_context(query halfvec, page_end integer, space integer DEFAULT NULL) RETURNS imgsearch_internal.search_context
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    here  record;
    ctx   imgsearch_internal.search_context;
    far   boolean;           -- a text, or a picture unlike all of ours
    kind  jsonb;
    ef    double precision;
    spread integer;
    scale double precision;  -- above 1: among more images walks go wider and are believed less, and more bits are compared exactly
BEGIN
    -- Locks the view until the transaction ends: no other space becomes the searched one meanwhile.
    PERFORM 1 FROM imgsearch.vectors WHERE false;
    SELECT s.space_id, s.dimension, s.mean, s.mean_text, s.signs, (s.parameters #>> '{sample,size}')::double precision AS sampled,
           coalesce((s.parameters #>> '{sample,pictures}')::double precision, (
               SELECT c.reltuples FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('imgsearch.embedding_' || s.space_id))) AS pictures,
           (s.parameters #>> '{sample,radius}')::double precision AS radius,
           -- imgsearch.search: the same parameters for one transaction; how tune tries them without writing
           p.search, (p.search ->> 'pool')::integer AS pool, (p.search ->> 'reached')::boolean IS FALSE AS misses,
           coalesce(g.indisvalid, false) AS indexed
    INTO here FROM imgsearch.space s
         CROSS JOIN LATERAL (SELECT coalesce(nullif(current_setting('imgsearch.search', true), '')::jsonb, s.parameters -> 'search') AS search) p
         LEFT JOIN pg_catalog.pg_index g ON g.indexrelid = to_regclass('imgsearch.embedding_' || s.space_id || '_hnsw')
    WHERE s.state = 'active';
    IF here.space_id IS NULL OR here.space_id <> imgsearch_internal.searched_space() OR space <> here.space_id OR query IS NULL OR vector_dims(query) <> here.dimension OR l2_norm(query) = 0 THEN
        PERFORM imgsearch_internal.refuse_query(query, space, here.space_id, here.dimension);
    END IF;
    -- Bits are signs around the mean of the query's own kind: around the pictures' mean, all texts look alike.
    far := coalesce((query <=> here.mean) > here.radius, false);
    scale := least(2, (greatest(200000, here.pictures) / 200000) ^ 0.4);
    kind := CASE WHEN far THEN coalesce(here.search -> 'text', jsonb_build_object('ef', round(0.75 * (here.search ->> 'ef')::integer), 'spread', here.search -> 'spread'))
                 ELSE here.search END;
    -- On drawings with a seed of their own, and on photographs, half of that left cells below 0.99;
    -- the table of cells takes a tenth longer. index tune narrows it where the shop's vectors allow.
    ef := least(1000, coalesce((kind ->> 'ef')::double precision,
        CASE WHEN far THEN 200 ELSE 280 END * sqrt(scale)));
    -- Of a walk for a short page a third is believed, of a text's a half (docs/decisions/0040-costs.md).
    spread := coalesce(CASE WHEN page_end <= 50 THEN coalesce((kind ->> 'spread')::integer, round(CASE WHEN far THEN 2 * scale ELSE 3 * scale ^ 1.5 END)) END,
                       imgsearch_internal.cautious_divisor(page_end, here.pictures));
    ctx := ROW(here.space_id, query, NULL, far AND here.mean_text IS NULL, coalesce(here.sampled, 0), here.pictures, page_end,
               ceil(ef), spread, NULL, ceil(1.75 * sqrt(here.dimension * scale)), here.indexed, 1, NULL);
    ctx.bits := imgsearch_internal.quantized(CASE WHEN ctx.rough THEN query ELSE l2_normalize(query) END,
        CASE WHEN ctx.rough THEN NULL WHEN far THEN here.mean_text ELSE here.mean END, here.signs);
    -- 20,000: above, bits_page() compares everything; only a page behind many others should come to that.
    ctx.pool := greatest(page_end, 1000, least(20000, ceil(CASE WHEN ctx.rough THEN 8 ELSE 1 END * coalesce(here.pool, 320 * scale) * sqrt(page_end))));
    IF here.misses THEN
        -- No walk, and no bit rules out what is in the largest pool: that costs time, until index tune reaches the target.
        ctx.ef := 0; ctx.pool := greatest(page_end, 20000); ctx.margin := 4095;
    END IF;
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.search_context(halfvec, integer, integer) IS 'The query''s bits, and what the active space knows of how to search for its `page_end` nearest; raises why it cannot be searched.';
