-- Where a ranking names a space: which one is searched, and the same search there (space_engine.sql).

-- Null: the active one. Cheap to ask for whoever names none.
CREATE OR REPLACE FUNCTION imgsearch_internal.elsewhere(space text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    id integer := imgsearch_internal.space_of(space);
BEGIN
    IF id = imgsearch_internal.searched_space() THEN
        RETURN NULL;
    ELSIF NOT imgsearch_internal.has_engine(id) THEN
        space := (SELECT s.name FROM imgsearch.space s WHERE s.space_id = id);
        RAISE EXCEPTION 'imgsearch: space % cannot be searched yet: it is not full, or its indexes are not built', quote_literal(space)
            USING HINT = format('imgsearch space fill %s; how far it is says SELECT * FROM imgsearch.spaces;', space), ERRCODE = 'IM025';
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.elsewhere(text) IS 'The number of a space that is searched beside the active one; null: it is the active one. Raises that it is none, or not full.';

CREATE OR REPLACE FUNCTION imgsearch_internal.answer_elsewhere(
    query halfvec, f imgsearch.filters, p imgsearch_internal.page_request, r imgsearch.ranking, q imgsearch_internal.question,
    OUT elsewhere boolean, OUT answer imgsearch_internal.page, OUT plan imgsearch_internal.search_plan
) LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    space  integer;
    found_ record;
BEGIN
    space := imgsearch_internal.elsewhere(r.space);
    elsewhere := space IS NOT NULL;
    IF elsewhere THEN
        EXECUTE format('SELECT a.answer, a.plan FROM imgsearch_space_%s.answer($1, $2, $3, $4, $5) a', space) INTO found_ USING query, f, p, r, q;
        answer := found_.answer; plan := found_.plan;
        answer.space := space;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.answer_elsewhere IS 'One page of an answer in another space; elsewhere is false where the active one is named.';

CREATE OR REPLACE FUNCTION imgsearch_internal.unfold_elsewhere(answer imgsearch_internal.page, query halfvec, q imgsearch_internal.question)
RETURNS TABLE (tenant_id text, image_id bigint, product_id text, distance double precision, match double precision, pictures integer, others bigint[], after text)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    space integer := answer.space;
BEGIN
    answer.space := NULL;
    RETURN QUERY EXECUTE format('SELECT * FROM imgsearch_space_%s.unfold($1, $2, $3)', space) USING answer, query, q;
END $$;
COMMENT ON FUNCTION imgsearch_internal.unfold_elsewhere(imgsearch_internal.page, halfvec, imgsearch_internal.question) IS 'The rows of a page of another space.';

CREATE OR REPLACE FUNCTION imgsearch.vec(query text, space text) RETURNS halfvec LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_ record;
    id     integer := imgsearch_internal.space_of(space);
    wanted text := imgsearch_internal.canonical(query);
BEGIN
    IF wanted = '' OR query IS NULL THEN
        RAISE EXCEPTION 'imgsearch: the query is empty' USING HINT = 'Ask for something, for example red canvas shoe.', ERRCODE = 'IM003';
    END IF;
    SELECT v.embedding INTO found_ FROM imgsearch.query_vector v
    WHERE v.tenant_id = coalesce(imgsearch.current_tenant(), '') AND v.space_id = id AND v.kind = 'text' AND v.key = sha256(convert_to(wanted, 'UTF8'));
    IF found_.embedding IS NULL THEN
        RAISE EXCEPTION 'imgsearch: no embedding is cached for the text "%" in space %', left(query, 200), left(space, 100)
            USING HINT = imgsearch_internal.embed_first(format('%L, space => %L', left(query, 200), space)),
                ERRCODE = 'IM001';
    END IF;
    RETURN found_.embedding;
END $$;
COMMENT ON FUNCTION imgsearch.vec(text, text) IS 'The vector of a text in a space. SELECT * FROM imgsearch.search(imgsearch.vec(''red shoe'', ''clip''), space => ''clip'');';

CREATE OR REPLACE FUNCTION imgsearch_internal.vectors_elsewhere(space text, image_id bigint, product_id text, tenant text) RETURNS TABLE (tenant_id text, embedding halfvec)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT i.tenant_id, l2_normalize(@extschema:vector@.avg(e.embedding::vector))::halfvec FROM imgsearch.image i JOIN imgsearch.embedding_%s e ON e.tenant_id = i.tenant_id AND e.image_id = i.image_id
        WHERE ($1 IS NULL OR i.image_id = $1) AND ($2 IS NULL OR i.product_id = $2) AND ($3 IS NULL OR i.tenant_id = $3) GROUP BY i.tenant_id ORDER BY i.tenant_id LIMIT 2',
        imgsearch_internal.space_of(space)) USING image_id, product_id, tenant;
END $$;
COMMENT ON FUNCTION imgsearch_internal.vectors_elsewhere(text, bigint, text, text) IS 'The vector of an image, or the mean of a product''s pictures, in a space; for the first two tenants that have one.';

CREATE OR REPLACE FUNCTION imgsearch.vec_of(image_id bigint, tenant text, space text) RETURNS halfvec LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_ @extschema:vector@.halfvec := (
        SELECT v.embedding FROM imgsearch_internal.vectors_elsewhere(
            vec_of.space, vec_of.image_id, NULL, normalize(vec_of.tenant, NFC)) v LIMIT 1);
BEGIN
    IF found_ IS NULL THEN
        RAISE EXCEPTION 'imgsearch: image % does not exist or has no vector in space % yet', vec_of.image_id, left(space, 100)
            USING HINT = 'SELECT * FROM imgsearch.spaces; SELECT * FROM imgsearch.failures;', ERRCODE = 'IM004';
    END IF;
    RETURN found_;
END $$;
COMMENT ON FUNCTION imgsearch.vec_of(bigint, text, text) IS 'The stored vector of a picture in a space: SELECT * FROM imgsearch.search(imgsearch.vec_of(42, NULL, ''dino''), space => ''dino'');';

CREATE OR REPLACE FUNCTION imgsearch.vec_of_product(product_id text, tenant text, space text) RETURNS halfvec LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_ @extschema:vector@.halfvec[] := ARRAY(
        SELECT v.embedding FROM imgsearch_internal.vectors_elsewhere(vec_of_product.space, NULL,
            normalize(vec_of_product.product_id, NFC), normalize(vec_of_product.tenant, NFC)) v);
BEGIN
    IF found_ = '{}' THEN
        RAISE EXCEPTION 'imgsearch: product % does not exist or has no picture with a vector in space % yet', left(product_id, 200), left(space, 100)
            USING HINT = 'SELECT * FROM imgsearch.spaces; SELECT * FROM imgsearch.failures;', ERRCODE = 'IM004';
    ELSIF cardinality(found_) > 1 THEN
        RAISE EXCEPTION 'imgsearch: several tenants have a product %', left(product_id, 200)
            USING HINT = 'Say whose: imgsearch.vec_of_product(''sku-1'', ''acme'', ''dino'').', ERRCODE = 'IM003';
    END IF;
    RETURN found_[1];
END $$;
COMMENT ON FUNCTION imgsearch.vec_of_product(text, text, text) IS 'The vector of a product in a space, the mean of its pictures.';
