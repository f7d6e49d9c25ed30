-- Which page of a search is asked for, and the text that continues behind a row. No error repeats an `after`: over HTTP the
-- ids in it were turned by then, and their message would tell those of the table.
--
-- after: '<distance>,<image_id>[,<passed>,<check>[,<place>][,e.i<image_id>…]]', the place of a row: its distance and image_id, how many rows
-- lie up to it, which question it belongs to, where a window that was ranked anew goes on, and by which images it was expanded. The first two alone,
-- written by hand, are a place too.

CREATE OR REPLACE FUNCTION imgsearch_internal.require_between(
    name text, value double precision, low double precision, high double precision
) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF (value BETWEEN low AND high) IS NOT TRUE THEN  -- NaN is above all numbers, null beside them
        RAISE EXCEPTION 'imgsearch: % is %, it must be from % to %', name, coalesce(value::text, 'null'), low, high
            USING HINT = format('For example %s => %s.', name, low + 1), ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_between(
    text, double precision, double precision, double precision
) IS 'Raises that a number lies beyond its limits.';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_page(p imgsearch_internal.page_request) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p.k IS NULL OR p.k < 1 OR p.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', p.k USING HINT = 'Page through more rows with several searches.', ERRCODE = 'IM008';
    ELSIF p.skip IS NULL OR p.skip < 0 OR p.skip > 100000 THEN
        RAISE EXCEPTION 'imgsearch: skip is %, it must be from 0 to 100000', p.skip USING HINT = 'Continue behind the last row instead: after.', ERRCODE = 'IM008';
    ELSIF p.max_distance = 'NaN' THEN  -- to Postgres the largest number: nothing would be cut
        RAISE EXCEPTION 'imgsearch: max_distance is no number' USING HINT = 'It is a distance from 0 (the same) to 2.', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_page(imgsearch_internal.page_request) IS 'Raises what is wrong with the page that is asked for.';

CREATE OR REPLACE FUNCTION imgsearch_internal.page_of(
    k integer, skip integer DEFAULT 0, after text DEFAULT NULL, max_distance double precision DEFAULT NULL, space integer DEFAULT NULL
) RETURNS imgsearch_internal.page_request LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    p    imgsearch_internal.page_request := ROW(k, skip, NULL, NULL, max_distance, space, false, NULL, NULL, NULL, NULL, NULL);
    part text[];
BEGIN
    IF after IS NULL THEN
        RETURN p;
    END IF;
    part := regexp_match(after, '^(-?[0-9]{1,3}(?:\.[0-9]{1,25})?(?:e-?[0-9]{1,3})?),([0-9]{1,18})(?:,([0-9]{1,9}),([0-9a-f]{8})(?:,([0-9A-Za-df-z_.-][0-9A-Za-z_.-]*))?(?:,e((?:\.i[0-9]{1,18}){1,10})\.)?)?$');
    IF part IS NULL OR length(after) > 4000 THEN
        RAISE EXCEPTION 'imgsearch: `after` is no place of a page'
            USING HINT = 'Pass the `after` of the last row of the page before, as it is; written by hand, its distance and image_id: ''0.25,42''.', ERRCODE = 'IM008';
    END IF;
    p.after_distance := part[1]; p.after_image := part[2]; p.passed := part[3]; p.check_ := part[4]; p.place := part[5];
    p.near := regexp_split_to_array(substring(part[6] FROM 3), '\.i')::bigint[];
    RETURN p;
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: `after` is no place of a page' USING HINT = 'Pass the `after` of the page before, as it is.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch_internal.page_of(integer, integer, text, double precision, integer) IS 'Which page is asked for, as one value.';

CREATE OR REPLACE FUNCTION imgsearch_internal.asking_tenant(f imgsearch.filters) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(f.tenant, imgsearch.current_tenant(), '');
END $$;
COMMENT ON FUNCTION imgsearch_internal.asking_tenant(imgsearch.filters) IS 'Whose rows a search means: those of the tenant it names, or that its transaction speaks for; empty: of all.';

CREATE OR REPLACE FUNCTION imgsearch_internal.question_check(query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
BEGIN
    -- A text is told by its words: embedded once more, perhaps elsewhere, its vector differs in the last bits. In another
    -- space its rows lie at other distances, so a place in one is none in the other.
    RETURN left(md5(concat_ws(E'\x01', imgsearch_internal.searched_space(), coalesce(q.key, md5(halfvec_send(query))), f::text, r::text, coalesce(p.max_distance::text, ''), imgsearch_internal.asking_tenant(f))), 8);
END $$;
COMMENT ON FUNCTION imgsearch_internal.question_check(halfvec, imgsearch.filters, imgsearch_internal.page_request, imgsearch.ranking, imgsearch_internal.question) IS 'Eight letters that tell a question with its filters, its ranking, its space and whose it is from another.';

CREATE OR REPLACE FUNCTION imgsearch_internal.require_same_question(p imgsearch_internal.page_request, check_ text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p.check_ <> check_ THEN
        RAISE EXCEPTION 'imgsearch: this `after` belongs to another question' USING HINT = 'Ask again without `after`, and continue with what that page gives.', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.require_same_question(imgsearch_internal.page_request, text) IS 'Refuses to continue behind a page of another question.';

CREATE OR REPLACE FUNCTION imgsearch_internal.with_cursors(answer imgsearch_internal.page, p imgsearch_internal.page_request, check_ text, place text DEFAULT NULL) RETURNS imgsearch_internal.page LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    answer.cursors := ARRAY(SELECT concat_ws(',', h.distance, h.image_id, coalesce(p.passed, 0) + p.skip + h.n, check_, with_cursors.place)
                            FROM unnest(answer.distances, answer.images) WITH ORDINALITY h (distance, image_id, n) ORDER BY h.n);
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_cursors(imgsearch_internal.page, imgsearch_internal.page_request, text, text) IS 'A page with what continues behind each of its rows.';
