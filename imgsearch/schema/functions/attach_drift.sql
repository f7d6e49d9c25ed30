-- Attached tables afterwards: finding what went out of step and why, and bringing it back.

CREATE OR REPLACE FUNCTION imgsearch_internal.table_called(name text) RETURNS regclass LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN pg_catalog.to_regclass(name);
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;  -- not a name at all
END $$;
COMMENT ON FUNCTION imgsearch_internal.table_called(text) IS 'The table of that name; null where there is none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached(called regclass, relation text) RETURNS imgsearch.attachment LANGUAGE plpgsql STABLE AS $$
DECLARE
    at imgsearch.attachment;
BEGIN
    SELECT a.* INTO at FROM imgsearch.attachment a
    WHERE (a.relation = called OR a.name = attached.relation) AND a.attached_at IS NOT NULL
    ORDER BY a.relation = called DESC NULLS LAST LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'imgsearch: % is not attached', relation USING HINT = 'SELECT relation FROM imgsearch.attachments;', ERRCODE = 'IM010';
    END IF;
    RETURN at;
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached(regclass, text) IS 'The attachment of a table, or an error that says where to look.';

-- Every picture that is not as it should be, with the key of its row.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_drift(at imgsearch.attachment) RETURNS TABLE (problem text, tenant_id text, product_id text, "position" integer, key text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    worded boolean := imgsearch_internal.has_attached_words(at);
BEGIN
    RETURN QUERY EXECUTE format('
        SELECT CASE WHEN i.image_id IS NULL THEN ''missing'' WHEN v.product_id IS NULL THEN ''extra'' ELSE ''stale'' END, tenant_id, product_id, position,
               coalesce(v.key, %5$s)
        FROM (%2$s) v
        FULL JOIN (SELECT * FROM imgsearch.image WHERE attachment_id = %1$s) i USING (tenant_id, product_id, position)%3$s
        WHERE (v.category, v.categories, v.price, v.in_stock, v.attributes, v.uri) IS DISTINCT FROM (i.category, i.categories, i.price, i.in_stock, i.attributes, i.uri)
           OR v.product_id IS NULL OR i.image_id IS NULL%4$s', at.attachment_id, imgsearch_internal.read_pictures(at, NULL),
        CASE WHEN worded THEN ' LEFT JOIN imgsearch.product p USING (tenant_id, product_id)' ELSE '' END,
        CASE WHEN worded THEN ' OR (v.title, v.words, v.codes) IS DISTINCT FROM (p.title, p.words, coalesce(p.codes, ''{}''))' ELSE '' END,
        CASE WHEN (at.resolved -> 'key_alone')::boolean THEN format('substr(i.product_id, %s)', length(at.prefix) + 1)
             ELSE format('imgsearch_internal.key_escaped(i.tenant_id) || ''/'' || %s', CASE WHEN cardinality(at.key_columns) = 2
                 THEN format('imgsearch_internal.key_escaped(substr(i.product_id, %s))', length(at.prefix) + 1) ELSE format('substr(i.product_id, %s)', length(at.prefix) + 1) END) END);
    IF at.resolved -> 'owner' <> '[]' THEN
        RETURN QUERY EXECUTE CASE WHEN imgsearch_internal.reader_of(at) IS NULL THEN imgsearch_internal.attached_astray(at)
            ELSE imgsearch_internal.read_text(at, format('SELECT * FROM (%s) x (problem, tenant_id, product_id, position, key)', imgsearch_internal.attached_astray(at)),
                                              'problem text, tenant_id text, product_id text, position integer, key text', 'NULL') END;
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_drift(imgsearch.attachment) IS 'Where imgsearch.image is not what an attached table says, with keys.';

-- Rows with pictures that no product shows, because their owners, and the owners of these, lead to no row that is a product:
-- one of them is missing, or they own each other in a circle.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_astray(at imgsearch.attachment) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    ids   text[] := imgsearch_internal.templates(at, 'ids');
    owner text[] := imgsearch_internal.templates(at, 'owner');
    named text := (SELECT string_agg(format('%s AS imgsearch_one_%s', e, n), ', ' ORDER BY n) FROM unnest(ids) WITH ORDINALITY u (e, n));
    mine  text[] := imgsearch_internal.numbered('imgsearch_lost.imgsearch_one_', ids);
BEGIN
    RETURN format('WITH RECURSIVE imgsearch_home AS (SELECT %1$s FROM %2$s WHERE (%3$s) IS NULL OR %4$s UNION SELECT %1$s FROM imgsearch_home JOIN %2$s ON %5$s)
        SELECT ''astray'', NULL::text, %6$L || %7$s, NULL::integer, %8$s FROM (SELECT %1$s FROM %2$s EXCEPT SELECT * FROM imgsearch_home) imgsearch_lost
        WHERE EXISTS (SELECT 1 FROM (%9$s) p WHERE p.value <> '''')', named, imgsearch_internal.source(at), owner[1], imgsearch_internal.equal(owner, ids),
        imgsearch_internal.equal(owner, imgsearch_internal.numbered('imgsearch_home.imgsearch_one_', ids)), at.prefix,
        imgsearch_internal.key_text(at, mine, false), imgsearch_internal.key_text(at, mine), imgsearch_internal.pictures_of(at, mine));
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_astray(imgsearch.attachment) IS 'The SELECT of rows whose pictures are of no product, because their owner is missing or is owned by them.';

-- cause: what can be known of it afterwards.
CREATE OR REPLACE FUNCTION imgsearch_internal.drift(at imgsearch.attachment) RETURNS TABLE (problem text, tenant_id text, product_id text, "position" integer, cause text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    off   text := imgsearch_internal.triggers_off(at);
    other text := (SELECT string_agg(f ->> 'name', ', ') FROM jsonb_array_elements(at.resolved -> 'follow') f WHERE f ->> 'keys' IS NULL);
BEGIN
    RETURN QUERY SELECT d.problem, d.tenant_id, d.product_id, d.position,
        CASE WHEN f.error IS NOT NULL THEN 'failed: ' || f.error
             WHEN d.problem = 'astray' THEN 'its owner, or the owner of that, is missing or is itself'
             WHEN off IS NOT NULL THEN 'trigger off: ' || off
             WHEN at.backfilled_at IS NULL AND d.problem = 'missing' THEN 'not copied yet'
             WHEN at.relation IS NULL THEN 'not refreshed'
             WHEN other IS NOT NULL THEN 'other table, not followed: ' || other
             WHEN at.resolved -> 'opaque' <> '[]' THEN 'other table, read by ' || (at.resolved #>> '{opaque,0}')
             ELSE 'written without triggers, or changed in imgsearch.image' END
    FROM imgsearch_internal.attached_drift(at) d
    LEFT JOIN LATERAL (SELECT f.error FROM imgsearch.attachment_failure f WHERE f.attachment_id = at.attachment_id AND f.key IN (d.key, '') ORDER BY f.key DESC LIMIT 1) f ON true;
EXCEPTION WHEN undefined_column OR undefined_table OR undefined_function OR insufficient_privilege OR data_exception OR raise_exception OR cardinality_violation OR SQLSTATE 'IM010' OR SQLSTATE 'IM021' THEN
    RETURN QUERY SELECT 'unreadable', NULL::text, NULL::text, NULL::integer, 'failed: ' || SQLERRM;
END $$;
COMMENT ON FUNCTION imgsearch_internal.drift(imgsearch.attachment) IS 'What drift() does.';

CREATE OR REPLACE FUNCTION imgsearch.drift(relation text) RETURNS TABLE (problem text, tenant_id text, product_id text, "position" integer, cause text) LANGUAGE sql STABLE AS $$
    SELECT * FROM imgsearch_internal.drift(imgsearch_internal.attached(imgsearch_internal.table_called(relation), relation))
$$;
COMMENT ON FUNCTION imgsearch.drift(text) IS 'Where imgsearch.image is not what an attached table says, and why. SELECT * FROM imgsearch.drift(''shop.product''); SELECT imgsearch.repair(''shop.product'') mends it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.triggers_off(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(format('%s on %s', w.name, w.relation), ', ')
    FROM imgsearch_internal.attached_triggers(at) w LEFT JOIN pg_trigger t ON t.tgrelid = w.relation AND t.tgname = w.name WHERE coalesce(t.tgenabled, 'D') IN ('D', 'R')
$$;
COMMENT ON FUNCTION imgsearch_internal.triggers_off(imgsearch.attachment) IS 'Which triggers of an attachment are switched off or gone; null: none.';

CREATE OR REPLACE FUNCTION imgsearch_internal.locked_write(at imgsearch.attachment, keys text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    part record;
    done bigint := 0;
BEGIN
    FOR start IN 1..coalesce(cardinality(keys), 0) BY 2000 LOOP
        -- Locked, then read: a change that is under way is waited for and seen, one that comes later finds the picture.
        IF at.relation IS NOT NULL THEN
            PERFORM imgsearch_internal.read_texts(at, format('SELECT NULL::text FROM unnest($1) imgsearch_wanted (imgsearch_key) JOIN %s ON %s ORDER BY imgsearch_wanted.imgsearch_key FOR SHARE OF %I', imgsearch_internal.source(at),
                imgsearch_internal.equal(ARRAY(SELECT format('%I.%s', imgsearch_internal.alias_of(at, 'row'), i) FROM unnest(imgsearch_internal.templates(at, 'ids')) i),
                                         imgsearch_internal.key_parts(at, 'imgsearch_wanted.imgsearch_key')), imgsearch_internal.alias_of(at, 'row')), keys[start:start + 1999]);
        END IF;
        part := imgsearch_internal.try_keys(at.attachment_id, keys[start:start + 1999], true);
        done := done + part.done;
    END LOOP;
    RETURN done;
END $$;
COMMENT ON FUNCTION imgsearch_internal.locked_write(imgsearch.attachment, text[]) IS 'Brings keys in step, each row locked against changes meanwhile.';

CREATE OR REPLACE FUNCTION imgsearch_internal.repair(at imgsearch.attachment) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    keys text[];
    done bigint;
BEGIN
    PERFORM imgsearch_internal.write_attached(at);
    IF imgsearch_internal.reader_of(at) IS NOT NULL THEN
        PERFORM imgsearch_internal.write_functions(at);  -- its owner may have altered them
    END IF;
    SELECT array_agg(u.key ORDER BY u.key) INTO keys FROM (
        SELECT d.key FROM imgsearch_internal.attached_drift(at) d UNION SELECT f.key FROM imgsearch.attachment_failure f WHERE f.attachment_id = at.attachment_id AND f.key <> '') u;
    DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = at.attachment_id AND f.key = '';
    done := imgsearch_internal.locked_write(at, keys);
    UPDATE imgsearch.attachment a SET backfilled_at = now() WHERE a.attachment_id = at.attachment_id AND a.backfilled_at IS NULL;
    RETURN done;
END $$;
COMMENT ON FUNCTION imgsearch_internal.repair(imgsearch.attachment) IS 'What repair() does.';

CREATE OR REPLACE FUNCTION imgsearch.repair(relation text) RETURNS bigint LANGUAGE sql AS $$
    SELECT imgsearch_internal.repair(imgsearch_internal.attached(imgsearch_internal.table_called(relation), relation))
$$;
COMMENT ON FUNCTION imgsearch.repair(text) IS 'Brings imgsearch.image in step with an attached table, in one transaction; returns how many pictures it wrote. SELECT imgsearch.repair(''shop.product'');';

-- For what triggers do not see: a query, a table that is not followed. Cheap: only these keys are read.
CREATE OR REPLACE FUNCTION imgsearch_internal.refresh(at imgsearch.attachment, keys text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    IF cardinality(keys) > 100000 THEN
        RAISE EXCEPTION 'imgsearch: % keys, 100000 at most at once', cardinality(keys) USING HINT = format('Refresh them in parts, or SELECT imgsearch.repair(%L);', at.name), ERRCODE = 'IM010';
    END IF;
    BEGIN
        PERFORM imgsearch_internal.read_texts(at, format('SELECT k FROM unnest($1) k WHERE (%s) IS NULL', array_to_string(imgsearch_internal.key_parts(at, 'k'), ', ')), keys);
    EXCEPTION WHEN data_exception THEN
        RAISE EXCEPTION 'imgsearch: what is to be refreshed is no key of %: %', at.name, SQLERRM USING HINT = format('Its key is %s, of type %s.', array_to_string(at.key_columns, ', '), array_to_string(at.key_types, ', ')), ERRCODE = 'IM010';
    END;
    RETURN imgsearch_internal.locked_write(at, imgsearch_internal.whole_families(at, ARRAY(SELECT DISTINCT k FROM unnest(keys) k WHERE k <> '' ORDER BY k)));
END $$;
COMMENT ON FUNCTION imgsearch_internal.refresh(imgsearch.attachment, text[]) IS 'What refresh() does.';

CREATE OR REPLACE FUNCTION imgsearch.refresh(relation text, keys text[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT imgsearch_internal.refresh(imgsearch_internal.attached(imgsearch_internal.table_called(relation), relation), keys)
$$;
COMMENT ON FUNCTION imgsearch.refresh(text, text[]) IS 'Writes the pictures of these rows of an attached table or query anew; returns how many changed. SELECT imgsearch.refresh(''shop.product'', ARRAY[''17'', ''18'']);';

CREATE OR REPLACE FUNCTION imgsearch_internal.whole_families(at imgsearch.attachment, keys text[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    more  text[];
BEGIN
    IF at.resolved -> 'owner' <> '[]' THEN
        more := imgsearch_internal.read_texts(at, imgsearch_internal.owners_of(at, 'unnest($1) w (k)'), keys);
    END IF;
    RETURN coalesce(more, keys);
END $$;
COMMENT ON FUNCTION imgsearch_internal.whole_families(imgsearch.attachment, text[]) IS 'The keys, and those of their owners.';

CREATE OR REPLACE FUNCTION imgsearch_internal.drift_of(attachment_id integer) RETURNS bigint LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(d) FROM imgsearch.attachment a CROSS JOIN LATERAL imgsearch_internal.drift(a) d WHERE a.attachment_id = drift_of.attachment_id AND a.attached_at IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.drift_of(integer) IS 'How many pictures of an attachment are out of step.';
