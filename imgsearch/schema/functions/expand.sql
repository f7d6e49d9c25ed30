-- A better question: what the best of its first answer look like is added to it (alpha query expansion: Chum et al. 2007,
-- Radenovic, Tolias and Chum 2019):
--
--   q' = normalise(q + sum over the nearest 10 of max(s, 0)^3 * x)        s = cosine(q, x)
--
-- Inside the filters, and without what is nearly the query itself: else it collapses onto its own copies.
-- Whether it helps was measured: docs/decisions/0015-cut.md.

CREATE OR REPLACE FUNCTION imgsearch_internal.expanded(query halfvec, f imgsearch.filters, p imgsearch_internal.page_request) RETURNS halfvec LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, @extschema:vector@, pg_temp AS $$
DECLARE
    first  imgsearch_internal.page_request := imgsearch_internal.page_of(30, 0, NULL, NULL, p.space);
    near   imgsearch_internal.page;
    added  @extschema:vector@.vector;
BEGIN
    IF query IS NULL THEN
        RETURN NULL;  -- words alone
    END IF;
    first.per_product := p.per_product;
    near := (imgsearch_internal.find(query, f, first)).answer;
    SELECT sum(v.embedding::vector * array_fill(power(greatest(1 - h.distance, 0), 3)::real, ARRAY[vector_dims(v.embedding)])::vector) INTO added
    FROM (SELECT h.* FROM unnest(near.tenants, near.images, near.distances) WITH ORDINALITY AS h (tenant_id, image_id, distance, place)
          WHERE h.distance >= 0.03 ORDER BY h.place LIMIT 10) h
    JOIN imgsearch.vectors v ON v.tenant_id = h.tenant_id AND v.image_id = h.image_id;
    RETURN coalesce(l2_normalize(l2_normalize(query::vector) + added)::halfvec, query);
END $$;
COMMENT ON FUNCTION imgsearch_internal.expanded(halfvec, imgsearch.filters, imgsearch_internal.page_request) IS 'A query and what its ten nearest look like, as one vector; the query where there are none.';
