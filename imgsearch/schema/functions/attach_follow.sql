-- The argument follow of attach(): values read from other tables, and how a change there tells whose products to write.

-- {"partner_stockrecord": "product_id"}: an expression over a row of that table, or a SELECT of keys over `changed`, the
-- rows that changed; null: nothing follows by itself.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_follow(at imgsearch.attachment) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    made  jsonb := '[]';
    given record;
    one   regclass;
    part  jsonb;
BEGIN
    IF jsonb_typeof(at.mapping -> 'follow') <> 'object' THEN
        RAISE EXCEPTION 'imgsearch: follow => % is no map of tables', left(at.mapping ->> 'follow', 100) USING HINT = 'For example follow => ''{"stock": "product_id"}''.', ERRCODE = 'IM010';
    END IF;
    FOR given IN SELECT e.key AS table, e.value #>> '{}' AS rule FROM jsonb_each(at.mapping -> 'follow') e WHERE jsonb_typeof(at.mapping -> 'follow') = 'object' ORDER BY 1 LOOP
        one := imgsearch_internal.require_table(given.table);
        part := jsonb_build_object('relation', one::oid::text, 'name', given.table);
        IF given.rule IS NOT NULL THEN
            PERFORM imgsearch_internal.refuse_followed(one);
            part := part || imgsearch_internal.resolve_rule(at, one, given.rule);
        END IF;
        made := made || part;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_follow(imgsearch.attachment) IS 'The argument follow of attach(): tables, the SELECT of keys of each, and which of its columns matter.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_followed(one regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    owner name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass);
BEGIN
    IF (SELECT c.relkind NOT IN ('r', 'p') OR c.relpersistence = 't' OR c.relnamespace = 'imgsearch'::regnamespace FROM pg_class c WHERE c.oid = one) THEN
        RAISE EXCEPTION 'imgsearch: % is not an ordinary table of yours, nothing tells when it changes', one
            USING HINT = format('Follow the tables behind it, or say that you call imgsearch.refresh() yourself: follow => ''{"%s": null}''.', one), ERRCODE = 'IM010';
    ELSIF NOT has_table_privilege(owner, one, 'SELECT') OR NOT (has_table_privilege(owner, one, 'TRIGGER') AND has_table_privilege(one, 'TRIGGER')) THEN
        RAISE EXCEPTION 'imgsearch: % may not read and put triggers on %', owner, one USING HINT = format('As its owner run: GRANT SELECT, TRIGGER ON %s TO %I;', one, owner), ERRCODE = 'IM021';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_followed(regclass) IS 'Raises why a table cannot be followed, if it cannot.';

CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_rule(at imgsearch.attachment, one regclass, rule text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    query text := CASE WHEN rule ~* '^\s*(select|with)\M' THEN rule ELSE format('SELECT %s FROM imgsearch_internal.changed AS %I', rule, (SELECT c.relname FROM pg_class c WHERE c.oid = one)) END;
    reads jsonb := at.resolved #> ARRAY['reads', one::oid::text];
    used  text[];
    many  integer;
    said  text;
BEGIN
    PERFORM imgsearch_internal.refuse_text('follow', rule);
    EXECUTE format('CREATE TABLE imgsearch_internal.changed (LIKE %s)', one);
    BEGIN
        PERFORM imgsearch_internal.as_typed(format('CREATE VIEW imgsearch_internal.attached_probe AS SELECT * FROM (%s) x (%s)', query,
                       (SELECT string_agg('key_' || n, ', ') FROM generate_series(1, cardinality(at.key_columns)) n)), 'imgsearch_internal, ');
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION 'imgsearch: follow => {"%": "%"}: %', one, rule, SQLERRM
            USING HINT = format('It gives %s of %s: a column of %s, or a SELECT of keys over changed, the rows of %3$s that changed.', array_to_string(at.key_columns, ', '), at.name, one), ERRCODE = 'IM010';
    END;
    SELECT count(*) INTO many FROM pg_attribute a WHERE a.attrelid = 'imgsearch_internal.attached_probe'::regclass AND a.attnum > 0;
    IF many <> cardinality(at.key_columns) THEN
        RAISE EXCEPTION 'imgsearch: follow => {"%": "%"} gives % columns', one, rule, many USING HINT = format('It gives the key: %s.', array_to_string(at.key_columns, ', ')), ERRCODE = 'IM010';
    END IF;
    used := ARRAY(SELECT a.attname::text FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                  WHERE w.ev_class = 'imgsearch_internal.attached_probe'::regclass AND d.refobjid = 'imgsearch_internal.changed'::regclass AND d.refobjsubid > 0);
    said := replace(rtrim(pg_get_viewdef('imgsearch_internal.attached_probe'::regclass), ';'), 'imgsearch_internal.changed', 'changed');
    DROP VIEW imgsearch_internal.attached_probe;
    DROP TABLE imgsearch_internal.changed;
    RETURN jsonb_build_object('keys', said, 'deep', (at.resolved -> 'moved_by') ? one::oid::text OR reads IS NULL AND (at.resolved -> 'moved_opaquely')::boolean,
        -- A function of yours may read any of them.
        'columns', CASE WHEN at.resolved -> 'opaque' <> '[]' OR reads IS NULL OR reads = '[]' THEN NULL ELSE to_jsonb(used) || reads END);
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_rule(imgsearch.attachment, regclass, text) IS 'One table of the argument follow: the SELECT of keys over changed, which columns matter (null: all), and whether pictures may move.';

CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_unfollowed(at imgsearch.attachment) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    one  regclass := (SELECT r::oid FROM jsonb_object_keys(at.resolved -> 'reads') r
                      WHERE NOT EXISTS (SELECT 1 FROM jsonb_array_elements(at.resolved -> 'follow') f WHERE f ->> 'relation' = r) ORDER BY 1 LIMIT 1);
    link text := (SELECT a.attname FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
                  WHERE c.conrelid = one AND c.confrelid = at.relation AND c.contype = 'f' LIMIT 1);
    line jsonb := coalesce(nullif(at.mapping -> 'follow', 'null'), '{}') || jsonb_build_object(coalesce(one::text, ''), coalesce(link, 'SELECT … FROM changed'));
BEGIN
    IF at.relation IS NULL THEN
        RETURN;
    ELSIF one IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: the mapping reads %, and nothing says whose products change with it', one
            USING HINT = format('Add follow => ''%s''%s; or with null in its place, where you call imgsearch.refresh() yourself.', line,
                CASE WHEN link IS NULL THEN format(', a SELECT of %s over changed, its rows that changed', array_to_string(at.key_columns, ', ')) ELSE '' END), ERRCODE = 'IM010';
    ELSIF at.resolved -> 'opaque' <> '[]' AND nullif(at.mapping -> 'follow', 'null') IS NULL THEN
        RAISE EXCEPTION 'imgsearch: % may read other tables, and nothing says which', at.resolved #>> '{opaque,0}'
            USING HINT = 'Name them, and the column with the key of the product: follow => ''{"stock": "product_id"}''; or follow => ''{}'' where it reads none.', ERRCODE = 'IM010';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_unfollowed(imgsearch.attachment) IS 'Raises which table is read but not followed, with the line to add, if there is one.';

CREATE OR REPLACE FUNCTION imgsearch_internal.follow_triggers(at imgsearch.attachment) RETURNS TABLE (relation regclass, step text, event text) LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass, format('follows_%s_%s', f.n, lower(e.event)), e.event
    FROM jsonb_array_elements(at.resolved -> 'follow') WITH ORDINALITY f (f, n) JOIN pg_class c ON c.oid = (f.f ->> 'relation')::oid,
         unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) e (event)
    WHERE f.f ->> 'keys' IS NOT NULL
$$;
COMMENT ON FUNCTION imgsearch_internal.follow_triggers(imgsearch.attachment) IS 'The triggers on tables that are followed.';

CREATE OR REPLACE FUNCTION imgsearch_internal.follow_steps(at imgsearch.attachment) RETURNS TABLE (step text, body text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    reach text := imgsearch_internal.attached_reach(at);
    given record;
    told  text;
BEGIN
    FOR given IN SELECT t.*, f.f FROM imgsearch_internal.follow_triggers(at) t JOIN jsonb_array_elements(at.resolved -> 'follow') WITH ORDINALITY f (f, n) ON t.step LIKE format('follows\_%s\_%%', f.n) LOOP
        step := given.step;
        told := imgsearch_internal.compared(given.relation, ARRAY(SELECT a.attnum::integer FROM pg_attribute a WHERE a.attrelid = given.relation AND a.attnum > 0
            AND (jsonb_typeof(given.f -> 'columns') = 'null' OR given.f -> 'columns' ? a.attname::text)));
        IF given.event = 'TRUNCATE' THEN
            body := format('SELECT array_agg(%s) INTO told FROM %s;', imgsearch_internal.key_text(at, imgsearch_internal.templates(at, 'ids')), imgsearch_internal.source(at));
        ELSE
            body := format('
        SELECT array_agg(u.k) INTO told FROM (
            WITH changed AS (%s) SELECT DISTINCT %s FROM (%s) x (%s)) u (k) WHERE u.k IS NOT NULL;',
                CASE given.event WHEN 'INSERT' THEN format('SELECT %s FROM added', told) WHEN 'DELETE' THEN format('SELECT %s FROM removed', told)
                     ELSE format('SELECT * FROM %s d', imgsearch_internal.difference(told)) END,
                imgsearch_internal.key_text(at, imgsearch_internal.numbered('x.key_', at.key_columns)), given.f ->> 'keys', array_to_string(imgsearch_internal.numbered('key_', at.key_columns), ', '));
        END IF;
        body := body || format('
        IF told IS NOT NULL THEN
            deep := %s;%s
        END IF;', given.f ->> 'deep', reach);
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.follow_steps(imgsearch.attachment) IS 'What the trigger function does for changes of tables that are followed.';
