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
        SELECT array_agg(u.k) INTO told FROM (SELECT (id)::text FROM added AS product UNION SELECT (parent)::text FROM added AS product) u (k) WHERE u.k IS NOT NULL;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
    WHEN 'removed' THEN
        SELECT array_agg(u.k) INTO told FROM (SELECT (id)::text FROM removed AS product UNION SELECT (parent)::text FROM removed AS product) u (k) WHERE u.k IS NOT NULL;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
    WHEN 'updated' THEN
        IF EXISTS (SELECT id, name, parent, like_id FROM added EXCEPT SELECT id, name, parent, like_id FROM removed) THEN
            SELECT array_agg(u.k) INTO told FROM (SELECT (id)::text FROM ((SELECT id, name, parent, like_id FROM added EXCEPT SELECT id, name, parent, like_id FROM removed) UNION ALL (SELECT id, name, parent, like_id FROM removed EXCEPT SELECT id, name, parent, like_id FROM added)) AS product UNION SELECT (parent)::text FROM ((SELECT id, name, parent, like_id FROM added EXCEPT SELECT id, name, parent, like_id FROM removed) UNION ALL (SELECT id, name, parent, like_id FROM removed EXCEPT SELECT id, name, parent, like_id FROM added)) AS product) u (k) WHERE u.k IS NOT NULL;
            deep := EXISTS (SELECT id, parent, like_id FROM added EXCEPT SELECT id, parent, like_id FROM removed);
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        END IF;
    WHEN 'emptied' THEN
        DELETE FROM imgsearch.image i WHERE i.attachment_id = 1;
        DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = 1;
    WHEN 'pictured' THEN
        SELECT array_agg(u.k) INTO told FROM (SELECT DISTINCT (product_id)::text FROM added AS photo) u (k) WHERE u.k IS NOT NULL;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
    WHEN 'unpictured' THEN
        SELECT array_agg(u.k) INTO told FROM (SELECT DISTINCT (product_id)::text FROM removed AS photo) u (k) WHERE u.k IS NOT NULL;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
    WHEN 'repictured' THEN
        IF EXISTS (SELECT id, product_id, file, place FROM added EXCEPT SELECT id, product_id, file, place FROM removed) THEN
            SELECT array_agg(u.k) INTO told FROM (SELECT DISTINCT (product_id)::text FROM ((SELECT id, product_id, file, place FROM added EXCEPT SELECT id, product_id, file, place FROM removed) UNION ALL (SELECT id, product_id, file, place FROM removed EXCEPT SELECT id, product_id, file, place FROM added)) AS photo) u (k) WHERE u.k IS NOT NULL;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        END IF;
    WHEN 'follows_1_insert' THEN
        SELECT array_agg(u.k) INTO told FROM (
            WITH changed AS (SELECT id, n FROM added) SELECT DISTINCT (x.key_1)::text FROM ( SELECT key_1
   FROM ( SELECT kind.id
           FROM changed kind) x(key_1)) x (key_1)) u (k) WHERE u.k IS NOT NULL;
        IF told IS NOT NULL THEN
            deep := false;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        END IF;
    WHEN 'follows_1_update' THEN
        SELECT array_agg(u.k) INTO told FROM (
            WITH changed AS (SELECT * FROM ((SELECT id, n FROM added EXCEPT SELECT id, n FROM removed) UNION ALL (SELECT id, n FROM removed EXCEPT SELECT id, n FROM added)) d) SELECT DISTINCT (x.key_1)::text FROM ( SELECT key_1
   FROM ( SELECT kind.id
           FROM changed kind) x(key_1)) x (key_1)) u (k) WHERE u.k IS NOT NULL;
        IF told IS NOT NULL THEN
            deep := false;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        END IF;
    WHEN 'follows_1_delete' THEN
        SELECT array_agg(u.k) INTO told FROM (
            WITH changed AS (SELECT id, n FROM removed) SELECT DISTINCT (x.key_1)::text FROM ( SELECT key_1
   FROM ( SELECT kind.id
           FROM changed kind) x(key_1)) x (key_1)) u (k) WHERE u.k IS NOT NULL;
        IF told IS NOT NULL THEN
            deep := false;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        END IF;
    WHEN 'follows_1_truncate' THEN
        SELECT array_agg((id)::text) INTO told FROM shop.product AS product;
        IF told IS NOT NULL THEN
            deep := false;
        told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        told := ARRAY(SELECT unnest(told) UNION SELECT (id)::text FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON like_id = (imgsearch_wanted.imgsearch_key)::integer);
        PERFORM 1 FROM unnest(told) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF product; told := ARRAY(WITH RECURSIVE imgsearch_up (imgsearch_k) AS (SELECT w.k FROM unnest(told) w (k) UNION SELECT (parent)::text FROM imgsearch_up JOIN shop.product AS product ON product.id = (imgsearch_up.imgsearch_k)::integer WHERE (parent) IS NOT NULL) SELECT imgsearch_k FROM imgsearch_up);
        END IF;
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
            WHEN 'repictured' THEN
                SELECT array_agg(u.k) INTO told FROM (SELECT (product_id)::text FROM added AS photo UNION SELECT (product_id)::text FROM removed AS photo) u (k) WHERE u.k IS NOT NULL;
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
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long('category', r.category) ELSE nullif(r.category, '') END AS one_category, imgsearch_internal.categories_of(r.categories) AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked, nullif(btrim(left(r.title, 1000)), '') AS cut_title, nullif(btrim(left(r.words, 10000)), '') AS cut_words,
            ARRAY(SELECT c FROM unnest(r.codes) c WHERE length(btrim(c)) BETWEEN 1 AND 100 LIMIT 100) AS cut_codes
        FROM (SELECT id AS key_1, 'default'::text AS tenant_id, NULL::text AS category, ((ARRAY( SELECT kind.n
           FROM shop.kind
          WHERE (kind.id = product.id))))::text[] AS categories, NULL::numeric AS price, true AS in_stock, imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object())) AS attributes, normalize((name)::text) AS title, normalize(NULL::text) AS words, imgsearch_internal.composed(NULL::text[]) AS codes, like_id AS fallback_1 FROM unnest(here) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer WHERE (parent) IS NULL OR parent = id OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize('' || (r.key_1)::text, NFC) AS product_id OFFSET 0) k) s
        WHERE i.tenant_id = s.whose AND i.product_id = s.product_id AND i.attachment_id = 1
          AND (i.category, i.categories, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (s.one_category, s.all_categories, s.real_price, s.stocked, s.attributes);
            GET DIAGNOSTICS changed = ROW_COUNT;
        ELSE
            -- One look into the index for each key, however few rows there were when this was planned first.
            IF EXISTS (SELECT 1 FROM unnest(here) k CROSS JOIN LATERAL (SELECT 1 FROM imgsearch.image i WHERE i.attachment_id = 1 AND i.product_id = normalize('' || k, NFC) LIMIT 1) i) THEN
                
            WITH should AS MATERIALIZED (
                SELECT v.tenant_id, v.product_id, v.position, v.uri FROM (SELECT imgsearch_s.key, imgsearch_s.whose AS tenant_id, imgsearch_s.product_id, p.place::integer AS position, imgsearch_s.one_category AS category, imgsearch_s.all_categories AS categories,
            imgsearch_s.real_price AS price, imgsearch_s.stocked AS in_stock, imgsearch_s.attributes, imgsearch_s.cut_title AS title, imgsearch_s.cut_words AS words, imgsearch_s.cut_codes AS codes, imgsearch_internal.address(p.value, NULL) AS uri
        FROM (SELECT r.*, (r.key_1)::text AS key, CASE WHEN length(r.tenant_id) > 200 THEN imgsearch_internal.refuse_long('tenant', r.tenant_id) ELSE r.tenant_id END AS whose,
            CASE WHEN length(k.product_id) > 200 THEN imgsearch_internal.refuse_long('key', k.product_id) ELSE k.product_id END AS product_id,
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long('category', r.category) ELSE nullif(r.category, '') END AS one_category, imgsearch_internal.categories_of(r.categories) AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked, nullif(btrim(left(r.title, 1000)), '') AS cut_title, nullif(btrim(left(r.words, 10000)), '') AS cut_words,
            ARRAY(SELECT c FROM unnest(r.codes) c WHERE length(btrim(c)) BETWEEN 1 AND 100 LIMIT 100) AS cut_codes
        FROM (SELECT id AS key_1, 'default'::text AS tenant_id, NULL::text AS category, ((ARRAY( SELECT kind.n
           FROM shop.kind
          WHERE (kind.id = product.id))))::text[] AS categories, NULL::numeric AS price, true AS in_stock, imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object())) AS attributes, normalize((name)::text) AS title, normalize(NULL::text) AS words, imgsearch_internal.composed(NULL::text[]) AS codes, like_id AS fallback_1 FROM unnest(here) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer WHERE (parent) IS NULL OR parent = id OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize('' || (r.key_1)::text, NFC) AS product_id OFFSET 0) k) imgsearch_s CROSS JOIN LATERAL (SELECT row_number() OVER (ORDER BY q.own DESC, q.main DESC, q.ordinal NULLS LAST, q.tie_1, q.value) - 1, q.value FROM (SELECT imgsearch_member.imgsearch_id_1 = imgsearch_s.key_1 AS own, coalesce(((place = 1)), false) AS main, place AS ordinal, id AS tie_1, (file)::text AS value FROM (WITH RECURSIVE imgsearch_family AS (SELECT id AS imgsearch_one_1 FROM shop.product AS product WHERE id = imgsearch_s.key_1 UNION SELECT id AS imgsearch_one_1 FROM imgsearch_family JOIN shop.product AS product ON parent = imgsearch_family.imgsearch_one_1)
            SELECT id AS imgsearch_id_1 FROM imgsearch_family JOIN shop.product AS product ON id = imgsearch_family.imgsearch_one_1) imgsearch_member CROSS JOIN shop.photo AS photo WHERE product_id = imgsearch_member.imgsearch_id_1 UNION ALL SELECT * FROM (SELECT imgsearch_member.imgsearch_id_1 = imgsearch_s.fallback_1 AS own, coalesce(((place = 1)), false) AS main, place AS ordinal, id AS tie_1, (file)::text AS value FROM (WITH RECURSIVE imgsearch_family AS (SELECT id AS imgsearch_one_1 FROM shop.product AS product WHERE id = imgsearch_s.fallback_1 UNION SELECT id AS imgsearch_one_1 FROM imgsearch_family JOIN shop.product AS product ON parent = imgsearch_family.imgsearch_one_1)
            SELECT id AS imgsearch_id_1 FROM imgsearch_family JOIN shop.product AS product ON id = imgsearch_family.imgsearch_one_1) imgsearch_member CROSS JOIN shop.photo AS photo WHERE product_id = imgsearch_member.imgsearch_id_1) f WHERE NOT EXISTS (SELECT 1 FROM (SELECT imgsearch_member.imgsearch_id_1 = imgsearch_s.key_1 AS own, coalesce(((place = 1)), false) AS main, place AS ordinal, id AS tie_1, (file)::text AS value FROM (WITH RECURSIVE imgsearch_family AS (SELECT id AS imgsearch_one_1 FROM shop.product AS product WHERE id = imgsearch_s.key_1 UNION SELECT id AS imgsearch_one_1 FROM imgsearch_family JOIN shop.product AS product ON parent = imgsearch_family.imgsearch_one_1)
            SELECT id AS imgsearch_id_1 FROM imgsearch_family JOIN shop.product AS product ON id = imgsearch_family.imgsearch_one_1) imgsearch_member CROSS JOIN shop.photo AS photo WHERE product_id = imgsearch_member.imgsearch_id_1) o WHERE o.value <> '')) q WHERE q.value <> '') p (place, value) WHERE p.value <> '' AND imgsearch_s.tenant_id <> '') v
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
            imgsearch_s.real_price AS price, imgsearch_s.stocked AS in_stock, imgsearch_s.attributes, imgsearch_s.cut_title AS title, imgsearch_s.cut_words AS words, imgsearch_s.cut_codes AS codes, imgsearch_internal.address(p.value, NULL) AS uri
        FROM (SELECT r.*, (r.key_1)::text AS key, CASE WHEN length(r.tenant_id) > 200 THEN imgsearch_internal.refuse_long('tenant', r.tenant_id) ELSE r.tenant_id END AS whose,
            CASE WHEN length(k.product_id) > 200 THEN imgsearch_internal.refuse_long('key', k.product_id) ELSE k.product_id END AS product_id,
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long('category', r.category) ELSE nullif(r.category, '') END AS one_category, imgsearch_internal.categories_of(r.categories) AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked, nullif(btrim(left(r.title, 1000)), '') AS cut_title, nullif(btrim(left(r.words, 10000)), '') AS cut_words,
            ARRAY(SELECT c FROM unnest(r.codes) c WHERE length(btrim(c)) BETWEEN 1 AND 100 LIMIT 100) AS cut_codes
        FROM (SELECT id AS key_1, 'default'::text AS tenant_id, NULL::text AS category, ((ARRAY( SELECT kind.n
           FROM shop.kind
          WHERE (kind.id = product.id))))::text[] AS categories, NULL::numeric AS price, true AS in_stock, imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object())) AS attributes, normalize((name)::text) AS title, normalize(NULL::text) AS words, imgsearch_internal.composed(NULL::text[]) AS codes, like_id AS fallback_1 FROM unnest(here) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer WHERE (parent) IS NULL OR parent = id OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize('' || (r.key_1)::text, NFC) AS product_id OFFSET 0) k) imgsearch_s CROSS JOIN LATERAL (SELECT row_number() OVER (ORDER BY q.own DESC, q.main DESC, q.ordinal NULLS LAST, q.tie_1, q.value) - 1, q.value FROM (SELECT imgsearch_member.imgsearch_id_1 = imgsearch_s.key_1 AS own, coalesce(((place = 1)), false) AS main, place AS ordinal, id AS tie_1, (file)::text AS value FROM (WITH RECURSIVE imgsearch_family AS (SELECT id AS imgsearch_one_1 FROM shop.product AS product WHERE id = imgsearch_s.key_1 UNION SELECT id AS imgsearch_one_1 FROM imgsearch_family JOIN shop.product AS product ON parent = imgsearch_family.imgsearch_one_1)
            SELECT id AS imgsearch_id_1 FROM imgsearch_family JOIN shop.product AS product ON id = imgsearch_family.imgsearch_one_1) imgsearch_member CROSS JOIN shop.photo AS photo WHERE product_id = imgsearch_member.imgsearch_id_1 UNION ALL SELECT * FROM (SELECT imgsearch_member.imgsearch_id_1 = imgsearch_s.fallback_1 AS own, coalesce(((place = 1)), false) AS main, place AS ordinal, id AS tie_1, (file)::text AS value FROM (WITH RECURSIVE imgsearch_family AS (SELECT id AS imgsearch_one_1 FROM shop.product AS product WHERE id = imgsearch_s.fallback_1 UNION SELECT id AS imgsearch_one_1 FROM imgsearch_family JOIN shop.product AS product ON parent = imgsearch_family.imgsearch_one_1)
            SELECT id AS imgsearch_id_1 FROM imgsearch_family JOIN shop.product AS product ON id = imgsearch_family.imgsearch_one_1) imgsearch_member CROSS JOIN shop.photo AS photo WHERE product_id = imgsearch_member.imgsearch_id_1) f WHERE NOT EXISTS (SELECT 1 FROM (SELECT imgsearch_member.imgsearch_id_1 = imgsearch_s.key_1 AS own, coalesce(((place = 1)), false) AS main, place AS ordinal, id AS tie_1, (file)::text AS value FROM (WITH RECURSIVE imgsearch_family AS (SELECT id AS imgsearch_one_1 FROM shop.product AS product WHERE id = imgsearch_s.key_1 UNION SELECT id AS imgsearch_one_1 FROM imgsearch_family JOIN shop.product AS product ON parent = imgsearch_family.imgsearch_one_1)
            SELECT id AS imgsearch_id_1 FROM imgsearch_family JOIN shop.product AS product ON id = imgsearch_family.imgsearch_one_1) imgsearch_member CROSS JOIN shop.photo AS photo WHERE product_id = imgsearch_member.imgsearch_id_1) o WHERE o.value <> '')) q WHERE q.value <> '') p (place, value) WHERE p.value <> '' AND imgsearch_s.tenant_id <> '') v LEFT JOIN imgsearch.image h ON h.tenant_id = v.tenant_id AND h.product_id = v.product_id AND h.position = v.position
        WHERE h.image_id IS NULL OR (h.attachment_id, h.category, h.categories, h.price, h.in_stock, h.attributes, h.uri)
            IS DISTINCT FROM (1, v.category, v.categories, v.price, v.in_stock, v.attributes, v.uri)
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, categories = EXCLUDED.categories, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END;
            GET DIAGNOSTICS changed = ROW_COUNT;
        END IF;
        done := done + changed;
        INSERT INTO imgsearch.product AS p (attachment_id, tenant_id, product_id, title, words, codes)
        SELECT 1, s.whose, s.product_id, s.cut_title, s.cut_words, s.cut_codes
        FROM (SELECT r.*, (r.key_1)::text AS key, CASE WHEN length(r.tenant_id) > 200 THEN imgsearch_internal.refuse_long('tenant', r.tenant_id) ELSE r.tenant_id END AS whose,
            CASE WHEN length(k.product_id) > 200 THEN imgsearch_internal.refuse_long('key', k.product_id) ELSE k.product_id END AS product_id,
            CASE WHEN length(r.category) > 200 THEN imgsearch_internal.refuse_long('category', r.category) ELSE nullif(r.category, '') END AS one_category, imgsearch_internal.categories_of(r.categories) AS all_categories,
            CASE WHEN r.price = 0 THEN 0 WHEN r.price BETWEEN 1e-300 AND 1e300 THEN r.price::double precision END AS real_price, coalesce(r.in_stock, false) AS stocked, nullif(btrim(left(r.title, 1000)), '') AS cut_title, nullif(btrim(left(r.words, 10000)), '') AS cut_words,
            ARRAY(SELECT c FROM unnest(r.codes) c WHERE length(btrim(c)) BETWEEN 1 AND 100 LIMIT 100) AS cut_codes
        FROM (SELECT id AS key_1, 'default'::text AS tenant_id, NULL::text AS category, ((ARRAY( SELECT kind.n
           FROM shop.kind
          WHERE (kind.id = product.id))))::text[] AS categories, NULL::numeric AS price, true AS in_stock, imgsearch_internal.composed(jsonb_strip_nulls(jsonb_build_object())) AS attributes, normalize((name)::text) AS title, normalize(NULL::text) AS words, imgsearch_internal.composed(NULL::text[]) AS codes, like_id AS fallback_1 FROM unnest(here) imgsearch_wanted (imgsearch_key) JOIN shop.product AS product ON product.id = (imgsearch_wanted.imgsearch_key)::integer WHERE (parent) IS NULL OR parent = id OFFSET 0) r
        CROSS JOIN LATERAL (SELECT normalize('' || (r.key_1)::text, NFC) AS product_id OFFSET 0) k) s LEFT JOIN imgsearch.product h ON h.tenant_id = s.whose AND h.product_id = s.product_id
        WHERE s.whose <> '' AND EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = s.whose AND i.product_id = s.product_id)
          AND CASE WHEN h.product_id IS NULL THEN s.cut_title IS NOT NULL OR s.cut_words IS NOT NULL OR s.cut_codes <> '{}'
                   ELSE (h.attachment_id, h.title, h.words, h.codes) IS DISTINCT FROM (1, s.cut_title, s.cut_words, s.cut_codes) END
        ON CONFLICT (tenant_id, product_id) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, title = EXCLUDED.title, words = EXCLUDED.words, codes = EXCLUDED.codes;
        IF moved IS NOT NULL THEN
            DELETE FROM imgsearch.product i USING unnest(here) k WHERE i.attachment_id = 1 AND i.product_id = normalize('' || k, NFC)
              AND NOT EXISTS (SELECT 1 FROM imgsearch.image o WHERE o.tenant_id = i.tenant_id AND o.product_id = i.product_id);
        END IF;
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

CREATE TRIGGER imgsearch_1_follows_1_delete AFTER DELETE ON shop.kind REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('follows_1_delete');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_follows_1_insert AFTER INSERT ON shop.kind REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('follows_1_insert');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_follows_1_truncate AFTER TRUNCATE ON shop.kind FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('follows_1_truncate');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_follows_1_update AFTER UPDATE ON shop.kind REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('follows_1_update');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_pictured AFTER INSERT ON shop.photo REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('pictured');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_pictures_emptied AFTER TRUNCATE ON shop.photo FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('emptied');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_removed AFTER DELETE ON shop.product REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('removed');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_repictured AFTER UPDATE ON shop.photo REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('repictured');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_unpictured AFTER DELETE ON shop.photo REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('unpictured');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_1_updated AFTER UPDATE ON shop.product REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('updated');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().
