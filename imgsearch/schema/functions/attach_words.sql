-- title, words and codes of attach(): imgsearch.product follows an attached table as image does.

CREATE OR REPLACE FUNCTION imgsearch_internal.resolve_words(at imgsearch.attachment, OUT expressions jsonb, OUT following name[]) LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    expressions := '{}';
    following := '{}';
    FOR part IN SELECT a.argument, m.* FROM (VALUES ('title'), ('words'), ('codes')) a (argument)
                CROSS JOIN LATERAL imgsearch_internal.resolve_mapping(at.relation, a.argument, at.mapping ->> a.argument) m WHERE at.mapping ->> a.argument IS NOT NULL LOOP
        expressions := expressions || jsonb_build_object(part.argument, CASE WHEN part.argument <> 'codes' THEN format('(%s)::text', part.expression)
            WHEN part.kind::text LIKE '%[]' THEN format('(%s)::text[]', part.expression) ELSE format('ARRAY[(%s)::text]', part.expression) END);
        following := following || part.columns;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.resolve_words(imgsearch.attachment) IS 'The arguments title, words and codes of attach(): expressions, and the columns they read.';

-- Cut to what a product may hold: your own statement is never refused for a long title.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_words_columns(at imgsearch.attachment) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN at.resolved ?| ARRAY['title', 'words', 'codes'] THEN format(', nullif(btrim(left(%s, 1000)), '''') AS title, nullif(btrim(left(%s, 10000)), '''') AS words,
                     ARRAY(SELECT c FROM unnest(%s) c WHERE length(btrim(c)) BETWEEN 1 AND 100 LIMIT 100) AS codes',
        coalesce(at.resolved ->> 'title', 'NULL::text'), coalesce(at.resolved ->> 'words', 'NULL::text'), coalesce(at.resolved ->> 'codes', 'NULL::text[]')) ELSE '' END
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_words_columns(imgsearch.attachment) IS 'The columns title, words and codes of the view attached_<n>; empty where none of them is mapped.';

CREATE OR REPLACE FUNCTION imgsearch_internal.has_attached_words(at imgsearch.attachment) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT at.resolved ?| ARRAY['title', 'words', 'codes']
$$;
COMMENT ON FUNCTION imgsearch_internal.has_attached_words(imgsearch.attachment) IS 'Whether words follow the table too.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_words(at imgsearch.attachment, condition text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN imgsearch_internal.has_attached_words(at) THEN format('INSERT INTO imgsearch.product AS p (attachment_id, tenant_id, product_id, title, words, codes)
        SELECT DISTINCT ON (v.tenant_id, v.product_id) %1$s, v.tenant_id, v.product_id, v.title, v.words, v.codes
        FROM imgsearch_internal.attached_%1$s v WHERE v.uri IS NOT NULL AND %2$s
          AND (v.title IS NOT NULL OR v.words IS NOT NULL OR v.codes <> ''{}''
               OR EXISTS (SELECT 1 FROM imgsearch.product p WHERE p.tenant_id = v.tenant_id AND p.product_id = v.product_id))
        ON CONFLICT (tenant_id, product_id) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, title = EXCLUDED.title, words = EXCLUDED.words, codes = EXCLUDED.codes
        WHERE (p.title, p.words, p.codes) IS DISTINCT FROM (EXCLUDED.title, EXCLUDED.words, EXCLUDED.codes);', at.attachment_id, condition) ELSE '' END
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_words(imgsearch.attachment, text) IS 'The statement that brings product in step with some rows of the view; empty where no words are mapped.';

CREATE OR REPLACE FUNCTION imgsearch_internal.attached_both(at imgsearch.attachment, condition text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT imgsearch_internal.attached_copy(at, condition)
        || CASE WHEN imgsearch_internal.has_attached_words(at) THEN E'\n        ' || imgsearch_internal.attached_words(at, condition) ELSE '' END
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_both(imgsearch.attachment, text) IS 'The statements that bring image, and product where words are mapped, in step with some rows of the view.';
