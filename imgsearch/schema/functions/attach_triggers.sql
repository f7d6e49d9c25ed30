-- What attach() generates: a trigger function and triggers that copy from the view attached_<n> to image.

-- The trigger function of one attachment. It runs with the rights of the schema's owner, so that whoever may write your
-- table needs no right on ours. It reads your rows only through the view, whose names were resolved once, and the columns
-- that make the key. Its settings: a plan kept from a statement of one row must also suit one of a million.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_function(at imgsearch.attachment) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    n        text := at.attachment_id;
    company  name := at.resolved ->> 'owner';
    tenant   text := coalesce(at.resolved ->> 'tenant', '''default''');
    key      text := quote_ident(at.key_column);
    owner    text := coalesce(quote_ident(company), 'NULL::text');
    stays    text := format('SELECT 1 FROM imgsearch_internal.attached_%s v WHERE v.key = o.key%s AND v.tenant_id = i.tenant_id AND v.position = i.position AND v.uri IS NOT NULL',
                            n, CASE WHEN company IS NOT NULL THEN ' AND v.owner = o.owner' ELSE '' END);
    gone     text := format('DELETE FROM imgsearch.image i USING (SELECT %s AS key, %s AS owner, (%s)::text AS tenant_id FROM ', key, owner, tenant);
    from_it  text := format(') o
        WHERE i.attachment_id = %s AND i.tenant_id = o.tenant_id AND i.product_id = %L || o.key::text AND NOT EXISTS (%s);', n, at.prefix, stays);
    of       text := quote_ident(at.mapping ->> 'picture_of');
    among    text := format(CASE WHEN company IS NULL THEN 'v.key IN (SELECT %s FROM added)' ELSE '(v.key, v.owner) IN (SELECT %s, %s FROM added)' END, key, owner);
    pictured text := '';
BEGIN
    IF at.pictures IS NOT NULL THEN
        -- The product is locked first: else a price that changes at the same moment would not see the new picture, nor the picture the price.
        pictured := format($f$
    WHEN 'pictured' THEN
        PERFORM FROM %1$s WHERE %2$s IN (SELECT %3$s FROM added) ORDER BY %2$s FOR NO KEY UPDATE;
        %4$s
    WHEN 'unpictured' THEN
        PERFORM FROM %1$s WHERE %2$s IN (SELECT %3$s FROM removed) ORDER BY %2$s FOR NO KEY UPDATE;
        DELETE FROM imgsearch.image i USING (SELECT DISTINCT v.key, v.owner, v.tenant_id, v.product_id FROM imgsearch_internal.attached_%5$s v WHERE v.key IN (SELECT %3$s FROM removed)) o
        WHERE i.attachment_id = %5$s AND i.tenant_id = o.tenant_id AND i.product_id = o.product_id AND NOT EXISTS (%6$s);$f$,
            imgsearch_internal.qualified(at.relation), key, of, imgsearch_internal.attached_both(at, format('v.key IN (SELECT %s FROM added)', of)), n, stays);
    END IF;
    RETURN format($f$CREATE OR REPLACE FUNCTION imgsearch_internal.attached_%1$s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off AS $body$
#variable_conflict use_column
BEGIN
    CASE TG_ARGV[0]
    WHEN 'followed' THEN
        IF current_setting('imgsearch.attached_%1$s', true) = 'on' THEN
            UPDATE imgsearch.image i SET category = v.category, price = v.price, in_stock = v.in_stock, attributes = v.attributes
            FROM imgsearch_internal.attached_%1$s v
            WHERE %2$s AND v.uri IS NOT NULL AND i.tenant_id = v.tenant_id AND i.product_id = v.product_id AND i.position = v.position
              AND (i.category, i.price, i.in_stock, i.attributes) IS DISTINCT FROM (v.category, v.price, v.in_stock, v.attributes);%8$s
        END IF;
    WHEN 'moved' THEN
        %3$s
        %4$s
    WHEN 'added' THEN
        %5$s
    WHEN 'removed' THEN
        %6$s
    WHEN 'emptied' THEN
        DELETE FROM imgsearch.image i WHERE i.attachment_id = %1$s;%7$s
    END CASE;
    RETURN NULL;
END $body$ $f$,
        n, among, gone || '(SELECT OLD.*) r' || from_it,
        imgsearch_internal.attached_both(at, imgsearch_internal.attached_row(at)),
        imgsearch_internal.attached_both(at, among),
        gone || 'removed' || from_it, pictured,
        CASE WHEN imgsearch_internal.has_attached_words(at) THEN E'\n            ' || imgsearch_internal.attached_words(at, among) ELSE '' END);
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_function(imgsearch.attachment) IS 'The text of the trigger function of an attachment.';

-- Fires for the rows whose filters changed and leaves a mark for the trigger of the statement, which then changes all
-- their pictures at once: a quarter of the time of a statement per row, and nothing where nothing was marked. The mark
-- stays until the transaction ends: statements may nest.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    mark text;
BEGIN
    mark := set_config('imgsearch.attached_' || TG_ARGV[0], 'on', true);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_changed() IS 'Trigger: a row of an attached table changed in what its pictures are filtered on.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_row(at imgsearch.attachment) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('v.key = NEW.%I', at.key_column) || CASE WHEN at.resolved ->> 'owner' IS NULL THEN '' ELSE format(' AND v.owner = NEW.%I', at.resolved ->> 'owner') END
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_row(imgsearch.attachment) IS 'The condition that finds the view''s rows of the row a trigger fires for.';

-- Adding the same again writes nothing; the same address keeps digest and vector.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_copy(at imgsearch.attachment, condition text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('INSERT INTO imgsearch.image AS i (attachment_id, tenant_id, product_id, position, category, price, in_stock, attributes, uri, sha256)
        SELECT %1$s, v.tenant_id, v.product_id, v.position, v.category, v.price, v.in_stock, v.attributes, v.uri, imgsearch_internal.digest_in(v.uri)
        FROM imgsearch_internal.attached_%1$s v WHERE v.uri IS NOT NULL AND %2$s
        ON CONFLICT (tenant_id, product_id, position) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, category = EXCLUDED.category, price = EXCLUDED.price, in_stock = EXCLUDED.in_stock,
            attributes = EXCLUDED.attributes, uri = EXCLUDED.uri, sha256 = CASE WHEN i.uri = EXCLUDED.uri THEN i.sha256 ELSE EXCLUDED.sha256 END
        WHERE (i.attachment_id, i.category, i.price, i.in_stock, i.attributes, i.uri)
            IS DISTINCT FROM (EXCLUDED.attachment_id, EXCLUDED.category, EXCLUDED.price, EXCLUDED.in_stock, EXCLUDED.attributes, EXCLUDED.uri);', at.attachment_id, condition)
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_copy(imgsearch.attachment, text) IS 'The statement that brings image in step with some rows of the view.';

CREATE OR REPLACE FUNCTION imgsearch_internal.is_unique(relation regclass, columns text[]) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1 FROM pg_index x
        WHERE x.indrelid = relation AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indimmediate
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM unnest((x.indkey::smallint[])[0:x.indnkeyatts - 1]) k
               LEFT JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k) = (SELECT array_agg(c ORDER BY c) FROM unnest(columns) c))
$$;
COMMENT ON FUNCTION imgsearch_internal.is_unique(regclass, text[]) IS 'Whether exactly these columns are a unique key of a table.';

-- Not UPDATE OF: that does not fire where a trigger before it changed the column, and ORMs set every column anyway.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_change(relation regclass, columns jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(format(CASE WHEN t.typname IN ('json', 'xml', 'point', 'box', 'lseg', 'path', 'polygon', 'line', 'circle')
                                  THEN 'OLD.%1$I::text IS DISTINCT FROM NEW.%1$I::text' ELSE 'OLD.%1$I IS DISTINCT FROM NEW.%1$I' END, a.attname), ' OR ' ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = relation AND a.attnum > 0 AND columns ? a.attname::text
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_change(regclass, jsonb) IS 'The condition that one of these columns changed; null where there are none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_triggers(at imgsearch.attachment) RETURNS TABLE (name name, relation regclass, definition text) LANGUAGE sql STABLE AS $$
    WITH told AS (
        SELECT c.relkind = 'p' AS in_parts, imgsearch_internal.attached_change(at.relation, at.resolved -> 'moved') AS changed,
               imgsearch_internal.attached_change(at.relation, at.resolved -> 'followed') AS elsehow
        FROM pg_class c WHERE c.oid = at.relation
    )
    SELECT t.name, t.relation, format('CREATE TRIGGER %I AFTER %s ON %s %s EXECUTE FUNCTION imgsearch_internal.attached_%s(%L)', t.name, t.event,
        imgsearch_internal.qualified(t.relation), t.how, CASE WHEN t.step IS NULL THEN 'changed' ELSE at.attachment_id::text END, coalesce(t.step, at.attachment_id::text))
    FROM told, LATERAL (VALUES
        ('imgsearch_added', 'INSERT', at.relation, 'REFERENCING NEW TABLE AS added FOR EACH STATEMENT', 'added', true),
        ('imgsearch_removed', 'DELETE', at.relation, 'REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'removed', true),
        ('imgsearch_emptied', 'TRUNCATE', at.relation, 'FOR EACH STATEMENT', 'emptied', true),
        ('imgsearch_moved', 'UPDATE', at.relation, format('FOR EACH ROW WHEN (%s)', changed), 'moved', NOT in_parts),
        ('imgsearch_changed', 'UPDATE', at.relation, format('FOR EACH ROW WHEN ((%s) AND NOT (%s))', elsehow, changed), NULL, NOT in_parts AND elsehow IS NOT NULL),
        ('imgsearch_followed', 'UPDATE', at.relation, 'REFERENCING NEW TABLE AS added FOR EACH STATEMENT', 'followed', NOT in_parts AND elsehow IS NOT NULL),
        -- Of a partitioned table a row may move to another partition, for which no trigger of a row updated fires.
        ('imgsearch_updated_from', 'UPDATE', at.relation, 'REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'removed', in_parts),
        ('imgsearch_updated_to', 'UPDATE', at.relation, 'REFERENCING NEW TABLE AS added FOR EACH STATEMENT', 'added', in_parts),
        ('imgsearch_pictured', 'INSERT', at.pictures, 'REFERENCING NEW TABLE AS added FOR EACH STATEMENT', 'pictured', at.pictures IS NOT NULL),
        ('imgsearch_unpictured', 'DELETE', at.pictures, 'REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'unpictured', at.pictures IS NOT NULL),
        ('imgsearch_picture_from', 'UPDATE', at.pictures, 'REFERENCING OLD TABLE AS removed FOR EACH STATEMENT', 'unpictured', at.pictures IS NOT NULL),
        ('imgsearch_picture_to', 'UPDATE', at.pictures, 'REFERENCING NEW TABLE AS added FOR EACH STATEMENT', 'pictured', at.pictures IS NOT NULL),
        ('imgsearch_emptied', 'TRUNCATE', at.pictures, 'FOR EACH STATEMENT', 'emptied', at.pictures IS NOT NULL)
    ) t (name, event, relation, how, step, wanted) WHERE t.wanted
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_triggers(imgsearch.attachment) IS 'The triggers of an attachment on your tables.';
