-- The page out of windows: see arrange.sql.

CREATE OR REPLACE FUNCTION imgsearch_internal.nothing_found() RETURNS imgsearch_internal.page LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_populate_record(NULL::imgsearch_internal.page, '{"tenants": [], "images": [], "distances": [], "products": [], "cursors": [], "strategy": "exact", "complete": true, "matches": 0, "more": false}')
$$;
COMMENT ON FUNCTION imgsearch_internal.nothing_found() IS 'A page without rows.';

-- The nearest `many` behind the start of a window; by words alone, those that words find best.
CREATE OR REPLACE FUNCTION imgsearch_internal.nearest_behind(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, words text, at imgsearch_internal.place, many integer,
    OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.search_plan
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    here record;
BEGIN
    p.k := many; p.skip := 0; p.place := NULL;
    p.after_distance := at.start_distance; p.after_image := at.start_image;
    p.passed := CASE WHEN at.start_image IS NOT NULL THEN at.number * at.size END;
    IF r.look_weight = 0 THEN
        here := imgsearch_internal.words_page(f, p, r, ROW(NULL, words, NULL));
    ELSE
        here := imgsearch_internal.find(query, f, p);
        plan := here.plan;
    END IF;
    answer := here.answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.nearest_behind IS 'What the windows of a page are made of.';

CREATE OR REPLACE FUNCTION imgsearch_internal.without_skipped(answer imgsearch_internal.page, skip integer) RETURNS imgsearch_internal.page LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rows_ CONSTANT integer := cardinality(answer.images);
BEGIN
    answer.tenants := answer.tenants[skip + 1:rows_]; answer.images := answer.images[skip + 1:rows_]; answer.distances := answer.distances[skip + 1:rows_];
    answer.products := answer.products[skip + 1:rows_]; answer.cursors := answer.cursors[skip + 1:rows_];
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.without_skipped(imgsearch_internal.page, integer) IS 'The page less the rows that are skipped.';

-- The windows in what was found, until the page is full (then, or where nothing else lies behind, `done`).
CREATE OR REPLACE FUNCTION imgsearch_internal.take_windows(
    INOUT answer imgsearch_internal.page, INOUT at imgsearch_internal.place, near imgsearch_internal.pool, found_ imgsearch_internal.pool, many integer,
    r imgsearch.ranking, p imgsearch_internal.page_request, shop text, words text, check_ text, OUT done boolean
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    rows_ CONSTANT integer := cardinality(near.images);
    from_ integer := 0;
    upto  integer;
    most  integer;
    part  imgsearch_internal.pool;
BEGIN
    LOOP
        upto := imgsearch_internal.window_end(near, from_, at);
        done := false;
        EXIT WHEN at.end_image IS NULL AND upto - from_ < at.size AND rows_ = many;  -- only a part of it was found
        IF at.end_image IS NULL THEN
            at.end_distance := CASE WHEN upto - from_ < at.size THEN 9 ELSE near.distances[upto] END;  -- 9: it has no end
            at.end_image := CASE WHEN upto - from_ < at.size THEN 0 ELSE near.images[upto] END;
        END IF;
        part := imgsearch_internal.picked(near, ARRAY(SELECT generate_series(from_ + 1, upto)));
        most := p.k + p.skip - cardinality(answer.images);
        answer := imgsearch_internal.with_window(answer, imgsearch_internal.window_of(part, found_, at, r, shop, words, most), at, most, p, check_, r.sort IS NOT NULL);
        done := cardinality(answer.images) >= p.k + p.skip OR upto = rows_ AND upto < many;
        EXIT WHEN done;
        at := imgsearch_internal.next_window(at, part, found_);
        from_ := upto;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.take_windows IS 'A page with the rows of the windows that were found, each ordered.';

-- plan: of the first walk or pass.
CREATE OR REPLACE FUNCTION imgsearch_internal.arrange(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, words text, farthest double precision, check_ text,
    OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.search_plan
) LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    at       imgsearch_internal.place := imgsearch_internal.place_of(p, imgsearch_internal.window_size(r, p.k + p.skip));
    found_   imgsearch_internal.pool;
    here     record;  -- what find() found
    took     record;
    many     integer;
BEGIN
    IF p.skip > 1000 THEN
        RAISE EXCEPTION 'imgsearch: skip is %, with words, sort, boost or diversity at most 1000', p.skip USING HINT = 'Continue behind the last row instead: after.', ERRCODE = 'IM008';
    ELSIF words IS NOT NULL AND at.number = 0 AND r.look_weight IS DISTINCT FROM 0 THEN
        found_ := imgsearch_internal.words_pool(query, f, p, words, coalesce(r.word_weight, 1), farthest, 100);
        IF found_.images = '{}' AND found_.tied IS NULL AND NOT imgsearch_internal.is_arranged(r, p, NULL) THEN
            here := imgsearch_internal.find(query, f, p);
            answer := imgsearch_internal.with_cursors(here.answer, p, check_); plan := here.plan;
            RETURN;
        END IF;
    END IF;
    LOOP
        -- A few more than the window had: so many may have been added since.
        many := least(1000, at.size * ceil((at.shown + p.k + p.skip - coalesce(cardinality(answer.images), 0))::numeric / at.size) + CASE WHEN at.end_image IS NOT NULL THEN 10 + at.size / 9 ELSE 0 END);
        here := imgsearch_internal.nearest_behind(query, f, p, r, words, at, many);
        IF answer.strategy IS NULL THEN
            answer := imgsearch_internal.nothing_found();
            answer.strategy := (here.answer).strategy; answer.more := (here.answer).more; answer.ranked := (here.answer).ranked;
            answer.matches := greatest((here.answer).matches, cardinality(found_.images)); answer.pictures := (here.answer).pictures;
            plan := here.plan;
        END IF;
        took := imgsearch_internal.take_windows(answer, at, imgsearch_internal.pool_of(here.answer), found_, many, r, p, f.tenant, words, check_);
        answer := took.answer; at := took.at;
        EXIT WHEN took.done;
    END LOOP;
    answer.complete := (here.answer).complete OR cardinality(answer.images) >= p.k + p.skip AND NOT imgsearch_internal.misses();
    answer.products := CASE WHEN (here.answer).products IS NOT NULL THEN answer.products END;
    answer := imgsearch_internal.without_skipped(answer, p.skip);
END $$;
COMMENT ON FUNCTION imgsearch_internal.arrange IS 'One page in the order that words, sort, boost and diversity make, each row with its cursor.';
