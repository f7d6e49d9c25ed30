-- Words alone: look_weight => 0 needs no vector, no worker and no model. Best first: what an id or code finds, all that
-- have a rare word (ranked by all of the words), then what has all the common words, all but the most common, and so on
-- to the rarest of them. Within such a step rows are equal and come by image_id, so that none has to be ranked.
--
-- distance says how far from the question: a step counts one, the weight of the words a product lacks less than one, all
-- over the number of steps; 0 is an id or code.

CREATE OR REPLACE FUNCTION imgsearch_internal.word_steps(a imgsearch_internal.asked_words, OUT rare tsquery, OUT common tsquery[]) LANGUAGE plpgsql STABLE AS $$
DECLARE
    led  integer := 0;
    room integer := 2000;
    part tsquery;
    many integer;
BEGIN
    FOREACH many IN ARRAY a.counts LOOP
        EXIT WHEN many > room;
        room := room - many; led := led + 1;
        rare := CASE WHEN rare IS NULL THEN a.queries[led] ELSE rare || a.queries[led] END;
    END LOOP;
    FOR n IN led + 1 .. cardinality(a.queries) LOOP
        part := CASE WHEN part IS NULL THEN a.queries[n] ELSE part && a.queries[n] END;
        common := ARRAY[part] || common;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.word_steps(imgsearch_internal.asked_words) IS 'What leads to products: any of the rare words (together at most 2,000 products); then all of the common ones, all but the most common, … the rarest of them.';

-- Pictures are looked at in the order of their ids, until there are enough.
CREATE OR REPLACE FUNCTION imgsearch_internal.images_with(
    made imgsearch_internal.filter_text, asked imgsearch_internal.bound, per_product boolean, wanted tsquery, behind bigint, most integer, without bigint[],
    OUT tenants text[], OUT images bigint[], OUT products text[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    tenant CONSTANT text := (made.f).tenant;
BEGIN
    EXECUTE format('SELECT coalesce(array_agg(x.tenant_id), ''{}''), coalesce(array_agg(x.image_id), ''{}''), coalesce(array_agg(x.product_id), ''{}'') FROM (
            SELECT i.tenant_id, i.image_id, i.product_id FROM (SELECT i.* FROM imgsearch.image i WHERE i.image_id > $3 AND i.image_id <> ALL ($6)%1$s) i
            JOIN imgsearch.product p ON p.tenant_id = i.tenant_id AND p.product_id = i.product_id AND p.document @@ $4%2$s%3$s ORDER BY i.image_id LIMIT $5) x',
        made.condition, CASE WHEN tenant IS NULL THEN '' ELSE ' AND p.tenant_id = ($2).tenant' END,
        CASE WHEN per_product THEN format(' WHERE i.image_id = (%s)', imgsearch_internal.first_image_sql(made, 'p')) ELSE '' END)
    INTO tenants, images, products
    USING asked, made.f, coalesce(behind, 0), CASE WHEN tenant IS NULL THEN wanted ELSE wanted && imgsearch_internal.tenant_query(tenant) END, most, without;
END $$;
COMMENT ON FUNCTION imgsearch_internal.images_with IS 'Pictures of products that have some words, by their ids; per product the first that matches.';

CREATE OR REPLACE FUNCTION imgsearch_internal.ranked_by_words(
    made imgsearch_internal.filter_text, asked imgsearch_internal.bound, a imgsearch_internal.asked_words, given text, rare tsquery, per_product boolean, steps integer
) RETURNS TABLE (tenant_id text, image_id bigint, product_id text, distance double precision) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    hits imgsearch_internal.word_hit[] := imgsearch_internal.found_whole(made, asked, given, 1000);
BEGIN
    IF rare IS NOT NULL THEN
        hits := hits || imgsearch_internal.found_by(made, asked, a, rare, true, 4000);
    END IF;
    RETURN QUERY EXECUTE format('SELECT h.tenant_id, f.image_id, h.product_id, h.distance FROM (
            SELECT DISTINCT ON (h.tenant_id, h.product_id) h.*,
                   CASE WHEN h.exact THEN 0 ELSE round(((0.01 + 0.98 * (1 - h.score::numeric / $4)) / $5), 6)::double precision END AS distance
            FROM unnest($3) h ORDER BY h.tenant_id, h.product_id, h.exact DESC) h, LATERAL (%s) f ORDER BY h.distance, f.image_id',
        CASE WHEN per_product THEN 'SELECT h.image_id' ELSE replace(imgsearch_internal.first_image_sql(made, 'h'), ' LIMIT 1', '') END)
    USING asked, made.f, hits, greatest(1, a.total * 10), steps;
END $$;
COMMENT ON FUNCTION imgsearch_internal.ranked_by_words IS 'All that an id, a code or a rare word finds, ranked by all of the words.';

-- Weights and steps of the words go into the cursor: counted anew between two pages, they would put rows elsewhere.
CREATE OR REPLACE FUNCTION imgsearch_internal.words_page_all(
    f imgsearch.filters, p imgsearch_internal.page_request, given text, OUT answer imgsearch_internal.page, OUT place text
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
DECLARE
    made   imgsearch_internal.filter_text := imgsearch_internal.filter_sql(f);
    asked  imgsearch_internal.bound := ROW(made.names, made.vals, NULL, NULL, NULL);
    a      imgsearch_internal.asked_words := imgsearch_internal.asked_words(f.tenant, given, string_to_array(substr(p.place, 2), '.')::integer[]);
    steps  record := imgsearch_internal.word_steps(a);
    many   CONSTANT integer := 1 + coalesce(cardinality(steps.common), 0);
    most   CONSTANT integer := p.skip + p.k;
    whole  bigint[];
    here   double precision;
    part   record;
    before tsquery := steps.rare;
BEGIN
    place := 'w' || array_to_string(a.weighed, '.');
    SELECT coalesce(array_agg(r.tenant_id), '{}'), coalesce(array_agg(r.image_id), '{}'), coalesce(array_agg(r.product_id), '{}'), coalesce(array_agg(r.distance), '{}'),
           coalesce(array_agg(r.image_id) FILTER (WHERE r.distance = 0), '{}')
    INTO answer.tenants, answer.images, answer.products, answer.distances, whole
    FROM imgsearch_internal.ranked_by_words(made, asked, a, given, steps.rare, p.per_product, many) r;
    answer.matches := cardinality(answer.images);
    answer := imgsearch_internal.words_behind(answer, p);
    FOR n IN 1 .. many - 1 LOOP
        here := round(n::numeric / many, 6);
        EXIT WHEN cardinality(answer.images) > most OR here > p.max_distance;
        IF (here < p.after_distance) IS NOT TRUE THEN
            part := imgsearch_internal.images_with(made, asked, p.per_product, CASE WHEN before IS NULL THEN steps.common[n] ELSE steps.common[n] && !!before END,
                CASE WHEN here = p.after_distance THEN p.after_image END, most + 1 - cardinality(answer.images), whole);
            answer.tenants := answer.tenants || part.tenants; answer.images := answer.images || part.images; answer.products := answer.products || part.products;
            answer.distances := answer.distances || array_fill(here, ARRAY[cardinality(part.images)]);
            answer.matches := answer.matches + cardinality(part.images);
        END IF;
        before := CASE WHEN before IS NULL THEN steps.common[n] ELSE before || steps.common[n] END;
    END LOOP;
    answer.more := many > 1 AND (cardinality(answer.images) > most OR p.after_image IS NOT NULL);
    answer.tenants := answer.tenants[p.skip + 1:most]; answer.images := answer.images[p.skip + 1:most]; answer.distances := answer.distances[p.skip + 1:most];
    answer.products := CASE WHEN p.per_product THEN answer.products[p.skip + 1:most] END;
    answer.strategy := 'words'; answer.complete := true; answer.ranked := answer.matches;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_page_all(imgsearch.filters, imgsearch_internal.page_request, text) IS 'What words_page() returns, with the rights of whoever calls it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_behind(answer imgsearch_internal.page, p imgsearch_internal.page_request) RETURNS imgsearch_internal.page LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF p.after_image IS NOT NULL OR p.max_distance IS NOT NULL THEN
        SELECT coalesce(array_agg(h.tenant ORDER BY h.n), '{}'), coalesce(array_agg(h.image ORDER BY h.n), '{}'), coalesce(array_agg(h.product ORDER BY h.n), '{}'), coalesce(array_agg(h.distance ORDER BY h.n), '{}')
        INTO answer.tenants, answer.images, answer.products, answer.distances
        FROM unnest(answer.tenants, answer.images, answer.products, answer.distances) WITH ORDINALITY h (tenant, image, product, distance, n)
        WHERE (p.after_image IS NULL OR (h.distance, h.image) > (p.after_distance, p.after_image)) AND (p.max_distance IS NULL OR h.distance <= p.max_distance);
    END IF;
    RETURN answer;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_behind(imgsearch_internal.page, imgsearch_internal.page_request) IS 'The rows of a page behind the cursor and within max_distance.';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_page_here(
    f imgsearch.filters, p imgsearch_internal.page_request, given text, OUT answer imgsearch_internal.page, OUT place text
) LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_ record;
BEGIN
    IF imgsearch.current_tenant() IS NOT NULL AND coalesce(f.tenant, imgsearch.current_tenant()) = imgsearch.current_tenant() THEN
        f.tenant := imgsearch.current_tenant();
        found_ := imgsearch_internal.words_page_all(f, p, given);
        answer := found_.answer; place := found_.place;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_page_here(imgsearch.filters, imgsearch_internal.page_request, text) IS 'What words_page() returns for the tenant that this transaction speaks for.';

CREATE OR REPLACE FUNCTION imgsearch_internal.words_page(
    f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question, OUT answer imgsearch_internal.page, OUT place text
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    given CONSTANT text := coalesce(r.words, q.words);
    found_ record;
BEGIN
    IF given IS NULL THEN
        RAISE EXCEPTION 'imgsearch: look_weight is 0, and there are no words to search by'
            USING HINT = 'Search for a text, or give words beside the picture: words => ''adidas samba''.', ERRCODE = 'IM008';
    ELSIF length(given) > 2000 THEN
        RAISE EXCEPTION 'imgsearch: the query has % characters, the limit is 2000', length(given) USING HINT = 'Shorten it.', ERRCODE = 'IM003';
    ELSIF imgsearch_internal.canonical(given) = '' THEN
        RAISE EXCEPTION 'imgsearch: the query is empty' USING HINT = 'Ask for something, for example red canvas shoe.', ERRCODE = 'IM003';
    ELSIF p.place !~ '^w([0-9]{1,4}([.][0-9]{1,4}){0,15})?$' THEN
        RAISE EXCEPTION 'imgsearch: after is not what a page by words gave' USING HINT = 'Pass the `after` of the page before, as it is.', ERRCODE = 'IM008';
    END IF;
    IF f.tenant = imgsearch.current_tenant() OR f.tenant IS NULL AND imgsearch.current_tenant() IS NOT NULL AND imgsearch.is_tenant_restricted() THEN
        found_ := imgsearch_internal.words_page_here(f, p, given);
    ELSE
        found_ := imgsearch_internal.words_page_all(f, p, given);
    END IF;
    answer := found_.answer; place := found_.place;
END $$;
COMMENT ON FUNCTION imgsearch_internal.words_page(imgsearch.filters, imgsearch_internal.page_request, imgsearch.ranking, imgsearch_internal.question) IS 'One page of what words find, without looks; place: what its cursors carry.';
