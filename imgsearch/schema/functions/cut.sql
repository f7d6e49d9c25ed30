-- Nothing where nothing fits: the probability that a row fits (match), the distance at which it ends (min_match), and
-- where a page ends by itself (cutoff => 'auto'). Figures: docs/decisions/0015-cut.md.

CREATE OR REPLACE FUNCTION imgsearch_internal.calibration_of(kind text, tenant text DEFAULT NULL) RETURNS imgsearch.calibration LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    found_ imgsearch.calibration;
    asked  CONSTANT text := CASE calibration_of.kind WHEN 'image' THEN 'picture' ELSE calibration_of.kind END;
    shop   CONSTANT text := coalesce(tenant, imgsearch.current_tenant(), '');
BEGIN
    IF asked IN ('text', 'picture') THEN
        SELECT c.* INTO found_ FROM imgsearch.calibration c JOIN imgsearch.space s ON s.space_id = c.space_id AND s.state = 'active'
        WHERE c.kind = asked AND c.tenant_id IN (shop, '') ORDER BY c.tenant_id DESC LIMIT 1;
    END IF;
    RETURN found_;
END $$;
COMMENT ON FUNCTION imgsearch_internal.calibration_of(text, text) IS 'What turns a cosine into a match for a kind of question: the tenant''s own, or that of all; null where there is none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.match_of(distance double precision, c imgsearch.calibration) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    cosine CONSTANT double precision := 1 - distance;
    n      integer;
BEGIN
    IF c.scale IS NOT NULL THEN
        RETURN 1 / (1 + exp(-greatest(-700, least(700, c.scale * cosine + c.bias))));  -- beyond, exp() is an error
    END IF;
    n := width_bucket(cosine, c.cosines);
    RETURN CASE WHEN n = 0 THEN c.matches[1] WHEN n = cardinality(c.cosines) THEN c.matches[n]
                ELSE c.matches[n] + (c.matches[n + 1] - c.matches[n]) * (cosine - c.cosines[n]) / (c.cosines[n + 1] - c.cosines[n]) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.match_of(double precision, imgsearch.calibration) IS 'The probability from 0 to 1 that what lies at a cosine distance fits; null where there is no calibration.';

CREATE OR REPLACE FUNCTION imgsearch_internal.distance_of(match double precision, c imgsearch.calibration) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n integer;
BEGIN
    IF match <= 0 OR c.kind IS NULL THEN
        RETURN NULL;
    ELSIF c.cosines IS NULL THEN
        RETURN 1 - (CASE WHEN match < 1 THEN least(37, ln(match) - ln(1 - match)) ELSE 37 END - c.bias) / c.scale;  -- above 37 it is 1 to the last bit
    END IF;
    SELECT min(m.place) INTO n FROM unnest(c.matches) WITH ORDINALITY m (match, place) WHERE m.match >= distance_of.match;
    RETURN CASE WHEN n IS NULL THEN -1 WHEN n > 1 THEN
        1 - c.cosines[n - 1] - (c.cosines[n] - c.cosines[n - 1]) * (match - c.matches[n - 1]) / (c.matches[n] - c.matches[n - 1]) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.distance_of(double precision, imgsearch.calibration) IS 'The largest distance whose match is still that much: match_of() the other way round; null: every distance, -1: none.';

-- cutoff => 'auto' ends where the match falls below 0.05: at 0.2 more than 2 % of what fits was lost. Where a space cannot
-- tell a match, at the first gap among the nearest 20 that is half of their whole width: steps that are smaller tell
-- nothing, and Weaviate's autocut, which takes the first of them, lost 67 % of what fits (docs/decisions/0015-cut.md).
CREATE OR REPLACE FUNCTION imgsearch_internal.gap_distance(query halfvec, f imgsearch.filters, p imgsearch_internal.page_request) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
    first imgsearch_internal.page_request := imgsearch_internal.page_of(20, 0, NULL, p.max_distance, p.space);
    y     double precision[];
BEGIN
    IF query IS NULL THEN
        RETURN NULL;  -- words alone
    END IF;
    first.per_product := p.per_product; first.regions := p.regions;
    y := ((imgsearch_internal.find(query, f, first)).answer).distances;
    RETURN (SELECT min((y[n] + y[n + 1]) / 2) FROM generate_series(1, cardinality(y) - 1) n
            WHERE y[n + 1] - y[n] >= (y[cardinality(y)] - y[1]) / 2 AND y[n + 1] > y[n]);
END $$;
COMMENT ON FUNCTION imgsearch_internal.gap_distance(halfvec, imgsearch.filters, imgsearch_internal.page_request) IS 'The distance of the first clear gap behind the nearest; null where there is none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.within_cut(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question
) RETURNS imgsearch_internal.page_request LANGUAGE plpgsql STABLE AS $$
DECLARE
    c imgsearch.calibration := imgsearch_internal.calibration_of(q.kind, f.tenant);
BEGIN
    IF r.min_match > 0 AND c.kind IS NULL THEN
        RAISE EXCEPTION 'imgsearch: min_match needs to know how likely a distance fits, and for this question nobody does'
            USING HINT = 'It is known for one text; for one picture after `imgsearch calibrate judged.csv --kind picture`; never for several examples, a vector or with expand. Use max_distance or cutoff => ''auto''.', ERRCODE = 'IM008';
    END IF;
    p.max_distance := least(p.max_distance, imgsearch_internal.distance_of(greatest(r.min_match, CASE WHEN r.cutoff = 'auto' THEN 0.05 END), c));
    IF r.cutoff = 'auto' AND c.kind IS NULL THEN
        p.max_distance := least(p.max_distance, imgsearch_internal.gap_distance(query, f, p));
    END IF;
    RETURN p;
END $$;
COMMENT ON FUNCTION imgsearch_internal.within_cut IS 'min_match and cutoff as the largest distance, so that nothing more is read.';

CREATE OR REPLACE FUNCTION imgsearch_internal.with_matches(answer imgsearch_internal.page, f imgsearch.filters, q imgsearch_internal.question) RETURNS imgsearch_internal.page LANGUAGE plpgsql STABLE AS $$
DECLARE
    c     imgsearch.calibration := imgsearch_internal.calibration_of(q.kind, f.tenant);
    scale CONSTANT double precision := c.scale;
    bias  CONSTANT double precision := c.bias;
BEGIN
    IF scale IS NOT NULL THEN  -- match_of() written out: every search for a text comes here
        answer.fits := ARRAY(SELECT 1 / (1 + exp(-greatest(-700, least(700, scale * (1 - d.distance) + bias))))
                             FROM unnest(answer.distances) WITH ORDINALITY d (distance, place) ORDER BY d.place);
    ELSIF c.kind IS NOT NULL THEN
        answer.fits := ARRAY(SELECT imgsearch_internal.match_of(d.distance, c) FROM unnest(answer.distances) WITH ORDINALITY d (distance, place) ORDER BY d.place);
    END IF;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_matches(imgsearch_internal.page, imgsearch.filters, imgsearch_internal.question) IS 'A page with the match of each of its rows, where that is known.';

CREATE OR REPLACE FUNCTION imgsearch_internal.explain_cut(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question
) RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    c imgsearch.calibration := imgsearch_internal.calibration_of(CASE WHEN r.expand THEN 'vector' ELSE q.kind END, f.tenant);
    e double precision;
    moved @extschema:vector@.halfvec;
BEGIN
    IF r.expand THEN
        q.kind := 'vector';
        moved := imgsearch_internal.expanded(query, imgsearch_internal.expanding_images(query, f, p));
        e := query OPERATOR(@extschema:vector@.<=>) moved;
        query := moved;
        RETURN QUERY VALUES ('expand', jsonb_build_object('moved', e), format('Expanded by what its ten nearest look like; the question moved by a distance of %s.', round(e::numeric, 3)));
    END IF;
    RETURN QUERY VALUES ('match', jsonb_build_object('kind', c.kind, 'tenant', c.tenant_id, 'judged', c.judged, 'error', c.error),
        CASE WHEN c.kind IS NULL THEN 'Match: unknown for this question; see imgsearch calibrate.'
             WHEN c.judged = 0 THEN 'Match: by the figures that the model was trained with.'
             ELSE format('Match: fitted to %s judgements%s; off by %s on those held out.', c.judged, CASE c.tenant_id WHEN '' THEN '' ELSE ' of this tenant' END, round(c.error::numeric, 3)) END);
    IF r.min_match IS NOT NULL OR r.cutoff IS NOT NULL THEN
        e := (imgsearch_internal.within_cut(query, f, p, r, q)).max_distance;
        RETURN QUERY VALUES ('cut', jsonb_build_object('max_distance', e, 'match', imgsearch_internal.match_of(e, c)),
            coalesce(format('The answer ends at a distance of %s%s.', round(e::numeric, 4), ', a match of ' || round(imgsearch_internal.match_of(e, c)::numeric, 2)), 'Nothing is cut off: there is no clear gap.'));
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.explain_cut IS 'What match and cut of a search come from, line by line.';
