-- The trigger function of one attachment, and its triggers. Triggers fire once for a statement, with the rows it wrote;
-- those of an UPDATE are compared, so that a statement that changes nothing mapped does nothing here. None names a column
-- of yours outside a function's text: what is mapped may be altered, renamed and dropped.

-- What is compared of two versions of a row: columns, where their type can be compared.
CREATE OR REPLACE FUNCTION imgsearch_internal.compared(relation regclass, places integer[]) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(format(CASE WHEN t.typname IN ('json', 'xml', 'point', 'box', 'lseg', 'path', 'polygon', 'line', 'circle') THEN '%1$I::text AS %1$I' ELSE '%I' END, a.attname), ', ' ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = relation AND a.attnum = ANY (places) AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION imgsearch_internal.compared(regclass, integer[]) IS 'Columns by number, as two versions of a row are compared.';

CREATE OR REPLACE FUNCTION imgsearch_internal.difference(columns text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('((SELECT %1$s FROM added EXCEPT SELECT %1$s FROM removed) UNION ALL (SELECT %1$s FROM removed EXCEPT SELECT %1$s FROM added))', columns)
$$;
COMMENT ON FUNCTION imgsearch_internal.difference(text) IS 'The rows of an UPDATE that are not what they were, old and new.';

CREATE OR REPLACE FUNCTION imgsearch_internal.places(at imgsearch.attachment, names text[]) RETURNS integer[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT p::integer FROM unnest(names) n, jsonb_array_elements_text(at.resolved -> n) p)
$$;
COMMENT ON FUNCTION imgsearch_internal.places(imgsearch.attachment, text[]) IS 'Numbers of columns out of attachment.resolved.';

-- rows: those of the attached table, in a FROM.
CREATE OR REPLACE FUNCTION imgsearch_internal.keys_of_rows(at imgsearch.attachment, rows text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    owner text[] := imgsearch_internal.templates(at, 'owner');
    home  text := format('%s AS %I', rows, imgsearch_internal.alias_of(at, 'row'));
BEGIN
    RETURN format('SELECT %s FROM %s', imgsearch_internal.key_text(at, imgsearch_internal.templates(at, 'ids')), home)
        || CASE WHEN owner = '{}' THEN '' ELSE format(' UNION SELECT %s FROM %s', imgsearch_internal.key_text(at, owner), home) END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.keys_of_rows(imgsearch.attachment, text) IS 'The SELECT of the keys that rows of an attached table concern: their own, and their owners''.';

-- What other keys a change concerns: owners, and rows that fall back on these. Then the rows are locked: two changes that
-- come at the same moment, of a price and of a picture, would else not see each other. Owners are asked again once that was
-- waited for: a row may have another one by then.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_reach(at imgsearch.attachment) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    alias    text := quote_ident(imgsearch_internal.alias_of(at, 'row'));
    ids      text[] := imgsearch_internal.templates(at, 'ids');
    fallback text[] := imgsearch_internal.templates(at, 'fallback');
    told     text := 'unnest(told) imgsearch_wanted (imgsearch_key)';
    these    text := imgsearch_internal.equal(ARRAY(SELECT alias || '.' || i FROM unnest(ids) i), imgsearch_internal.key_parts(at, 'imgsearch_wanted.imgsearch_key'));
    home     text := imgsearch_internal.source(at);
    up       text := CASE WHEN at.resolved -> 'owner' <> '[]' THEN format('
        told := ARRAY(%s);', imgsearch_internal.owners_of(at, 'unnest(told) w (k)')) ELSE '' END;
BEGIN
    RETURN concat(
        up,
        CASE WHEN fallback <> '{}' THEN format('
        told := ARRAY(SELECT unnest(told) UNION SELECT %s FROM %s JOIN %s ON %s);', imgsearch_internal.key_text(at, ids), told, home,
            imgsearch_internal.equal(fallback, imgsearch_internal.key_parts(at, 'imgsearch_wanted.imgsearch_key'))) END,
        CASE WHEN at.relation IS NOT NULL THEN format('
        PERFORM 1 FROM %s JOIN %s ON %s ORDER BY imgsearch_wanted.imgsearch_key FOR NO KEY UPDATE OF %s;', told, home, these, alias) || replace(up, E'\n       ', '') END);
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_reach(imgsearch.attachment) IS 'The statements that find which other keys a change concerns, and lock their rows.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_steps(at imgsearch.attachment) RETURNS TABLE (step text, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    reach  text := CASE WHEN at.resolved -> 'owner' <> '[]' OR at.resolved -> 'fallback' <> '[]' THEN imgsearch_internal.attached_reach(at) ELSE '' END;
    tell   text := 'SELECT array_agg(u.k) INTO told FROM (%s) u (k) WHERE u.k IS NOT NULL;';
    mapped text := imgsearch_internal.compared(at.relation, imgsearch_internal.places(at, '{moved,followed}'));
    moved  text := imgsearch_internal.compared(at.relation, imgsearch_internal.places(at, '{moved}'));
    of     text := imgsearch_internal.compared(at.pictures, imgsearch_internal.places(at, '{pictured}'));
    key_of text := imgsearch_internal.key_text(at, imgsearch_internal.templates(at, 'picture_of'));
    family text := CASE WHEN at.pictures IS NOT NULL THEN imgsearch_internal.attached_reach(at) END;
    name   text := quote_ident(imgsearch_internal.alias_of(at, 'picture'));
BEGIN
    step := '';  -- so that there is one: a query may have no triggers
    body := 'NULL;';
    RETURN NEXT;
    RETURN QUERY SELECT v.* FROM (VALUES
        ('added', format(tell, imgsearch_internal.keys_of_rows(at, 'added')) || reach),
        ('removed', format(tell, imgsearch_internal.keys_of_rows(at, 'removed')) || reach),
        ('updated', format('
        IF EXISTS (SELECT %s FROM added EXCEPT SELECT %1$s FROM removed) THEN
            %s
            deep := EXISTS (SELECT %s FROM added EXCEPT SELECT %3$s FROM removed);%s
        END IF;', mapped, format(tell, imgsearch_internal.keys_of_rows(at, imgsearch_internal.difference(mapped))), moved, reach)),
        ('emptied', format(CASE WHEN imgsearch_internal.reader_of(at) IS NULL THEN '
        DELETE FROM imgsearch.image i WHERE i.attachment_id = %s;
        DELETE FROM imgsearch.attachment_failure f WHERE f.attachment_id = %1$s;' ELSE '
        PERFORM imgsearch_internal.attached_%s_tell(NULL, NULL, NULL, NULL);' END, at.attachment_id))) v WHERE at.relation IS NOT NULL;
    IF at.pictures IS NOT NULL THEN
        RETURN QUERY VALUES
            ('pictured', format(tell, format('SELECT DISTINCT %s FROM added AS %s', key_of, name)) || family),
            ('unpictured', format(tell, format('SELECT DISTINCT %s FROM removed AS %s', key_of, name)) || family),
            ('repictured', format('
        IF EXISTS (SELECT %s FROM added EXCEPT SELECT %1$s FROM removed) THEN
            %s%s
        END IF;', of, format(tell, format('SELECT DISTINCT %s FROM %s AS %s', key_of, imgsearch_internal.difference(of), name)), family));
    END IF;
    RETURN QUERY SELECT * FROM imgsearch_internal.follow_steps(at);
END $$;
COMMENT ON FUNCTION imgsearch_internal.attached_steps(imgsearch.attachment) IS 'What the trigger function of an attachment does for each of its triggers: which keys a statement concerns.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_rescue(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT '
            WHEN '''' THEN NULL;' || string_agg(format('
            WHEN %L THEN
                SELECT array_agg(u.k) INTO told FROM (SELECT %s FROM added AS %I UNION SELECT %2$s FROM removed AS %3$I) u (k) WHERE u.k IS NOT NULL;',
        r.step, imgsearch_internal.key_text(at, imgsearch_internal.templates(at, r.list)), imgsearch_internal.alias_of(at, r.side)), '')
    FROM (VALUES ('updated', 'ids', 'row', at.relation), ('repictured', 'picture_of', 'picture', at.pictures)) r (step, list, side, relation) WHERE r.relation IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_rescue(imgsearch.attachment) IS 'The statements that tell the keys of an UPDATE without comparing rows.';

-- It runs with the rights of the table's owner, so that whoever may write your table needs no right on ours. What fails
-- in it is its own: your statement goes on, the keys are kept in attachment_failure. That goes for a lock as well: it
-- waits for one shorter than deadlock_timeout (1 s), so that of two transactions in each other's way yours are not ended.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_function(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format($f$CREATE OR REPLACE FUNCTION imgsearch_internal.attached_%1$s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off SET lock_timeout = '300ms' AS $body$
#variable_conflict use_column
DECLARE
    told text[];
    deep boolean := true;
BEGIN
    CASE TG_ARGV[0]%2$s
    END CASE;
    IF told IS NOT NULL THEN
        PERFORM imgsearch_internal.attached_%1$s_write(told, deep);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    IF told IS NULL AND TG_OP = 'UPDATE' THEN  -- perhaps a column has another name now, and the keys have not
        BEGIN
            deep := true;
            CASE TG_ARGV[0]%3$s
            ELSE NULL;
            END CASE;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END IF;
    PERFORM imgsearch_internal.%4$s told, deep, SQLSTATE, SQLERRM);
    RETURN NULL;
END $body$ $f$, at.attachment_id, string_agg(format('
    WHEN %L THEN
        %s', s.step, btrim(s.body, E'\n ')), ''), coalesce(imgsearch_internal.attached_rescue(at), '
            WHEN '''' THEN NULL;'), CASE WHEN imgsearch_internal.reader_of(at) IS NULL THEN 'keep_failure(' || at.attachment_id || ',' ELSE 'attached_' || at.attachment_id || '_tell(' END)
    FROM imgsearch_internal.attached_steps(at) s
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_function(imgsearch.attachment) IS 'The text of the trigger function of an attachment.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_triggers(at imgsearch.attachment) RETURNS TABLE (name name, relation regclass, definition text) LANGUAGE sql STABLE AS $$
    SELECT x.name::name, x.relation, format('CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.attached_%s(%L)', x.name, t.event,
        imgsearch_internal.qualified(x.relation), CASE t.event WHEN 'INSERT' THEN 'REFERENCING NEW TABLE AS added' WHEN 'DELETE' THEN 'REFERENCING OLD TABLE AS removed'
            WHEN 'UPDATE' THEN 'REFERENCING OLD TABLE AS removed NEW TABLE AS added' ELSE '' END, at.attachment_id, t.step)
    FROM (SELECT v.* FROM (VALUES
              (at.relation, 'added', 'INSERT'), (at.relation, 'removed', 'DELETE'), (at.relation, 'updated', 'UPDATE'), (at.relation, 'emptied', 'TRUNCATE'),
              (at.pictures, 'pictured', 'INSERT'), (at.pictures, 'unpictured', 'DELETE'), (at.pictures, 'repictured', 'UPDATE'), (at.pictures, 'emptied', 'TRUNCATE')) v
          UNION ALL SELECT f.relation, f.step, f.event FROM imgsearch_internal.follow_triggers(at) f) t (relation, step, event),
         LATERAL (SELECT t.relation, format('imgsearch_%s_%s', at.attachment_id, CASE WHEN t.relation = at.pictures AND t.step = 'emptied' AND t.relation <> at.relation THEN 'pictures_emptied' ELSE t.step END) AS name) x
    WHERE t.relation IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_triggers(imgsearch.attachment) IS 'The triggers of an attachment on your tables; each carries its number, for several may follow one table.';
