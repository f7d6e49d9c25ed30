-- What keeps the queue true: trigger functions on image (those that name the spaces stand in generated.sql), and giving
-- pictures another chance.

-- With a picture goes what can be found by it: that its tenant, or somebody above tenants, once asked these bytes; and
-- with the last picture of a product its words.
CREATE OR REPLACE FUNCTION imgsearch_internal.image_removed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Looked up one by one in the key, with its regions: as a join each would be compared with all questions of its tenant.
    DELETE FROM imgsearch.query_vector q
    USING (SELECT k.* FROM (SELECT DISTINCT t.tenant_id, r.sha256 FROM removed r, unnest(ARRAY[r.tenant_id, '']) t (tenant_id) WHERE r.sha256 IS NOT NULL) x,
           LATERAL (SELECT v.tenant_id, v.kind, v.key, v.space_id FROM imgsearch.query_vector v
                    WHERE v.tenant_id = x.tenant_id AND v.kind = 'picture' AND v.key >= x.sha256 AND v.key < x.sha256 || '\x80'::bytea OFFSET 0) k) y
    WHERE q.tenant_id = y.tenant_id AND q.kind = y.kind AND q.key = y.key AND q.space_id = y.space_id;
    DELETE FROM imgsearch.product p USING (SELECT DISTINCT r.tenant_id, r.product_id FROM removed r) x
    WHERE p.tenant_id = x.tenant_id AND p.product_id = x.product_id
      AND NOT EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = x.tenant_id AND i.product_id = x.product_id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.image_removed() IS 'Trigger: with a picture goes a question that is the very picture, with the last one of a product its words.';

CREATE OR REPLACE FUNCTION imgsearch_internal.image_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'imgsearch: the tenant of a picture never changes'
        USING HINT = 'Delete the picture and add it for the other tenant.', ERRCODE = 'IM009';
END $$;
COMMENT ON FUNCTION imgsearch_internal.image_moved() IS 'Trigger: refuses to move a picture to another tenant.';

-- The unique index compares row by row, and one that could wait to the end of the statement would serve no ON CONFLICT.
-- So a picture whose new place another one still has waits below all places until each of the statement has moved.
CREATE OR REPLACE FUNCTION imgsearch_internal.image_exchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_WHEN = 'AFTER' THEN
        UPDATE imgsearch.image i SET position = NEW.position + 1900000000
        WHERE i.tenant_id = NEW.tenant_id AND i.image_id = NEW.image_id AND i.position = NEW.position;
    ELSIF EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = NEW.tenant_id AND i.product_id = NEW.product_id
                  AND i.position = NEW.position AND i.image_id <> NEW.image_id) THEN
        NEW.position := NEW.position - 1900000000;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgsearch_internal.image_exchanged() IS 'Trigger: pictures of a product exchange their places in one statement.';

CREATE OR REPLACE FUNCTION imgsearch_internal.keeps_vectors(held bytea, uri text, sha256 bytea) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT held IS NOT NULL AND coalesce(CASE WHEN uri ~* '^(https?|file):' THEN coalesce(sha256 = held, true)
        ELSE sha256 = held AND imgsearch_internal.digest_in(uri) = held END, false)
$$;
COMMENT ON FUNCTION imgsearch_internal.keeps_vectors(bytea, text, bytea) IS 'Whether a picture that is written with another address or digest may still be the bytes that it was.';

CREATE OR REPLACE FUNCTION imgsearch_internal.is_named_alike(held text, uri text) RETURNS boolean LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT held <> uri AND split_part(uri, '#', 2) <> '' AND split_part(uri, '#', 2) = split_part(held, '#', 2)
        AND split_part(split_part(uri, '#', 1), '?', 1) = split_part(split_part(held, '#', 1), '?', 1)
$$;
COMMENT ON FUNCTION imgsearch_internal.is_named_alike(text, text) IS 'Whether two addresses differ in what signs them only: they end in the same #version. SELECT imgsearch_internal.is_named_alike(''https://h/a.jpg?sig=1#v1'', ''https://h/a.jpg?sig=2#v1'');';

CREATE OR REPLACE FUNCTION imgsearch.requeue(tenant text DEFAULT NULL, error_code text DEFAULT NULL, image_id bigint DEFAULT NULL, space text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
    parts   bigint;
    wanted  integer := CASE WHEN space IS NOT NULL THEN imgsearch_internal.space_of(space) END;
BEGIN
    tenant := normalize(tenant, NFC);
    UPDATE imgsearch.job j
    SET state = 'pending', due = now(), lease = NULL, token = NULL, attempts = 0, error_code = NULL, error = NULL
    WHERE j.state = 'failed'
      AND (requeue.tenant IS NULL OR j.tenant_id = requeue.tenant)
      AND (requeue.error_code IS NULL OR j.error_code = requeue.error_code)
      AND (requeue.image_id IS NULL OR j.image_id = requeue.image_id)
      AND (wanted IS NULL OR j.space_id = wanted);
    GET DIAGNOSTICS changed = ROW_COUNT;
    UPDATE imgsearch.region_state r SET due = now(), attempts = 0
    WHERE r.boxes IS NULL AND r.due IS NULL
      AND (requeue.tenant IS NULL OR r.tenant_id = requeue.tenant)
      AND (requeue.error_code IS NULL OR 'parts_' || r.error_code = requeue.error_code)
      AND (requeue.image_id IS NULL OR r.image_id = requeue.image_id)
      AND (wanted IS NULL OR r.space_id = wanted);
    GET DIAGNOSTICS parts = ROW_COUNT;
    changed := changed + parts;
    PERFORM pg_notify('imgsearch_image', '');
    RETURN changed;
END $$;
COMMENT ON FUNCTION imgsearch.requeue(text, text, bigint, text) IS 'Gives failed pictures another chance; returns how many. SELECT imgsearch.requeue(error_code => ''missing'');';

CREATE OR REPLACE FUNCTION imgsearch.refetch(tenant text DEFAULT NULL, product_id text DEFAULT NULL, image_id bigint DEFAULT NULL, error_code text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    tenant := normalize(tenant, NFC);
    product_id := normalize(product_id, NFC);
    -- The trigger puts the digest back and has a worker read the address anew: the vector answers until bytes are others.
    UPDATE imgsearch.image i SET sha256 = NULL
    WHERE i.uri ~* '^(https?|file):' AND i.sha256 IS NOT NULL
      AND (refetch.tenant IS NULL OR i.tenant_id = refetch.tenant)
      AND (refetch.product_id IS NULL OR i.product_id = refetch.product_id)
      AND (refetch.image_id IS NULL OR i.image_id = refetch.image_id)
      AND (refetch.error_code IS NULL OR EXISTS (SELECT 1 FROM imgsearch.job j
           WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id AND j.state = 'failed' AND j.error_code = refetch.error_code));
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $$;
COMMENT ON FUNCTION imgsearch.refetch(text, text, bigint, text) IS 'Has pictures of addresses (http, https, file) read again, and embedded anew where their bytes are others; returns how many. error_code: those that failed with it, changed: whose address answers other bytes by now. SELECT imgsearch.refetch(product_id => ''sku-1'');';
