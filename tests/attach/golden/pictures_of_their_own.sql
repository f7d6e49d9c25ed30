SELECT s.key,
    s.owner,
    s.tenant_id,
    s.product_id,
    p.place AS "position",
    s.category,
    s.price,
    s.in_stock,
    s.attributes,
        CASE
            WHEN (s.tenant_id <> ''::text) THEN imgsearch_internal.address(p.value, NULL::text)
            ELSE NULL::text
        END AS uri
   FROM (( SELECT product.id AS key,
            NULL::text AS owner,
            'default'::text AS tenant_id,
            ('p:'::text || (product.id)::text) AS product_id,
            NULL::text AS category,
                CASE
                    WHEN ((((product.price * 1.2))::double precision >= (0)::double precision) AND (((product.price * 1.2))::double precision < 'Infinity'::double precision)) THEN ((product.price * 1.2))::double precision
                    ELSE NULL::double precision
                END AS price,
            COALESCE(true, false) AS in_stock,
            jsonb_strip_nulls(jsonb_build_object('brand', product.brand)) AS attributes
           FROM shop.product) s
     LEFT JOIN ( SELECT photo.product_id AS of,
            photo.id AS place,
            photo.file AS picture_0
           FROM shop.photo) p(of, place, value) ON ((p.of = s.key)));

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_1()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
BEGIN
    CASE TG_ARGV[0]
    WHEN 'followed' THEN
        IF current_setting('imgsearch.attached_1', true) = 'on' THEN
            UPDATE imgsearch.image i SET category = v.category, price = v.price, in_stock = v.in_stock, attributes = v.attributes
            FROM imgsearch_internal.attached_1 v
            WHERE v.key IN (SELECT id FROM added) AND v.uri IS NOT NULL AND i.tenant_id = v.tenant_id AND i.product_id = v.product_id AND i.position = v.position
              AND (i.category, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (v.category, v.price, v.in_stock, v.attributes);
        END IF;
    WHEN 'moved' THEN
        DELETE FROM imgsearch.image i USING (SELECT id AS key, NULL::text AS owner, ('default')::text AS tenant_id FROM (SELECT OLD.*) r) o
        WHERE i.attachment_id = 1 AND i.tenant_id = o.tenant_id AND i.product_id = 'p:' || o.key::text AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.attached_1 v WHERE v.key = o.key AND v.tenant_id = i.tenant_id AND v.position = i.position AND v.uri IS NOT NULL);
        INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)
        SELECT 1, v.tenant_id, v.product_id, v.position, v.category, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM imgsearch_internal.attached_1 v WHERE v.uri IS NOT NULL AND v.key = NEW.id
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END
        WHERE (i.attachment_id, i.category, i.price, i.in_stock, i.attributes, i.uri)
            IS DISTINCT FROM (EXCLUDED.attachment_id, EXCLUDED.category, EXCLUDED.price, EXCLUDED.in_stock, EXCLUDED.attributes, EXCLUDED.uri);
    WHEN 'added' THEN
        INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)
        SELECT 1, v.tenant_id, v.product_id, v.position, v.category, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM imgsearch_internal.attached_1 v WHERE v.uri IS NOT NULL AND v.key IN (SELECT id FROM added)
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END
        WHERE (i.attachment_id, i.category, i.price, i.in_stock, i.attributes, i.uri)
            IS DISTINCT FROM (EXCLUDED.attachment_id, EXCLUDED.category, EXCLUDED.price, EXCLUDED.in_stock, EXCLUDED.attributes, EXCLUDED.uri);
    WHEN 'removed' THEN
        DELETE FROM imgsearch.image i USING (SELECT id AS key, NULL::text AS owner, ('default')::text AS tenant_id FROM removed) o
        WHERE i.attachment_id = 1 AND i.tenant_id = o.tenant_id AND i.product_id = 'p:' || o.key::text AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.attached_1 v WHERE v.key = o.key AND v.tenant_id = i.tenant_id AND v.position = i.position AND v.uri IS NOT NULL);
    WHEN 'emptied' THEN
        DELETE FROM imgsearch.image i WHERE i.attachment_id = 1;
    WHEN 'pictured' THEN
        PERFORM FROM shop.product WHERE id IN (SELECT product_id FROM added) ORDER BY id FOR NO KEY UPDATE;
        INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)
        SELECT 1, v.tenant_id, v.product_id, v.position, v.category, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM imgsearch_internal.attached_1 v WHERE v.uri IS NOT NULL AND v.key IN (SELECT product_id FROM added)
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END
        WHERE (i.attachment_id, i.category, i.price, i.in_stock, i.attributes, i.uri)
            IS DISTINCT FROM (EXCLUDED.attachment_id, EXCLUDED.category, EXCLUDED.price, EXCLUDED.in_stock, EXCLUDED.attributes, EXCLUDED.uri);
    WHEN 'unpictured' THEN
        PERFORM FROM shop.product WHERE id IN (SELECT product_id FROM removed) ORDER BY id FOR NO KEY UPDATE;
        DELETE FROM imgsearch.image i USING (SELECT DISTINCT v.key, v.owner, v.tenant_id, v.product_id FROM imgsearch_internal.attached_1 v WHERE v.key IN (SELECT product_id FROM removed)) o
        WHERE i.attachment_id = 1 AND i.tenant_id = o.tenant_id AND i.product_id = o.product_id AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.attached_1 v WHERE v.key = o.key AND v.tenant_id = i.tenant_id AND v.position = i.position AND v.uri IS NOT NULL);
    END CASE;
    RETURN NULL;
END $function$

-- Trigger: keeps imgsearch.image in step with shop.product.

CREATE TRIGGER imgsearch_added AFTER INSERT ON shop.product REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('added');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_changed AFTER UPDATE ON shop.product FOR EACH ROW WHEN ((((old.price IS DISTINCT FROM new.price) OR (old.brand IS DISTINCT FROM new.brand)) AND (NOT (old.id IS DISTINCT FROM new.id)))) EXECUTE FUNCTION imgsearch_internal.attached_changed('1');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_emptied AFTER TRUNCATE ON shop.photo FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('emptied');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_emptied AFTER TRUNCATE ON shop.product FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('emptied');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_followed AFTER UPDATE ON shop.product REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('followed');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_moved AFTER UPDATE ON shop.product FOR EACH ROW WHEN ((old.id IS DISTINCT FROM new.id)) EXECUTE FUNCTION imgsearch_internal.attached_1('moved');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_picture_from AFTER UPDATE ON shop.photo REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('unpictured');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_picture_to AFTER UPDATE ON shop.photo REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('pictured');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_pictured AFTER INSERT ON shop.photo REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('pictured');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_removed AFTER DELETE ON shop.product REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('removed');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_unpictured AFTER DELETE ON shop.photo REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('unpictured');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().
