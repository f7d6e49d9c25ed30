-- The complete answer in one statement: nearest pictures that match the named filters.

CREATE FUNCTION imgsearch.search(
    query halfvec,
    tenant text DEFAULT NULL,
    category text DEFAULT NULL,
    min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL,
    in_stock boolean DEFAULT NULL,
    attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, strategy text, complete boolean)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    IF search.k < 1 OR search.k > 1000 THEN
        RAISE EXCEPTION 'imgsearch: k is %, it must be from 1 to 1000', search.k USING HINT = 'Page through more rows with several searches.', ERRCODE = 'IM008';
    END IF;
    RETURN QUERY EXECUTE 'SELECT i.image_id, i.product_id, i.embedding <=> $1, ''exact'', true FROM imgsearch.images i
        WHERE ($2 IS NULL OR i.tenant_id = $2) AND ($3 IS NULL OR i.category = $3) AND ($4 IS NULL OR i.price >= $4)
          AND ($5 IS NULL OR i.price <= $5) AND ($6 IS NULL OR i.in_stock = $6) AND ($7 IS NULL OR i.attributes @> $7)
        ORDER BY (i.embedding <=> $1) + 0 LIMIT $8'
    USING search.query, search.tenant, search.category, search.min_price, search.max_price, search.in_stock, search.attributes, search.k;
END $$;
COMMENT ON FUNCTION imgsearch.search(halfvec, text, text, double precision, double precision, boolean, jsonb, integer) IS
'Nearest pictures that match the filters. SELECT * FROM imgsearch.search(imgsearch.vec_of(42), tenant => ''acme'', max_price => 50);';

CREATE FUNCTION imgsearch.search(
    query text,
    tenant text DEFAULT NULL,
    category text DEFAULT NULL,
    min_price double precision DEFAULT NULL,
    max_price double precision DEFAULT NULL,
    in_stock boolean DEFAULT NULL,
    attributes jsonb DEFAULT NULL,
    k integer DEFAULT 10
) RETURNS TABLE (image_id bigint, product_id text, distance double precision, strategy text, complete boolean)
LANGUAGE sql STABLE AS $$
    SELECT * FROM imgsearch.search(imgsearch.vec(query), tenant, category, min_price, max_price, in_stock, attributes, k)
$$;
COMMENT ON FUNCTION imgsearch.search(text, text, text, double precision, double precision, boolean, jsonb, integer) IS
'Nearest pictures to a text that match the filters. SELECT * FROM imgsearch.search(''red canvas shoe'', tenant => ''acme'', category => ''shoes'', max_price => 50, k => 10);';
