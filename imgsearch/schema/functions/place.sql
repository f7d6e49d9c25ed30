-- Where a page goes on among windows that were ranked anew, as text behind `after`: twelve parts and a sum over them.
-- Ids of images stand as i<number>, so that a door which shows other ids can turn them (http/ids.py).

CREATE OR REPLACE FUNCTION imgsearch_internal.place_number(number double precision) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(replace(replace(number::text, 'e+', 'e'), '.', 'p'), '')
$$;
COMMENT ON FUNCTION imgsearch_internal.place_number(double precision) IS 'A number in the letters that a place may have: 0p25.';

CREATE OR REPLACE FUNCTION imgsearch_internal.place_sum(place text, distance double precision, passed integer, check_ text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(md5(concat_ws(E'\x01', regexp_replace(place, '\.i[0-9]+', '', 'g'), distance, passed, check_)), 6)
$$;
COMMENT ON FUNCTION imgsearch_internal.place_sum(text, double precision, integer, text) IS 'Six letters over all of a place but ids of images, which each door shows its own way.';

-- Distances are at most 2; a row without a vector stands behind them all.
CREATE OR REPLACE FUNCTION imgsearch_internal.place_cursor(at imgsearch_internal.place, passed integer, check_ text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    here CONSTANT double precision := coalesce(at.distance, 3);
    place text := format('w%s.%s.%s.%s.i%s.%s.i%s.s%s.x%s.c%s.n%s.t%s', at.size, at.number, at.shown,
        imgsearch_internal.place_number(at.start_distance), coalesce(at.start_image, 0), imgsearch_internal.place_number(at.end_distance), coalesce(at.end_image, 0),
        at.listed, at.extra, at.class, imgsearch_internal.place_number(at.value), encode(convert_to(coalesce(at.words, ''), 'UTF8'), 'hex'));
BEGIN
    RETURN concat_ws(',', here, at.image, passed, check_, place || '.' || imgsearch_internal.place_sum(place, here, passed, check_));
END $$;
COMMENT ON FUNCTION imgsearch_internal.place_cursor(imgsearch_internal.place, integer, text) IS 'What continues behind a row of a window.';

CREATE OR REPLACE FUNCTION imgsearch_internal.place_of(p imgsearch_internal.page_request, size integer) RETURNS imgsearch_internal.place LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    num  CONSTANT text := '(-?[0-9]{1,20}(?:p[0-9]{1,25})?(?:e-?[0-9]{1,3})?)';
    at   imgsearch_internal.place;
    part text[];
BEGIN
    IF p.place IS NULL AND p.after_image IS NULL THEN
        at.size := size; at.number := 0; at.shown := 0; at.listed := ''; at.extra := '';
        RETURN at;
    END IF;
    part := regexp_match(p.place, '^(w([0-9]{1,4})\.([0-9]{1,5})\.([0-9]{1,4})\.' || num || '?\.i([0-9]{1,18})\.' || num || '?\.i([0-9]{1,18})\.s([0-9A-Za-z_-]*)\.x([0-9A-Za-z_-]*)'
        || '\.c([0-3]?)\.n' || num || '?\.t([0-9a-f]*))\.([0-9a-f]{6})$');
    IF part IS NULL OR part[14] <> imgsearch_internal.place_sum(part[1], p.after_distance, p.passed, p.check_) OR part[2]::integer NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'imgsearch: this `after` is of no page that was ranked this way' USING HINT = 'Pass the `after` of the last row of the page before, as it is.', ERRCODE = 'IM008';
    END IF;
    RETURN ROW(part[2]::integer, part[3]::integer, part[4]::integer, replace(part[5], 'p', '.')::double precision, CASE WHEN part[5] IS NOT NULL THEN part[6]::bigint END,
               replace(part[7], 'p', '.')::double precision, part[8]::bigint, part[9], part[10], nullif(part[11], '')::integer, replace(part[12], 'p', '.')::double precision,
               convert_from(decode(part[13], 'hex'), 'UTF8'), p.after_distance, p.after_image)::imgsearch_internal.place;
EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'imgsearch: this `after` is of no page that was ranked this way' USING HINT = 'Pass the `after` of the last row of the page before, as it is.', ERRCODE = 'IM008';
END $$;
COMMENT ON FUNCTION imgsearch_internal.place_of(imgsearch_internal.page_request, integer) IS 'Where a page begins: in the first window, or where its `after` says.';
