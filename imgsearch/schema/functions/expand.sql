-- A better question: what the best of its first answer look like is added to it (alpha query expansion: Chum et al. 2007,
-- Radenovic, Tolias and Chum 2019):
--
--   q' = normalise(q + sum over the nearest 10 of max(s, 0)^3 * x)        s = cosine(q, x)
--
-- Inside the filters, and without what is nearly the query itself: else it collapses onto its own copies.
-- A later page asks by the same ten, which its cursor names: made anew beside writers, the question would be another one.
-- Whether it helps was measured: docs/decisions/0015-cut.md.

CREATE OR REPLACE FUNCTION imgsearch_internal.expanding_images(query halfvec, f imgsearch.filters, p imgsearch_internal.page_request) RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    first imgsearch_internal.page_request := imgsearch_internal.page_of(30, 0, NULL, NULL, p.space);
    near  imgsearch_internal.page;
BEGIN
    IF query IS NULL THEN
        RETURN '{}';  -- words alone
    ELSIF p.near IS NOT NULL THEN  -- of a cursor, so of whoever wrote it: nothing beyond the filters
        RETURN ARRAY(SELECT n.image FROM unnest(p.near[1:10]) WITH ORDINALITY n (image, place)
                     JOIN imgsearch_internal.matching(p.near[1:10], f) m (image) ON m.image = n.image ORDER BY n.place);
    END IF;
    first.per_product := p.per_product;
    near := (imgsearch_internal.find(query, f, first)).answer;
    RETURN ARRAY(SELECT h.image FROM unnest(near.images, near.distances) WITH ORDINALITY AS h (image, distance, place) WHERE h.distance >= 0.03 ORDER BY h.place LIMIT 10);
END $$;
COMMENT ON FUNCTION imgsearch_internal.expanding_images(halfvec, imgsearch.filters, imgsearch_internal.page_request) IS 'The ten nearest to a query, and not the query itself; of a later page those of the first.';

-- Added up in one order: in another the last bits would differ, and with them the place of a row.
CREATE OR REPLACE FUNCTION imgsearch_internal.expanded(query halfvec, near bigint[]) RETURNS halfvec LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    added @extschema:vector@.vector;
BEGIN
    SELECT @extschema:vector@.sum(v.embedding::vector OPERATOR(@extschema:vector@.*) array_fill(power(greatest(1 - (v.embedding <=> query), 0), 3)::real, ARRAY[vector_dims(v.embedding)])::vector ORDER BY n.place) INTO added
    FROM unnest(near) WITH ORDINALITY n (image, place) JOIN imgsearch.vectors v ON v.image_id = n.image;
    RETURN coalesce(l2_normalize(l2_normalize(query::vector) OPERATOR(@extschema:vector@.+) added)::halfvec, query);
END $$;
COMMENT ON FUNCTION imgsearch_internal.expanded(halfvec, bigint[]) IS 'A query and what its ten nearest look like, as one vector; the query where there are none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.with_expanding(answer imgsearch_internal.page, near bigint[]) RETURNS imgsearch_internal.page LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF near <> '{}' THEN
        answer.cursors := ARRAY(SELECT c.cursor || ',e.i' || array_to_string(near, '.i') || '.' FROM unnest(answer.cursors) WITH ORDINALITY c (cursor, place) ORDER BY c.place);
    END IF;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.with_expanding(imgsearch_internal.page, bigint[]) IS 'A page whose cursors name the images that the question was expanded by.';
