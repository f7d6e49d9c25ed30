-- Merchandise: what a shop pins to the top of its answers, and what it hides, for a text, a category, or always.
-- Only where one tenant is asked: products of two may have the same id.

CREATE OR REPLACE FUNCTION imgsearch_internal.set_merchandise(tenant text, product text, asked text, within text, at integer, most integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    query_ CONSTANT text := imgsearch_internal.canonical(coalesce(asked, ''));
    where_ CONSTANT text := coalesce(normalize(within, NFC), '');
BEGIN
    tenant := normalize(tenant, NFC);
    product := normalize(product, NFC);
    IF coalesce(tenant, '') = '' OR coalesce(product, '') = '' THEN
        RAISE EXCEPTION 'imgsearch: a tenant and a product have names' USING HINT = 'SELECT imgsearch.pin(''acme'', ''p42'', query => ''red shoe'');', ERRCODE = 'IM009';
    ELSIF length(tenant) > 1000 OR length(product) > 1000 THEN
        RAISE EXCEPTION 'imgsearch: a tenant and a product have names of at most 1000 characters'
            USING HINT = 'Name a product that has images.', ERRCODE = 'IM008';
    ELSIF (at BETWEEN 1 AND 25) IS FALSE OR length(query_) > 2000 OR length(where_) > 1000 THEN
        RAISE EXCEPTION 'imgsearch: place is a number from 1 to 25, query has at most 2000 characters and category 1000' USING HINT = 'Pin it at place 1.', ERRCODE = 'IM008';
    ELSIF (SELECT count(*) FROM imgsearch.merchandise m WHERE m.tenant_id = tenant AND m.query = query_ AND m.category = where_ AND (m.place IS NULL) = (at IS NULL) AND m.product_id <> product) >= most THEN
        RAISE EXCEPTION 'imgsearch: there are % of them already for this query and category', most USING HINT = 'Take one back first: imgsearch.unpin().', ERRCODE = 'IM008';
    END IF;
    INSERT INTO imgsearch.merchandise AS m (tenant_id, query, category, product_id, place) VALUES (tenant, query_, where_, product, at)
    ON CONFLICT ON CONSTRAINT merchandise_pkey DO UPDATE SET place = excluded.place;
END $$;
COMMENT ON FUNCTION imgsearch_internal.set_merchandise(text, text, text, text, integer, integer) IS 'Pins or hides a product; at: null hides it.';

CREATE OR REPLACE FUNCTION imgsearch.pin(tenant text, product_id text, query text DEFAULT '', category text DEFAULT '', place integer DEFAULT 1) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch_internal.set_merchandise(tenant, product_id, query, category, coalesce(place, 1), 25)
$$;
COMMENT ON FUNCTION imgsearch.pin(text, text, text, text, integer) IS 'Pins a product to the top of a tenant''s answers, for a text, a category, or always; at most 25 for each. SELECT imgsearch.pin(''acme'', ''p42'', query => ''red shoe'');';

CREATE OR REPLACE FUNCTION imgsearch.hide(tenant text, product_id text, query text DEFAULT '', category text DEFAULT '') RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch_internal.set_merchandise(tenant, product_id, query, category, NULL, 200)
$$;
COMMENT ON FUNCTION imgsearch.hide(text, text, text, text) IS 'Hides a product from a tenant''s answers, for a text, a category, or always; at most 200 for each. SELECT imgsearch.hide(''acme'', ''p13'');';

CREATE OR REPLACE FUNCTION imgsearch.unpin(tenant text, product_id text DEFAULT NULL, query text DEFAULT NULL, category text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    many bigint;
BEGIN
    DELETE FROM imgsearch.merchandise m
    WHERE m.tenant_id = normalize(unpin.tenant, NFC)
      AND m.product_id = coalesce(normalize(unpin.product_id, NFC), m.product_id)
      AND m.query = coalesce(imgsearch_internal.canonical(unpin.query), m.query)
      AND m.category = coalesce(normalize(unpin.category, NFC), m.category);
    GET DIAGNOSTICS many = ROW_COUNT;
    RETURN many;
END $$;
COMMENT ON FUNCTION imgsearch.unpin(text, text, text, text) IS 'Takes back what was pinned or hidden: of a product, for a text, for a category (null: of all); how many. SELECT imgsearch.unpin(''acme'', ''p42'');';
