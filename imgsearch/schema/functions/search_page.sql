-- A page out of candidates: a row for each image, or for each label (a product, a group) with its
-- nearest image. Images are grouped before the cursor is applied, never after: behind it a product
-- would come again by its second image.

-- Of a list in order. Texts are grouped by bytes, in a third of the time; and only as much of the
-- list as it takes.
CREATE OR REPLACE FUNCTION imgsearch_internal.first_places(
    ctx imgsearch_internal.search_context, tenants text[], labels text[], wanted integer
) RETURNS integer[] LANGUAGE plpgsql IMMUTABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    many   CONSTANT integer := coalesce(cardinality(labels), 0);
    part   integer := coalesce(4 * wanted, many);
    firsts integer[];
BEGIN
    IF ctx.per <> 'product' THEN
        tenants := NULL;  -- a product is one tenant's, any other label says all of it
    END IF;
    LOOP
        SELECT array_agg(x.place ORDER BY x.place) INTO firsts FROM (
            SELECT min(u.place)::integer AS place
            FROM unnest(tenants[1:part], labels[1:part]) WITH ORDINALITY u (tenant, label, place)
            GROUP BY u.tenant COLLATE "C", u.label COLLATE "C") x;
        EXIT WHEN part >= many OR cardinality(firsts) >= wanted;
        part := 4 * part;
    END LOOP;
    RETURN firsts;
END $$;
COMMENT ON FUNCTION imgsearch_internal.first_places(imgsearch_internal.search_context, text[],
    text[], integer) IS
'Where in a list each label comes first, ascending; wanted: so many will do, null: all.';

-- before: rows up to the cursor. rows: all there are. last: the distance of the page's last row,
-- null: it has fewer. deepest: where in the keys the deepest of its images stood.
CREATE OR REPLACE FUNCTION imgsearch_internal.rows_of(
    ctx imgsearch_internal.search_context, c imgsearch_internal.candidates,
        p imgsearch_internal.page_request,
    OUT answer imgsearch_internal.page, OUT before integer, OUT rows integer,
        OUT last double precision, OUT deepest integer
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    upto integer;
BEGIN
    IF ctx.per IS NOT NULL THEN
        SELECT array_agg(x.tenant), array_agg(x.image), array_agg(x.d), array_agg(x.label),
               array_agg(x.place)
        INTO c.tenants, c.images, c.distances, c.labels, c.places FROM (SELECT x.* FROM (
            SELECT DISTINCT ON (u.label COLLATE "C", u.shop COLLATE "C") u.*
            FROM (SELECT u.*, CASE ctx.per WHEN 'product' THEN u.tenant END AS shop
                  FROM unnest(c.tenants, c.images, c.distances, c.labels, c.places)
                      WITH ORDINALITY u (tenant, image, d, label, place, n)) u
            ORDER BY u.label COLLATE "C", u.shop COLLATE "C", u.n) x
        ORDER BY x.d, x.image, x.label COLLATE "C") x;
    END IF;
    rows := coalesce(cardinality(c.images), 0);
    before := CASE WHEN p.after_image IS NULL THEN 0 ELSE (
        SELECT count(*) FROM unnest(c.distances, c.images) u (d, image_id)
        WHERE (u.d, u.image_id) <= (p.after_distance, p.after_image)) END;
    upto := before + p.k + p.skip;
    answer.tenants := coalesce(c.tenants[before + 1:upto], '{}');
    answer.images := coalesce(c.images[before + 1:upto], '{}');
    answer.distances := coalesce(c.distances[before + 1:upto], '{}');
    IF ctx.per IS NOT NULL THEN
        answer.products := coalesce(c.labels[before + 1:upto], '{}');
    END IF;
    last := c.distances[upto];
    deepest := (SELECT max(n) FROM unnest(c.places[before + 1:upto]) n);
END $$;
COMMENT ON FUNCTION imgsearch_internal.rows_of IS
'The rows of a page, those to be skipped among them, out of candidates.';

-- What imgsearch index tune or recall measured of the searched space; imgsearch.search: what tune
-- tries is not judged yet.
CREATE OR REPLACE FUNCTION imgsearch_internal.misses() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(nullif(current_setting('imgsearch.search', true), '')::jsonb,
        s.parameters -> 'search') ->> 'reached' = 'false'
            FROM imgsearch.space s WHERE s.state = 'active') IS TRUE;
END $$;
COMMENT ON FUNCTION imgsearch_internal.misses() IS
'Whether searches were measured to find less than the target: then only exact pages are complete.';

CREATE OR REPLACE FUNCTION imgsearch_internal.cut(
    answer imgsearch_internal.page, p imgsearch_internal.page_request
) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    last integer := least(p.k + p.skip, coalesce(
        width_bucket(p.max_distance, answer.distances), cardinality(answer.distances)));
BEGIN
    answer.complete := answer.strategy = 'exact' OR NOT imgsearch_internal.misses()
        AND (last = p.k + p.skip OR answer.strategy = 'bits' AND p.max_distance IS NULL
            AND p.after_image IS NULL);
    answer.tenants := answer.tenants[p.skip + 1:last];
    answer.images := answer.images[p.skip + 1:last];
    answer.distances := answer.distances[p.skip + 1:last];
    answer.products := answer.products[p.skip + 1:last];
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.cut(imgsearch_internal.page,
    imgsearch_internal.page_request) IS
'A page out of its rows: behind skip, within max_distance, k rows.';

-- One step of a search: its candidates are a page, or tell the next step. nearest() and search()
-- make the same steps.
CREATE OR REPLACE FUNCTION imgsearch_internal.settle(
    INOUT ctx imgsearch_internal.search_context, INOUT plan imgsearch_internal.search_plan,
    c imgsearch_internal.candidates, p imgsearch_internal.page_request, shop text,
        OUT answer imgsearch_internal.page
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step record;
BEGIN
    IF plan.source = 'hnsw' THEN
        step := imgsearch_internal.settle_walk(ctx, plan, c, p);
    ELSE
        step := imgsearch_internal.settle_keys(ctx, plan, c, p, shop);
    END IF;
    ctx := step.ctx; plan := step.plan;
    IF (step.answer).strategy IS NOT NULL THEN
        answer := imgsearch_internal.cut(step.answer, p);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.settle IS
'The page out of the candidates of a step; its strategy is null where plan is the next step.';
