-- The rows a table had before it was attached, in small transactions.

CREATE OR REPLACE FUNCTION imgsearch_internal.backfill_step(at imgsearch.attachment, size integer, OUT copied bigint, OUT finished boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    ids  text;
    keys text[];
BEGIN
    SELECT a.* INTO at FROM imgsearch.attachment a WHERE a.attachment_id = at.attachment_id FOR UPDATE;
    ids := array_to_string(imgsearch_internal.templates(at, 'ids'), ', ');
    keys := imgsearch_internal.read_texts(at, format('SELECT x.k FROM (SELECT %s AS k, row_number() OVER (ORDER BY %s) AS n FROM %s WHERE %s ORDER BY %2$s LIMIT $2) x ORDER BY x.n',
        imgsearch_internal.key_text(at, imgsearch_internal.templates(at, 'ids')), ids, imgsearch_internal.source(at),
        CASE WHEN at.backfilled_to IS NULL THEN 'true' ELSE format('(%s) > (%s)', ids, array_to_string(imgsearch_internal.key_parts(at, '($1)[1]'), ', ')) END), ARRAY[at.backfilled_to], size);
    copied := coalesce(cardinality(keys), 0);
    finished := copied = 0;
    IF finished THEN
        UPDATE imgsearch.attachment a SET backfilled_at = now() WHERE a.attachment_id = at.attachment_id AND a.backfilled_at IS NULL;
        RETURN;
    END IF;
    PERFORM imgsearch_internal.locked_write(at, keys);
    UPDATE imgsearch.attachment a SET backfilled_to = keys[cardinality(keys)] WHERE a.attachment_id = at.attachment_id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.backfill_step(imgsearch.attachment, integer) IS 'What backfill_step() of a name does.';

CREATE OR REPLACE FUNCTION imgsearch_internal.backfill_step(relation text, size integer DEFAULT 2000, OUT copied bigint, OUT finished boolean) LANGUAGE sql AS $$
    SELECT s.copied, s.finished FROM imgsearch_internal.backfill_step(imgsearch_internal.attached(imgsearch_internal.table_called(relation), relation), size) s
$$;
COMMENT ON FUNCTION imgsearch_internal.backfill_step(text, integer) IS 'Copies the next rows that a table had before it was attached; returns how many, and whether none were left.';

CREATE OR REPLACE PROCEDURE imgsearch.backfill(relation text, size integer DEFAULT 2000) LANGUAGE plpgsql AS $$
DECLARE
    step  record;
    total bigint := 0;
BEGIN
    CALL imgsearch_internal.require_autocommit('imgsearch.backfill');
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

-- A query is tried out as a view that goes again: its names are then in full, whatever the search path.
CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_query(name text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    IF query IS NULL OR query ~ '^\s*$' THEN
        RAISE EXCEPTION 'imgsearch: query is empty' USING HINT = 'A SELECT of yours, or the name of a view.', ERRCODE = 'IM010';
    ELSIF coalesce(name, '') !~ '^[^ ].{0,62}$' THEN
        RAISE EXCEPTION 'imgsearch: name => ''%'' is no name', name USING HINT = 'One to 63 characters, for example ''catalogue''.', ERRCODE = 'IM010';
    END IF;
    PERFORM imgsearch_internal.refuse_text('query', query);
    BEGIN
        PERFORM imgsearch_internal.as_typed('CREATE VIEW imgsearch_internal.attached_probe AS ' || CASE WHEN query ~* '^\s*(select|with|values|table)\M' THEN query ELSE 'SELECT * FROM ' || query END);
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION 'imgsearch: query => ''%'': %', left(query, 200), SQLERRM USING HINT = 'A SELECT, or the name of a view.', ERRCODE = 'IM010';
    END;
    said := rtrim(pg_get_viewdef('imgsearch_internal.attached_probe'::regclass), ';');
    DROP VIEW imgsearch_internal.attached_probe;
    RETURN said;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_query(text, text) IS 'The query of attach_query() with every name in full.';
