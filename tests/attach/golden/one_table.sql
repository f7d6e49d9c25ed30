CREATE OR REPLACE FUNCTION imgsearch_internal.attached_1()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
 SET lock_timeout TO '300ms'
AS $function$
#variable_conflict use_column
DECLARE
    told text[];
    deep boolean := true;
BEGIN
    CASE TG_ARGV[0]
    WHEN '' THEN
        NULL;
    WHEN 'added' THEN
        SELECT array_agg(u.k) INTO told FROM (SELECT (id)::text FROM added AS product) u (k) WHERE u.k IS NOT NULL;
    WHEN 'removed' THEN
        SELECT array_agg(u.k) INTO told FROM (SELECT (id)::text FROM removed AS product) u (k) WHERE u.k IS NOT NULL;
    WHEN 'updated' THEN
        IF EXISTS (SELECT id, store, name, category, price, stock, brand, photo FROM added EXCEPT SELECT id, store, name, category, price, stock, brand, photo FROM removed) THEN
            SELECT array_agg(u.k) INTO told FROM (SELECT (id)::text FROM ((SELECT id, store, name, category, price, stock, brand, photo FROM added EXCEPT SELECT id, store, name, category, price, stock, brand, photo FROM removed) UNION ALL (SELECT id, store, name, category, price, stock, brand, photo FROM removed EXCEPT SELECT id, store, name, category, price, stock, brand, photo FROM added)) AS product) u (k) WHERE u.k IS NOT NULL;
            deep := EXISTS (SELECT id, store, photo FROM added EXCEPT SELECT id, store, photo FROM removed);
        END IF;
    WHEN 'emptied' THEN
        DELETE FROM imgsearch.image i WHERE i.attachment_id = 1;
        DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = 1;
    END CASE;
    IF told IS NOT NULL THEN
        PERFORM imgsearch_internal.attached_1_write(told, deep);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    IF told IS NULL AND TG_OP = 'UPDATE' THEN  -- perhaps a column has another name now, and the keys have not
        BEGIN
            deep := true;
            CASE TG_ARGV[0]
            WHEN '' THEN NULL;
            WHEN 'updated' THEN
                SELECT array_agg(u.k) INTO told FROM (SELECT (id)::text FROM added AS product UNION SELECT (id)::text FROM removed AS product) u (k) WHERE u.k IS NOT NULL;
            ELSE NULL;
            END CASE;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END IF;
    PERFORM imgsearch_internal.keep_failure(1, told, deep, SQLSTATE, SQLERRM);
    RETURN NULL;
END $function$
;
-- Trigger: keeps imgsearch.image in step with shop.product.

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_1_write(keys text[], deep boolean)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
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
    IF imgsearch_internal.reader_of(a) IS DISTINCT FROM NULL::name FROM imgsearch.attachment a WHERE a.attachment_id = 1 THEN
        RAISE EXCEPTION 'imgsearch: it has another owner now' USING ERRCODE = 'undefined_table';  -- written anew, and tried again
    END IF;
    deep := deep OR EXISTS (SELECT 1 FROM imgsearch.attachment_failure f WHERE f.attachment_id = 1 AND f.key = ANY (keys));
    FOR start IN 1..coalesce(cardinality(keys), 0) BY 2000 LOOP
        here := keys[start:start + 1999];
        IF NOT deep THEN
            UPDATE imgsearch.image i SET category = s.one_category, categories = s.all_categories, price = s.real_price, in_stock = s.stocked, attributes = s.attributes
        FROM (SELECT r.*, (r.key_1)::text AS key, CASE WHEN length(r.tenant_id) > 200 THEN imgsearch_internal.refuse_long('tenant', r.tenant_id) ELSE r.tenant_id END AS whose,
            CASE WHEN length(k.product_id) > 200 THEN imgsearch_internal.refuse_long('key', k.product_id) ELSE k.product_id END AS product_id,
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long('category', r.category) ELSE nullif(r.category, '') END AS one_category, NULL::text[] AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked
        FROM (SELECT id AS key_1, normalize((store)::text) AS tenant_id, normalize(((lower(category)))::text) AS category, (price)::numeric AS price, ((stock > 0)) AS in_stock, imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object('brand', brand, 'title', name))) AS attributes, (photo)::text AS picture_1 FROM unnest(here) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize('' || (r.key_1)::text, NFC) AS product_id OFFSET 0) k) s
        WHERE i.tenant_id = s.whose AND i.product_id = s.product_id AND i.attachment_id = 1
          AND (i.category, i.categories, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (s.one_category, s.all_categories, s.real_price, s.stocked, s.attributes);
            GET DIAGNOSTICS changed = ROW_COUNT;
        ELSE
            -- One look into the index for each key, however few rows there were when this was planned first.
            IF EXISTS (SELECT 1 FROM unnest(here) k CROSS JOIN LATERAL (SELECT 1 FROM imgsearch.image i WHERE i.attachment_id = 1 AND i.product_id = normalize('' || k, NFC) LIMIT 1) i) THEN
                
            WITH should AS MATERIALIZED (
                SELECT v.tenant_id, v.product_id, v.position, v.uri FROM (SELECT imgsearch_s.key, imgsearch_s.whose AS tenant_id, imgsearch_s.product_id, p.place::integer AS position, imgsearch_s.one_category AS category, imgsearch_s.all_categories AS categories,
            imgsearch_s.real_price AS price, imgsearch_s.stocked AS in_stock, imgsearch_s.attributes, imgsearch_internal.address(p.value, 'https://cdn.example.com/m') AS uri
        FROM (SELECT r.*, (r.key_1)::text AS key, CASE WHEN length(r.tenant_id) > 200 THEN imgsearch_internal.refuse_long('tenant', r.tenant_id) ELSE r.tenant_id END AS whose,
            CASE WHEN length(k.product_id) > 200 THEN imgsearch_internal.refuse_long('key', k.product_id) ELSE k.product_id END AS product_id,
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long('category', r.category) ELSE nullif(r.category, '') END AS one_category, NULL::text[] AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked
        FROM (SELECT id AS key_1, normalize((store)::text) AS tenant_id, normalize(((lower(category)))::text) AS category, (price)::numeric AS price, ((stock > 0)) AS in_stock, imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object('brand', brand, 'title', name))) AS attributes, (photo)::text AS picture_1 FROM unnest(here) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize('' || (r.key_1)::text, NFC) AS product_id OFFSET 0) k) imgsearch_s CROSS JOIN LATERAL (VALUES (0, imgsearch_s.picture_1)) p (place, value) WHERE p.value <> '' AND imgsearch_s.tenant_id <> '') v
            ), held AS MATERIALIZED (
                SELECT i.* FROM unnest(here) k CROSS JOIN LATERAL (
                    SELECT i.image_id, i.tenant_id, i.product_id, i.position, i.uri FROM imgsearch.image i WHERE i.attachment_id = 1 AND i.product_id = normalize('' || k, NFC) OFFSET 0) i
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
            FROM pair WHERE image_id IS NOT NULL;
                DELETE FROM imgsearch.image i WHERE i.image_id = ANY (gone);
                -- Twice, by way of positions that nobody has: two pictures may change places.
                UPDATE imgsearch.image i SET position = -2000000000 + m.n FROM unnest(moved) WITH ORDINALITY m (image_id, n) WHERE i.image_id = m.image_id;
                DELETE FROM imgsearch.image i USING unnest(moved, to_product, to_position) m (image_id, product_id, position), imgsearch.image o
                WHERE o.image_id = m.image_id AND i.tenant_id = o.tenant_id AND i.product_id = m.product_id AND i.position = m.position;
                UPDATE imgsearch.image i SET product_id = m.product_id, position = m.position
                FROM unnest(moved, to_product, to_position) m (image_id, product_id, position) WHERE i.image_id = m.image_id;
                done := done + coalesce(cardinality(gone), 0) + coalesce(cardinality(moved), 0);
            END IF;
            INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, categories, price, in_stock, attributes, uri, sha256)
        SELECT 1, v.tenant_id, v.product_id, v.position, v.category, v.categories, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM (SELECT imgsearch_s.key, imgsearch_s.whose AS tenant_id, imgsearch_s.product_id, p.place::integer AS position, imgsearch_s.one_category AS category, imgsearch_s.all_categories AS categories,
            imgsearch_s.real_price AS price, imgsearch_s.stocked AS in_stock, imgsearch_s.attributes, imgsearch_internal.address(p.value, 'https://cdn.example.com/m') AS uri
        FROM (SELECT r.*, (r.key_1)::text AS key, CASE WHEN length(r.tenant_id) > 200 THEN imgsearch_internal.refuse_long('tenant', r.tenant_id) ELSE r.tenant_id END AS whose,
            CASE WHEN length(k.product_id) > 200 THEN imgsearch_internal.refuse_long('key', k.product_id) ELSE k.product_id END AS product_id,
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long('category', r.category) ELSE nullif(r.category, '') END AS one_category, NULL::text[] AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked
        FROM (SELECT id AS key_1, normalize((store)::text) AS tenant_id, normalize(((lower(category)))::text) AS category, (price)::numeric AS price, ((stock > 0)) AS in_stock, imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object('brand', brand, 'title', name))) AS attributes, (photo)::text AS picture_1 FROM unnest(here) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize('' || (r.key_1)::text, NFC) AS product_id OFFSET 0) k) imgsearch_s CROSS JOIN LATERAL (VALUES (0, imgsearch_s.picture_1)) p (place, value) WHERE p.value <> '' AND imgsearch_s.tenant_id <> '') v LEFT JOIN imgsearch.image h ON h.tenant_id = v.tenant_id AND h.product_id = v.product_id AND h.position = v.position
        WHERE h.image_id IS NULL OR (h.attachment_id, h.category, h.categories, h.price, h.in_stock, h.attributes, h.uri)
            IS DISTINCT FROM (1, v.category, v.categories, v.price, v.in_stock, v.attributes, v.uri)
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, categories = EXCLUDED.categories, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END;
            GET DIAGNOSTICS changed = ROW_COUNT;
        END IF;
        done := done + changed;
        
    END LOOP;
    IF deep THEN
        DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = 1 AND f.key = ANY (keys);
    END IF;
    RETURN done;
END $function$
;
-- Brings some keys of shop.product in step.

CREATE TRIGGER imgsearch_1_added AFTER INSERT ON shop.product REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('added');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_emptied AFTER TRUNCATE ON shop.product FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('emptied');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_removed AFTER DELETE ON shop.product REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('removed');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_updated AFTER UPDATE ON shop.product REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('updated');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().
