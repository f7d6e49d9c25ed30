-- Attached tables afterwards: copying what was there before, finding what went out of step, and bringing it back.

CREATE OR REPLACE FUNCTION imgsearch_internal.attached(relation text) RETURNS imgsearch.attachment LANGUAGE plpgsql STABLE AS $$
DECLARE
    at imgsearch.attachment;
BEGIN
    SELECT a.* INTO at FROM imgsearch.attachment a WHERE a.relation = to_regclass(attached.relation) AND a.attached_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'imgsearch: % is not attached', relation USING HINT = 'SELECT relation FROM imgsearch.attachments;', ERRCODE = 'IM010';
    END IF;
    RETURN at;
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached(text) IS 'The attachment of a table, or an error that says where to look.';

-- Out of step a table gets only where triggers did not run: session_replication_role = replica, DISABLE TRIGGER, rows
-- written straight to a partition, or a mapping over something that is not in the row.
CREATE OR REPLACE FUNCTION imgsearch.drift(relation text) RETURNS TABLE (problem text, tenant_id text, product_id text, "position" integer) LANGUAGE plpgsql STABLE AS $$
DECLARE
    at imgsearch.attachment := imgsearch_internal.attached(relation);
BEGIN
    RETURN QUERY EXECUTE format('
        SELECT CASE WHEN i.image_id IS NULL THEN ''missing'' WHEN v.product_id IS NULL THEN ''extra'' ELSE ''stale'' END, tenant_id, product_id, position
        FROM (SELECT * FROM imgsearch_internal.attached_%1$s WHERE uri IS NOT NULL) v
        FULL JOIN (SELECT * FROM imgsearch.image WHERE attachment_id = %1$s) i USING (tenant_id, product_id, position)%2$s
        WHERE (v.category, v.price, v.in_stock, v.attributes, v.uri) IS DISTINCT FROM (i.category, i.price, i.in_stock, i.attributes, i.uri)
           OR v.product_id IS NULL OR i.image_id IS NULL%3$s', at.attachment_id,
        CASE WHEN imgsearch_internal.has_attached_words(at) THEN ' LEFT JOIN imgsearch.product p USING (tenant_id, product_id)' ELSE '' END,
        CASE WHEN imgsearch_internal.has_attached_words(at) THEN ' OR (v.title, v.words, v.codes) IS DISTINCT FROM (p.title, p.words, coalesce(p.codes, ''{}''))' ELSE '' END);
END $$;
COMMENT ON FUNCTION imgsearch.drift(text) IS 'Where imgsearch.image is not what an attached table says. SELECT * FROM imgsearch.drift(''shop.product''); SELECT imgsearch.repair(''shop.product'') mends it.';

CREATE OR REPLACE FUNCTION imgsearch.repair(relation text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    at   imgsearch.attachment := imgsearch_internal.attached(relation);
    keys text[];
    gone bigint;
    done bigint;
BEGIN
    EXECUTE format('DELETE FROM imgsearch.image i WHERE i.attachment_id = %1$s AND NOT EXISTS (
            SELECT 1 FROM imgsearch_internal.attached_%1$s v WHERE v.uri IS NOT NULL AND v.tenant_id = i.tenant_id AND v.product_id = i.product_id AND v.position = i.position)', at.attachment_id);
    GET DIAGNOSTICS gone = ROW_COUNT;
    EXECUTE format('SELECT array_agg(DISTINCT v.key::text) FROM imgsearch_internal.attached_%1$s v JOIN imgsearch.drift($1) d USING (tenant_id, product_id, position)', at.attachment_id) INTO keys USING relation;
    IF keys IS NOT NULL THEN
        -- Locked, then read again: a change that is under way is waited for and seen.
        EXECUTE format('SELECT 1 FROM %s WHERE %I = ANY ($1::%s[]) ORDER BY %2$I FOR SHARE', at.relation, at.key_column, at.key_type) USING keys;
        EXECUTE imgsearch_internal.attached_copy(at, format('v.key = ANY ($1::%s[])', at.key_type)) USING keys;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF imgsearch_internal.has_attached_words(at) THEN
            EXECUTE imgsearch_internal.attached_words(at, format('v.key = ANY ($1::%s[])', at.key_type)) USING keys;
        END IF;
    END IF;
    UPDATE imgsearch.attachment a SET backfilled_at = now() WHERE a.attachment_id = at.attachment_id AND a.backfilled_at IS NULL;
    RETURN gone + CASE WHEN keys IS NULL THEN 0 ELSE done END;
END $$;
COMMENT ON FUNCTION imgsearch.repair(text) IS 'Brings imgsearch.image in step with an attached table, in one transaction; returns how many pictures it wrote. SELECT imgsearch.repair(''shop.product'');';

CREATE OR REPLACE FUNCTION imgsearch_internal.backfill_step(relation text, size integer DEFAULT 2000, OUT copied bigint, OUT finished boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    at    imgsearch.attachment := imgsearch_internal.attached(relation);
    until text;
    after text;
    these text;
BEGIN
    SELECT a.* INTO at FROM imgsearch.attachment a WHERE a.attachment_id = at.attachment_id FOR UPDATE;
    after := CASE WHEN at.backfilled_to IS NULL THEN 'true' ELSE format('%I > $1::%s', at.key_column, at.key_type) END;
    EXECUTE format('SELECT (array_agg(x.key ORDER BY x.key DESC))[1]::text, count(*) FROM (SELECT %1$I AS key FROM %2$s WHERE %3$s ORDER BY %1$I LIMIT $2) x',
                   at.key_column, at.relation, after) INTO until, copied USING at.backfilled_to, size;
    finished := until IS NULL;
    IF finished THEN
        UPDATE imgsearch.attachment a SET backfilled_at = now() WHERE a.attachment_id = at.attachment_id AND a.backfilled_at IS NULL;
        RETURN;
    END IF;
    -- Locked, then read: a change that is under way is waited for and seen, one that comes later finds the picture.
    EXECUTE format('SELECT 1 FROM %1$s WHERE %2$s AND %3$I <= $2::%4$s ORDER BY %3$I FOR SHARE', at.relation, after, at.key_column, at.key_type) USING at.backfilled_to, until;
    these := format('%s AND v.key <= $2::%s', CASE WHEN at.backfilled_to IS NULL THEN 'true' ELSE format('v.key > $1::%s', at.key_type) END, at.key_type);
    EXECUTE imgsearch_internal.attached_copy(at, these) USING at.backfilled_to, until;
    IF imgsearch_internal.has_attached_words(at) THEN
        EXECUTE imgsearch_internal.attached_words(at, these) USING at.backfilled_to, until;
    END IF;
    UPDATE imgsearch.attachment a SET backfilled_to = until WHERE a.attachment_id = at.attachment_id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.backfill_step(text, integer) IS 'Copies the next rows that a table had before it was attached; returns how many, and whether none were left.';

CREATE OR REPLACE PROCEDURE imgsearch.backfill(relation text, size integer DEFAULT 2000) LANGUAGE plpgsql AS $$
DECLARE
    step  record;
    total bigint := 0;
BEGIN
    LOOP
        SELECT * INTO step FROM imgsearch_internal.backfill_step(relation, size);
        COMMIT;
        EXIT WHEN step.finished;
        IF total / 100000 < (total + step.copied) / 100000 THEN
            RAISE NOTICE 'imgsearch: % rows of % copied', total + step.copied, relation;
        END IF;
        total := total + step.copied;
    END LOOP;
END $$;
COMMENT ON PROCEDURE imgsearch.backfill(text, integer) IS 'Copies the rows a table had before it was attached, in small transactions; interrupted, it goes on where it was. CALL imgsearch.backfill(''shop.product''); needs autocommit.';

CREATE OR REPLACE FUNCTION imgsearch_internal.drift_of(attachment_id integer) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(d) FROM imgsearch.attachment a CROSS JOIN LATERAL imgsearch.drift(a.relation::text) d
    WHERE a.attachment_id = drift_of.attachment_id AND a.attached_at IS NOT NULL AND to_regclass(a.relation::text) IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.drift_of(integer) IS 'How many pictures of an attachment are out of step.';
