-- Words, sort, boost and diversity order windows: the `size` nearest rows, ordered inside, then the next nearest. So pages
-- are complete, and each costs what its window costs. A cursor names where its window begins and ends, and which of its
-- rows were shown: what others write meanwhile moves no row from one window to another, and shows none twice.

CREATE OR REPLACE FUNCTION imgsearch_internal.window_size(r imgsearch.ranking, rows_ integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    -- With words alone the nearest 12 tell as much of the first ten as the nearest 30 or 100, for a part of the time.
    -- A cursor holds eight letters for each row of a window that was shown, unless it is sorted; 1000 are found at once.
    SELECT CASE WHEN (r).sort IS NOT NULL THEN 900 WHEN (r).diversity > 0 THEN 100 WHEN (r).boost IS NOT NULL THEN 200 ELSE greatest(12, least(100, rows_)) END
$$;
COMMENT ON FUNCTION imgsearch_internal.window_size(imgsearch.ranking, integer) IS 'How many of the nearest are ordered together.';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_order(r imgsearch.ranking) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    wrong text;
BEGIN
    IF r.sort !~ '^-?(price|newest|attributes\..{1,100})$' THEN
        RAISE EXCEPTION 'imgsearch: there is no order "%"', left(r.sort, 100) USING HINT = 'Sort by price, -price, newest, -newest or attributes.<name>.', ERRCODE = 'IM008';
    ELSIF jsonb_typeof(r.boost) <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: boost is a JSON %, not an object', jsonb_typeof(r.boost) USING HINT = 'For example {"in_stock": 0.05, "attributes.popularity": 0.1}.', ERRCODE = 'IM008';
    ELSIF (SELECT count(*) FROM jsonb_object_keys(r.boost)) > 10 THEN
        RAISE EXCEPTION 'imgsearch: boost names more than 10' USING HINT = 'Boost by fewer.', ERRCODE = 'IM008';
    END IF;
    SELECT b.key INTO wrong FROM jsonb_each(r.boost) b WHERE b.key !~ '^(in_stock|newest|attributes\..{1,100})$' LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: nothing is boosted by "%"', left(wrong, 100) USING HINT = 'Boost by in_stock, newest or attributes.<name>.', ERRCODE = 'IM008';
    END IF;
    SELECT b.key INTO wrong FROM jsonb_each(r.boost) b WHERE jsonb_typeof(b.value) <> 'number' OR (CASE WHEN jsonb_typeof(b.value) = 'number' THEN abs(b.value::numeric) > 0.5 END) LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: boost: the weight of % is no number from -0.5 to 0.5', left(wrong, 100) USING HINT = 'For example {"in_stock": 0.05}; distances differ by little more.', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_order(imgsearch.ranking) IS 'Raises what is wrong with sort or boost.';

CREATE OR REPLACE FUNCTION imgsearch_internal.is_ordered(r imgsearch.ranking) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN r.sort IS NOT NULL OR coalesce(r.boost <> '{}', false) OR coalesce(r.diversity > 0, false);
END $$;
COMMENT ON FUNCTION imgsearch_internal.is_ordered(imgsearch.ranking) IS 'Whether sort, boost or diversity order.';

-- Whether anything but the distance orders: a page that began in a window goes on there.
CREATE OR REPLACE FUNCTION imgsearch_internal.is_arranged(r imgsearch.ranking, p imgsearch_internal.page_request, words text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    -- Where words found nothing, the first page went by distance alone; so does the next.
    RETURN words IS NOT NULL AND p.after_image IS NULL OR p.place IS NOT NULL OR imgsearch_internal.is_ordered(r);
END $$;
COMMENT ON FUNCTION imgsearch_internal.is_arranged(imgsearch.ranking, imgsearch_internal.page_request, text) IS 'Whether a page is ordered in windows.';

-- One window in its order, less what was shown of it.
CREATE OR REPLACE FUNCTION imgsearch_internal.window_of(
    near imgsearch_internal.pool, found_ imgsearch_internal.pool, at imgsearch_internal.place, r imgsearch.ranking, shop text, words text, most integer
) RETURNS imgsearch_internal.pool LANGUAGE plpgsql STABLE AS $$
DECLARE
    listed CONSTANT text[] := imgsearch_internal.marks_in(at.listed);
    here   imgsearch_internal.pool := imgsearch_internal.without_marks(near, imgsearch_internal.marks_in(at.extra));
BEGIN
    IF at.number = 0 AND found_.tied IS NOT NULL THEN
        found_ := imgsearch_internal.with_tied(found_, near, shop, words);
    END IF;
    IF at.number = 0 AND cardinality(found_.images) > 0 THEN
        here := imgsearch_internal.fused(here, found_, coalesce(r.look_weight, 1));
    END IF;
    IF r.sort IS NOT NULL THEN
        RETURN imgsearch_internal.sorted(here, r.sort, at);
    END IF;
    IF r.boost <> '{}' THEN
        here := imgsearch_internal.boosted(here, r.boost);
    END IF;
    IF r.diversity > 0 THEN
        RETURN imgsearch_internal.diversified(here, r.diversity, listed, most);
    END IF;
    RETURN imgsearch_internal.without_marks(here, listed);
END $$;
COMMENT ON FUNCTION imgsearch_internal.window_of IS 'The rows of a window in the order that the ranking asks for.';

-- The window behind this one. What words found, and lies in none of the windows yet, was shown in the first.
CREATE OR REPLACE FUNCTION imgsearch_internal.next_window(at imgsearch_internal.place, near imgsearch_internal.pool, found_ imgsearch_internal.pool) RETURNS imgsearch_internal.place
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    last CONSTANT integer := cardinality(near.images);
BEGIN
    IF at.number = 0 THEN
        at.extra := (SELECT coalesce(string_agg(DISTINCT m.mark, ''), '') FROM unnest(imgsearch_internal.marks_in(at.listed) || found_.marks) m (mark) WHERE m.mark <> ALL (near.marks));
    END IF;
    IF last > 0 THEN
        at.start_distance := near.distances[last]; at.start_image := near.images[last];
    END IF;
    at.number := at.number + 1; at.shown := 0; at.listed := '';
    at.end_distance := NULL; at.end_image := NULL; at.class := NULL; at.value := NULL; at.words := NULL;
    RETURN at;
END $$;
COMMENT ON FUNCTION imgsearch_internal.next_window(imgsearch_internal.place, imgsearch_internal.pool, imgsearch_internal.pool) IS 'Where the window behind this one begins.';

-- A page with the first rows of a window added, each with what continues behind it.
CREATE OR REPLACE FUNCTION imgsearch_internal.with_window(
    answer imgsearch_internal.page, here imgsearch_internal.pool, at imgsearch_internal.place, most integer, p imgsearch_internal.page_request, check_ text, is_sorted boolean
) RETURNS imgsearch_internal.page LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    before CONSTANT integer := coalesce(p.passed, 0) + cardinality(answer.images);
    shown  CONSTANT integer := at.shown;
    listed CONSTANT text := at.listed;
BEGIN
    FOR n IN 1..least(most, cardinality(here.images)) LOOP
        at.shown := shown + n; at.distance := here.distances[n]; at.image := here.images[n];
        IF is_sorted THEN
            at.class := here.classes[n]; at.value := here.numbers[n]; at.words := here.texts[n];
        ELSE
            at.listed := listed || array_to_string(here.marks[1:n], '');
        END IF;
        answer.cursors := answer.cursors || imgsearch_internal.place_cursor(at, before + n, check_);
    END LOOP;
    answer.tenants := answer.tenants || here.tenants[1:most]; answer.images := answer.images || here.images[1:most];
    answer.distances := answer.distances || here.distances[1:most]; answer.products := answer.products || here.keys[1:most];
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_window IS 'A page with rows of a window added.';

-- The rows that lie in the window: up to its end where that is known, else the next `size`; all where there are fewer.
CREATE OR REPLACE FUNCTION imgsearch_internal.window_end(near imgsearch_internal.pool, from_ integer, at imgsearch_internal.place) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN (at).end_image IS NULL THEN least(from_ + (at).size, cardinality((near).images))
                ELSE greatest(from_, (SELECT count(*)::integer FROM unnest((near).distances, (near).images) u (d, image) WHERE (u.d, u.image) <= ((at).end_distance, (at).end_image))) END
$$;
COMMENT ON FUNCTION imgsearch_internal.window_end(imgsearch_internal.pool, integer, imgsearch_internal.place) IS 'How many rows lie up to the end of the window.';
