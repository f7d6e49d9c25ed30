-- attached_<n>_write(): brings image and product in step with some keys of an attachment. Whoever notices a change only
-- has to tell the keys; triggers, refresh(), repair() and the backfill all end here.

-- Those of a product's pictures that are to be moved are found by their address, so that no vector is lost because a
-- picture was put in front of it, or because a variant has another parent now.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_moves(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format($f$
            WITH should AS MATERIALIZED (
                SELECT v.tenant_id, v.product_id, v.position, v.uri FROM (%2$s) v
            ), held AS MATERIALIZED (
                SELECT i.* FROM unnest(here) k CROSS JOIN LATERAL (
                    SELECT i.image_id, i.tenant_id, i.product_id, i.position, i.uri FROM imgsearch.image i WHERE i.attachment_id = %1$s AND %3$s OFFSET 0) i
            ), told AS (
                SELECT tenant_id, product_id, position, uri, max(image_id) AS image_id, bool_or(wanted) AS wanted
                FROM (SELECT *, NULL::bigint AS image_id, true AS wanted FROM should UNION ALL SELECT tenant_id, product_id, position, uri, image_id, false FROM held) x GROUP BY 1, 2, 3, 4
            ), apart AS (
                SELECT *, bool_or(wanted) OVER (PARTITION BY tenant_id, product_id, position) AS replaced,
                       row_number() OVER (PARTITION BY tenant_id, uri, wanted ORDER BY product_id, position) AS n
                FROM told WHERE wanted <> (image_id IS NOT NULL)
            ), pair AS (
                SELECT max(image_id) AS image_id, bool_or(replaced) AS replaced, max(product_id) FILTER (WHERE wanted) AS product_id, max(position) FILTER (WHERE wanted) AS position
                FROM apart GROUP BY tenant_id, uri, n
            )
            SELECT array_agg(image_id) FILTER (WHERE position IS NULL AND NOT replaced), array_agg(image_id ORDER BY image_id) FILTER (WHERE position IS NOT NULL),
                   array_agg(product_id ORDER BY image_id) FILTER (WHERE position IS NOT NULL), array_agg(position ORDER BY image_id) FILTER (WHERE position IS NOT NULL)
            INTO gone, moved, to_product, to_position
            FROM pair WHERE image_id IS NOT NULL;$f$,
        at.attachment_id, imgsearch_internal.read_pictures(at, 'here'), imgsearch_internal.attached_held(at))
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_moves(imgsearch.attachment) IS 'The statement that finds which pictures of an attachment go and which move.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_held(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN (at.resolved -> 'key_alone')::boolean
        THEN format('i.product_id = normalize(%L || k, NFC)', at.prefix)
        ELSE format('i.tenant_id = normalize(imgsearch_internal.key_part(k, 1), NFC)'
                    ' AND i.product_id = normalize(%L || %s, NFC)', at.prefix,
            imgsearch_internal.key_text(at, ARRAY(SELECT format('imgsearch_internal.key_part(k, %s)', n) FROM generate_series(1, cardinality(at.key_columns)) n), false)) END
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_held(imgsearch.attachment) IS 'The condition on image i that it is of the key k.';

-- A row that is as it should be is not even locked.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_copy(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, categories, price, in_stock, attributes, uri, sha256)
        SELECT %1$s, v.tenant_id, v.product_id, v.position, v.category, v.categories, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM (%2$s) v LEFT JOIN imgsearch.image h ON h.tenant_id = v.tenant_id AND h.product_id = v.product_id AND h.position = v.position
        WHERE h.image_id IS NULL OR (h.attachment_id, h.category, h.categories, h.price, h.in_stock, h.attributes, h.uri)
            IS DISTINCT FROM (%1$s, v.category, v.categories, v.price, v.in_stock, v.attributes, v.uri)
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, categories = EXCLUDED.categories, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END;',
        at.attachment_id, imgsearch_internal.read_pictures(at, 'here'))
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_copy(imgsearch.attachment) IS 'The statement that writes the pictures of some keys.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_filters(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('UPDATE imgsearch.image i SET category = s.one_category, categories = s.all_categories, price = s.real_price, in_stock = s.stocked, attributes = s.attributes
        FROM (%2$s) s
        WHERE i.tenant_id = s.whose AND i.product_id = s.product_id AND i.attachment_id = %1$s
          AND (i.category, i.categories, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (s.one_category, s.all_categories, s.real_price, s.stocked, s.attributes);',
        at.attachment_id, imgsearch_internal.read_products(at, 'here'))
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_filters(imgsearch.attachment) IS 'The statement that writes only what pictures of some keys are filtered by.';

-- here: a part of the keys, so that a COPY of a million rows needs no memory for a million. deep: pictures may have come,
-- gone or moved; else only filters and words changed. Its settings: a plan kept from one row must also suit two thousand.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_write_function(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format($f$CREATE OR REPLACE FUNCTION imgsearch_internal.attached_%1$s_write(keys text[], deep boolean) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off AS $body$
#variable_conflict use_column
DECLARE
    here        text[];
    gone        bigint[];
    moved       bigint[];
    to_product  text[];
    to_position integer[];
    changed     bigint;
    done        bigint := 0;
BEGIN
    IF imgsearch_internal.reader_of(a) IS DISTINCT FROM %7$L::name FROM imgsearch.attachment a WHERE a.attachment_id = %1$s THEN
        RAISE EXCEPTION 'imgsearch: it has another owner now' USING ERRCODE = 'undefined_table';  -- written anew, and tried again
    END IF;
    deep := deep OR EXISTS (SELECT 1 FROM imgsearch.attachment_failure f WHERE f.attachment_id = %1$s AND f.key = ANY (keys));
    FOR start IN 1..coalesce(cardinality(keys), 0) BY 2000 LOOP
        here := keys[start:start + 1999];
        IF NOT deep THEN
            %6$s
            GET DIAGNOSTICS changed = ROW_COUNT;
        ELSE
            -- One look into the index for each key, however few rows there were when this was planned first.
            IF EXISTS (SELECT 1 FROM unnest(here) k CROSS JOIN LATERAL (SELECT 1 FROM imgsearch.image i WHERE i.attachment_id = %1$s AND %2$s LIMIT 1) i) THEN
                %3$s
                DELETE FROM imgsearch.image i WHERE i.image_id = ANY (gone);
                -- Twice, by way of positions that nobody has: two pictures may change places.
                UPDATE imgsearch.image i SET position = -2000000000 + m.n FROM unnest(moved) WITH ORDINALITY m (image_id, n) WHERE i.image_id = m.image_id;
                DELETE FROM imgsearch.image i USING unnest(moved, to_product, to_position) m (image_id, product_id, position), imgsearch.image o
                WHERE o.image_id = m.image_id AND i.tenant_id = o.tenant_id AND i.product_id = m.product_id AND i.position = m.position;
                UPDATE imgsearch.image i SET product_id = m.product_id, position = m.position
                FROM unnest(moved, to_product, to_position) m (image_id, product_id, position) WHERE i.image_id = m.image_id;
                done := done + coalesce(cardinality(gone), 0) + coalesce(cardinality(moved), 0);
            END IF;
            %4$s
            GET DIAGNOSTICS changed = ROW_COUNT;
        END IF;
        done := done + changed;
        %5$s
    END LOOP;
    IF deep THEN
        DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = %1$s AND f.key = ANY (keys);
    END IF;
    RETURN done;
END $body$ $f$,
        at.attachment_id, imgsearch_internal.attached_held(at), imgsearch_internal.attached_moves(at), imgsearch_internal.attached_copy(at),
        imgsearch_internal.attached_words(at), imgsearch_internal.attached_filters(at), imgsearch_internal.reader_of(at))
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_write_function(imgsearch.attachment) IS 'The text of the function that brings some keys of an attachment in step.';
