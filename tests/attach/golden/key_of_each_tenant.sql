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
   FROM (( SELECT part.sku AS key,
            part.store AS owner,
            part.store AS tenant_id,
            (''::text || part.sku) AS product_id,
            part.kind AS category,
                CASE
                    WHEN ((NULL::double precision >= (0)::double precision) AND (NULL::double precision < 'Infinity'::double precision)) THEN NULL::double precision
                    ELSE NULL::double precision
                END AS price,
            COALESCE(true, false) AS in_stock,
            jsonb_strip_nulls(jsonb_build_object()) AS attributes,
            part.front AS picture_0,
            part.back AS picture_1
           FROM shop.part) s
     CROSS JOIN LATERAL ( VALUES (0,s.picture_0), (1,s.picture_1)) p(place, value));

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
            WHERE (v.key, v.owner) IN (SELECT sku, store FROM added) AND v.uri IS NOT NULL AND i.tenant_id = v.tenant_id AND i.product_id = v.product_id AND i.position = v.position
              AND (i.category, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (v.category, v.price, v.in_stock, v.attributes);
        END IF;
    WHEN 'moved' THEN
        DELETE FROM imgsearch.image i USING (SELECT sku AS key, store AS owner, (store)::text AS tenant_id FROM (SELECT OLD.*) r) o
        WHERE i.attachment_id = 1 AND i.tenant_id = o.tenant_id AND i.product_id = '' || o.key::text AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.attached_1 v WHERE v.key = o.key AND v.owner = o.owner AND v.tenant_id = i.tenant_id AND v.position = i.position AND v.uri IS NOT NULL);
        INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)
        SELECT 1, v.tenant_id, v.product_id, v.position, v.category, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM imgsearch_internal.attached_1 v WHERE v.uri IS NOT NULL AND v.key = NEW.sku AND v.owner = NEW.store
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END
        WHERE (i.attachment_id, i.category, i.price, i.in_stock, i.attributes, i.uri)
            IS DISTINCT FROM (EXCLUDED.attachment_id, EXCLUDED.category, EXCLUDED.price, EXCLUDED.in_stock, EXCLUDED.attributes, EXCLUDED.uri);
    WHEN 'added' THEN
        INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)
        SELECT 1, v.tenant_id, v.product_id, v.position, v.category, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM imgsearch_internal.attached_1 v WHERE v.uri IS NOT NULL AND (v.key, v.owner) IN (SELECT sku, store FROM added)
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END
        WHERE (i.attachment_id, i.category, i.price, i.in_stock, i.attributes, i.uri)
            IS DISTINCT FROM (EXCLUDED.attachment_id, EXCLUDED.category, EXCLUDED.price, EXCLUDED.in_stock, EXCLUDED.attributes, EXCLUDED.uri);
    WHEN 'removed' THEN
        DELETE FROM imgsearch.image i USING (SELECT sku AS key, store AS owner, (store)::text AS tenant_id FROM removed) o
        WHERE i.attachment_id = 1 AND i.tenant_id = o.tenant_id AND i.product_id = '' || o.key::text AND NOT EXISTS (SELECT 1 FROM imgsearch_internal.attached_1 v WHERE v.key = o.key AND v.owner = o.owner AND v.tenant_id = i.tenant_id AND v.position = i.position AND v.uri IS NOT NULL);
    WHEN 'emptied' THEN
        DELETE FROM imgsearch.image i WHERE i.attachment_id = 1;
    END CASE;
    RETURN NULL;
END $function$

-- Trigger: keeps imgsearch.image in step with shop.part.

CREATE TRIGGER imgsearch_added AFTER INSERT ON shop.part REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('added');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_emptied AFTER TRUNCATE ON shop.part FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('emptied');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_removed AFTER DELETE ON shop.part REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('removed');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_updated_from AFTER UPDATE ON shop.part REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('removed');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().

CREATE TRIGGER imgsearch_updated_to AFTER UPDATE ON shop.part REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_1('added');
-- Keeps imgsearch.image in step; made by imgsearch.attach(), removed by imgsearch.detach().
