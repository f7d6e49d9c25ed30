-- find() and the function people type: search(), in two spellings of the query.

CREATE OR REPLACE FUNCTION imgsearch_internal.find(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.walk_plan
) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, @extschema:vector@, pg_temp
-- The few static statements keep one plan; the dynamic ones are planned for their values each time.
SET plan_cache_mode = force_generic_plan
SET jit = off
SET max_parallel_workers_per_gather = 0
AS $$
#variable_conflict use_variable
DECLARE
    ctx   imgsearch_internal.search_context;
    made  imgsearch_internal.filter_text;
    asked imgsearch_internal.bound;
    walked record;
BEGIN
    PERFORM imgsearch_internal.check_page(p);
    made := imgsearch_internal.filter_sql(f);
    IF f.tenant IS NOT NULL AND made.plain THEN
        answer := imgsearch_internal.small_tenant_page(query, made.columns, p);
        IF answer.strategy IS NOT NULL THEN
            plan.reason := 'few'; plan.share := 1;
            RETURN;
        END IF;
    END IF;
    ctx := imgsearch_internal.search_context(query, p.k + p.skip, p.space);
    IF p.after_image IS NOT NULL THEN
        ctx.ef := 1000;  -- the rows of earlier pages are walked past
    END IF;
    asked := ROW(made.names, made.vals, ctx.bits, p.after_distance, p.after_image);
    plan.reason := 'few';
    IF p.skip <= 1000 THEN
        plan := imgsearch_internal.plan_walk(ctx, imgsearch_internal.estimate(ctx, made, asked));
        IF plan.ef IS NOT NULL THEN
            walked := imgsearch_internal.hnsw_page(ctx, made, asked, p, plan);
            plan := walked.plan; answer := walked.answer;
        END IF;
        IF answer.strategy IS NULL THEN
            answer := imgsearch_internal.bits_page(ctx, made, asked, p);
        END IF;
    END IF;
    IF answer.strategy IS NULL THEN
        answer := imgsearch_internal.exact_page(ctx, made, asked, p);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.find(halfvec, imgsearch.filters, imgsearch_internal.page_request) IS 'One page of nearest images as arrays, and how it was found, in one row; imgsearch.search() unfolds it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.place_of(after text, OUT distance double precision, OUT image_id bigint) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF after IS NULL THEN
        RETURN;
    ELSIF after !~ '^-?[0-9]{1,3}(\.[0-9]{1,25})?(e-?[0-9]{1,3})?,[0-9]{1,18}$' THEN
        RAISE EXCEPTION 'imgsearch: after is "%"', left(after, 100)
            USING HINT = 'Pass the distance and the image_id of the last row of the page before: after => ''0.25,42''.', ERRCODE = 'IM008';
    END IF;
    distance := split_part(after, ',', 1);
    image_id := split_part(after, ',', 2);
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: after is "%"', left(after, 100) USING HINT = 'Pass the `after` of the page before, as it is.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch_internal.place_of(text) IS 'The place of a page''s last row, from its text "distance,image_id".';

-- search() stands once and is created twice: the query is a vector, or words.
DO $do$
DECLARE
    spelling text[];
BEGIN
    FOREACH spelling SLICE 1 IN ARRAY ARRAY[
        ['halfvec', 'query', 'Nearest images that match the filters. SELECT * FROM imgsearch.search(imgsearch.vec_of(42), tenant => ''acme'', max_price => 50);'],
        ['text', 'imgsearch.vec(query)', 'Nearest images to a text that match the filters. '
            || 'SELECT * FROM imgsearch.search(''red canvas shoe'', tenant => ''acme'', category => ''shoes'', max_price => 50, k => 10);']
    ] LOOP
        EXECUTE format($create$
CREATE OR REPLACE FUNCTION imgsearch.search(
    query %1$s, tenant text DEFAULT NULL, category text DEFAULT NULL, min_price double precision DEFAULT NULL, max_price double precision DEFAULT NULL,
    in_stock boolean DEFAULT NULL, attributes jsonb DEFAULT NULL, k integer DEFAULT 10, max_distance double precision DEFAULT NULL,
    categories text[] DEFAULT NULL, product_ids text[] DEFAULT NULL, exclude_product_ids text[] DEFAULT NULL, exclude_image_ids bigint[] DEFAULT NULL,
    created_after timestamptz DEFAULT NULL, created_before timestamptz DEFAULT NULL, condition jsonb DEFAULT NULL,
    skip integer DEFAULT 0, after text DEFAULT NULL
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, strategy text, complete boolean, matches bigint, more boolean)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
#variable_conflict use_variable
DECLARE
    f imgsearch.filters := ROW(tenant, CASE WHEN category IS NOT NULL THEN array_append(categories, category) ELSE categories END, min_price, max_price,
        in_stock, attributes, product_ids, exclude_product_ids, exclude_image_ids, created_after, created_before, condition);
    p imgsearch_internal.page_request := imgsearch_internal.page_of(k, skip, after, max_distance);
    page imgsearch_internal.page;
BEGIN
    page := (imgsearch_internal.find(%2$s, f, p)).answer;
    RETURN QUERY SELECT h.image_id, i.product_id, h.distance, page.strategy, page.complete, page.matches, page.more
    FROM unnest(page.tenants, page.images, page.distances) WITH ORDINALITY AS h (tenant_id, image_id, distance, place)
    JOIN imgsearch.image i ON i.tenant_id = h.tenant_id AND i.image_id = h.image_id ORDER BY h.place;
END $$;
COMMENT ON FUNCTION imgsearch.search(%1$s, text, text, double precision, double precision, boolean, jsonb, integer, double precision, text[], text[], text[], bigint[], timestamptz, timestamptz, jsonb, integer, text) IS %3$L;
        $create$, spelling[1], spelling[2], spelling[3]);
    END LOOP;
END $do$;

CREATE OR REPLACE FUNCTION imgsearch_internal.page_of(
    k integer, skip integer DEFAULT 0, after text DEFAULT NULL, max_distance double precision DEFAULT NULL, space integer DEFAULT NULL
) RETURNS imgsearch_internal.page_request LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    p     imgsearch_internal.page_request := ROW(k, skip, NULL, NULL, max_distance, space);
    place record;
BEGIN
    IF after IS NOT NULL THEN
        place := imgsearch_internal.place_of(after);
        p.after_distance := place.distance; p.after_image := place.image_id;
    END IF;
    RETURN p;
END $$;
COMMENT ON FUNCTION imgsearch_internal.page_of(integer, integer, text, double precision, integer) IS 'Which page is asked for, as one value.';

CREATE OR REPLACE FUNCTION imgsearch_internal.exact_distances(query halfvec, f imgsearch.filters, k integer) RETURNS double precision[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    ctx   imgsearch_internal.search_context := imgsearch_internal.search_context(query, k);
    made  imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    asked imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
BEGIN
    RETURN (imgsearch_internal.exact_page(ctx, made, asked, imgsearch_internal.page_of(k))).distances;
END $$;
COMMENT ON FUNCTION imgsearch_internal.exact_distances(halfvec, imgsearch.filters, integer) IS 'The distances of the k nearest that match, by comparing every one of them: what recall is measured against.';
