-- What is known before a search begins: the query's bits, and what the active space knows of how to
-- search.

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_query(query halfvec, space integer,
    active integer, dimension integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    searched integer := imgsearch_internal.searched_space();
BEGIN
    IF space <> active OR active <> searched THEN
        RAISE EXCEPTION 'imgsearch: the query is a vector of space %, but space % is searched',
            coalesce(space, active), searched
            USING HINT = 'Ask again: another model has just taken over.', ERRCODE = 'IM022';
    ELSIF active IS NULL THEN
        PERFORM imgsearch_internal.active_space();  -- knows what to say
    ELSIF query IS NULL OR vector_dims(query) <> dimension THEN
        RAISE EXCEPTION 'imgsearch: the query has % dimensions, the active space has %',
            coalesce(vector_dims(query), 0), dimension
            USING HINT = 'Use a vector of the active space: '
                'imgsearch.vec(''red shoe'') or imgsearch.vec_of(42).', ERRCODE = 'IM007';
    ELSIF l2_norm(query) = 0 THEN
        RAISE EXCEPTION 'imgsearch: the query vector is zero'
            USING HINT = 'Use imgsearch.vec(''red shoe'') or imgsearch.vec_of(42).',
            ERRCODE = 'IM007';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_query(halfvec, integer, integer, integer) IS
'Raises why a query cannot be searched for.';

-- What was tuned for the space counts before the policy.
CREATE OR REPLACE FUNCTION imgsearch_internal.with_parameters(
    ctx imgsearch_internal.search_context, search jsonb, far boolean, crowding double precision
) RETURNS imgsearch_internal.search_context LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    rule   CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    growth CONSTANT double precision := imgsearch_internal.growth(ctx.pictures);
    tuned  jsonb;
BEGIN
    tuned := CASE WHEN far THEN coalesce(search -> 'text', jsonb_build_object(
        'ef', round(0.75 * (search ->> 'ef')::integer), 'spread', search -> 'spread'))
            ELSE search END;
    ctx.ef := ceil(least(rule.widest, coalesce((tuned ->> 'ef')::double precision,
        CASE WHEN far THEN rule.text_ef ELSE rule.picture_ef END * sqrt(growth))));
    ctx.trust_divisor := CASE WHEN ctx.page_end > rule.short_page
        THEN imgsearch_internal.cautious_divisor(ctx.page_end, ctx.pictures)
        ELSE coalesce((tuned ->> 'spread')::integer,
                      round(CASE WHEN far THEN rule.text_divisor * growth
                          ELSE rule.picture_divisor * growth ^ 1.5 END)) END;
    ctx.margin := ceil(rule.margin * sqrt(vector_dims(ctx.query) * growth));
    ctx.pool := greatest(ctx.page_end, rule.few_keys, least(rule.largest_pool, ceil(sqrt(ctx.page_end)
        * CASE WHEN ctx.rough THEN rule.rough_pools ELSE 1 END
        * coalesce((search ->> 'pool')::double precision, rule.pool * growth))));
    IF search ->> 'reached' = 'false' THEN
        -- No walk, and no bit rules out what is in the largest pool: that costs time, until index
        -- tune reaches the target.
        ctx.ef := 0; ctx.pool := greatest(ctx.page_end, rule.largest_pool); ctx.margin := 4095;
    END IF;
    ctx.crowding := 1;
    IF ctx.per IS NOT NULL THEN
        ctx.crowding := coalesce(crowding, 1);
        ctx.pool := least(greatest(ctx.page_end, rule.largest_pool),
                          ceil(ctx.pool * least(rule.most_crowded, sqrt(ctx.crowding))));
        ctx := imgsearch_internal.cautious(ctx);
    END IF;
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_parameters IS
'The context with how wide to walk, how much of that is believed, and how many keys to read.';

-- What was tuned or measured for the space counts before the policy; imgsearch.search: the same for
-- one transaction, which is how tune tries it without writing.
CREATE OR REPLACE FUNCTION imgsearch_internal.search_context(
    query halfvec, page_end integer, space integer, per text
) RETURNS imgsearch_internal.search_context LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    rule   CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
    here   record;
    ctx    imgsearch_internal.search_context;
    far    boolean;           -- a text, or a picture unlike all of ours
BEGIN
    -- Locks the view until the transaction ends: no other space becomes the searched one meanwhile.
    PERFORM 1 FROM imgsearch.vectors WHERE false;
    SELECT s.space_id, s.dimension, s.mean, s.mean_text, s.signs, s.parameters, p.search,
           coalesce((s.parameters #>> '{sample,pictures}')::double precision, (
               SELECT c.reltuples FROM pg_catalog.pg_class c
               WHERE c.oid = to_regclass('imgsearch.embedding_' || s.space_id))) AS pictures,
           coalesce(g.indisvalid, false) AS indexed
    INTO here FROM imgsearch.space s
         CROSS JOIN LATERAL (SELECT coalesce(
             nullif(current_setting('imgsearch.search', true), '')::jsonb,
                 s.parameters -> 'search') AS search) p
         LEFT JOIN pg_catalog.pg_index g
             ON g.indexrelid = to_regclass('imgsearch.embedding_' || s.space_id || '_hnsw')
    WHERE s.state = 'active';
    IF here.space_id IS NULL OR here.space_id <> imgsearch_internal.searched_space()
        OR space <> here.space_id
       OR query IS NULL OR vector_dims(query) <> here.dimension OR l2_norm(query) = 0 THEN
        PERFORM imgsearch_internal.refuse_query(query, space, here.space_id, here.dimension);
    END IF;
    ctx.space_id := here.space_id; ctx.query := query; ctx.page_end := page_end; ctx.per := per;
    ctx.pictures := here.pictures; ctx.indexed := here.indexed;
    ctx.sampled := coalesce((here.parameters #>> '{sample,size}')::double precision, 0);
    ctx.walk_us := coalesce((here.parameters #>> '{costs,walk_us}')::double precision,
        rule.walk_us);
    ctx.key_us := coalesce((here.parameters #>> '{costs,key_us}')::double precision, rule.key_us);
    far := coalesce(
        (query <=> here.mean) > (here.parameters #>> '{sample,radius}')::double precision, false);
    -- Bits are signs around the mean of the query's own kind: around the pictures' mean, all texts
    -- look alike.
    ctx.rough := far AND here.mean_text IS NULL;
    ctx.bits := imgsearch_internal.quantized(CASE WHEN ctx.rough THEN query
        ELSE l2_normalize(query) END,
        CASE WHEN ctx.rough THEN NULL WHEN far THEN here.mean_text ELSE here.mean END, here.signs);
    RETURN imgsearch_internal.with_parameters(ctx, here.search, far,
        (here.parameters #>> '{sample,crowding}')::double precision);
END $$;
COMMENT ON FUNCTION imgsearch_internal.search_context(halfvec, integer, integer, text) IS
'The query''s bits, and what the space knows of how to search; raises why it cannot.';
