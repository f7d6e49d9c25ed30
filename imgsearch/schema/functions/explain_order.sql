-- What of a ranking ordered a page, line by line: see explain.sql.

CREATE OR REPLACE FUNCTION imgsearch_internal.explain_order(query halfvec, f imgsearch.filters, r imgsearch.ranking, q imgsearch_internal.question)
RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    words CONSTANT text := imgsearch_internal.words_asked(f, r, q);
    size  CONSTANT integer := imgsearch_internal.window_size(r, 100);
    p     imgsearch_internal.page_request := imgsearch_internal.page_of(size);
    w     imgsearch_internal.pool;
    shop  record;
BEGIN
    p.per_product := coalesce(r.per, 'product') = 'product';
    IF words IS NOT NULL AND r.look_weight IS DISTINCT FROM 0 THEN
        w := imgsearch_internal.words_pool(query, f, p, words, coalesce(r.word_weight, 1), NULL, 100);
        RETURN QUERY VALUES ('words', jsonb_build_object('words', words, 'found', cardinality(w.images), 'exact', cardinality(array_positions(w.firsts, true)), 'tied', w.tied IS NOT NULL),
            format('Words: "%s" finds %s%s%s; their ranks and those of looks are fused, each weighing weight / (60 + rank).', left(words, 100), cardinality(w.images),
                   CASE WHEN true = ANY (w.firsts) THEN ', one by its code or id, which stands first' ELSE '' END,
                   CASE WHEN w.tied IS NOT NULL THEN '; more have them equally well than are listed, so of those the nearest count' ELSE '' END));
    END IF;
    IF imgsearch_internal.is_ordered(r) THEN
        RETURN QUERY VALUES ('order', jsonb_strip_nulls(jsonb_build_object('sort', r.sort, 'boost', r.boost, 'diversity', r.diversity, 'window', size)),
            CASE WHEN r.sort IS NOT NULL THEN format('Order: the nearest %s are sorted by %s, then the next %s; boost and diversity say nothing here.', size, r.sort, size)
                 ELSE format('Order: the nearest %s are ordered together, then the next %s%s%s.', size, size,
                             CASE WHEN r.boost <> '{}' THEN '; a row''s score is 1 - distance and ' || (SELECT string_agg(format('%s * %s', b.value, b.key), ' + ') FROM jsonb_each(r.boost) b) || ', each value from 0 to 1' ELSE '' END,
                             CASE WHEN r.diversity > 0 THEN format('; a row gives way by %s of its likeness to those before it (MMR)', r.diversity) ELSE '' END) END);
    END IF;
    IF imgsearch_internal.has_merchandise(f.tenant) THEN
        shop := imgsearch_internal.merchandise_for(f, coalesce(q.words, r.words));
        RETURN QUERY VALUES ('merchandise', jsonb_build_object('pinned', to_jsonb(shop.pinned), 'hidden', cardinality(shop.hidden)),
            format('Merchandise: %s pinned, %s hidden for this search.', cardinality(shop.pinned), cardinality(shop.hidden)));
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.explain_order(halfvec, imgsearch.filters, imgsearch.ranking, imgsearch_internal.question) IS 'What words, sort, boost, diversity and merchandise did to a page.';

CREATE OR REPLACE FUNCTION imgsearch_internal.explain_regions(answer imgsearch_internal.page, plan imgsearch_internal.search_plan, r imgsearch.ranking)
RETURNS TABLE (subject text, figures jsonb, explanation text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    many    CONSTANT bigint := (SELECT count(p.part) FROM unnest(answer.parts) p (part));
    regions CONSTANT bigint := greatest(0, (SELECT c.reltuples FROM pg_catalog.pg_class c JOIN imgsearch.space s ON c.oid = to_regclass('imgsearch.region_' || s.space_id) WHERE s.state = 'active'));
BEGIN
    IF (r.regions > 0) IS NOT TRUE THEN
        RETURN;
    ELSIF answer.parts IS NULL THEN
        RETURN QUERY VALUES ('regions', jsonb_build_object('weight', r.regions, 'regions', 0), 'Regions: no picture here has any, so whole pictures were ranked.');
        RETURN;
    END IF;
    RETURN QUERY VALUES ('regions', jsonb_strip_nulls(jsonb_build_object('weight', r.regions, 'regions', regions, 'rows', many, 'ef', CASE answer.strategy WHEN 'hnsw' THEN plan.ef END)),
        format('Regions: each picture by %s * its whole + %s * the nearer of its whole and its best region; a region was the nearer in %s of %s rows. %s', round(1 - r.regions::numeric, 3), round(r.regions::numeric, 3), many, cardinality(answer.images),
               CASE answer.strategy WHEN 'hnsw' THEN format('Both graphs were walked, that of about %s regions to the nearest %s, and what they met was compared exactly.', to_char(regions, 'FM999,999,999,999'), plan.ef)
                                    ELSE 'Every picture that matches was compared with all its regions.' END));
END $$;
COMMENT ON FUNCTION imgsearch_internal.explain_regions(imgsearch_internal.page, imgsearch_internal.search_plan, imgsearch.ranking) IS 'What regions did to a page.';
