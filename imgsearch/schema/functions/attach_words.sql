-- title, words and codes of attach(): imgsearch.product follows an attached table as image does.

CREATE OR REPLACE FUNCTION imgsearch_internal.has_attached_words(at imgsearch.attachment) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT at.resolved ?| ARRAY['title', 'words', 'codes']
$$;
COMMENT ON FUNCTION imgsearch_internal.has_attached_words(imgsearch.attachment) IS 'Whether words follow the table too.';

-- Cut to what a product may hold: your own statement is never refused for a long title. A picture that moved to another
-- product may have been the last of its own.
CREATE OR REPLACE FUNCTION imgsearch_internal.attached_words(at imgsearch.attachment) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN imgsearch_internal.has_attached_words(at) THEN format('INSERT INTO imgsearch.product AS p (attachment_id, tenant_id, product_id, title, words, codes)
        SELECT %1$s, s.whose, s.product_id, s.cut_title, s.cut_words, s.cut_codes
        FROM (%2$s) s LEFT JOIN imgsearch.product h ON h.tenant_id = s.whose AND h.product_id = s.product_id
        WHERE s.whose <> '''' AND EXISTS (SELECT 1 FROM imgsearch.image i WHERE i.tenant_id = s.whose AND i.product_id = s.product_id)
          AND CASE WHEN h.product_id IS NULL THEN s.cut_title IS NOT NULL OR s.cut_words IS NOT NULL OR s.cut_codes <> ''{}''
                   ELSE (h.attachment_id, h.title, h.words, h.codes) IS DISTINCT FROM (%1$s, s.cut_title, s.cut_words, s.cut_codes) END
        ON CONFLICT (tenant_id, product_id) DO UPDATE
        SET attachment_id = EXCLUDED.attachment_id, title = EXCLUDED.title, words = EXCLUDED.words, codes = EXCLUDED.codes;
        IF moved IS NOT NULL THEN
            DELETE FROM imgsearch.product i USING unnest(here) k WHERE i.attachment_id = %1$s AND %3$s
              AND NOT EXISTS (SELECT 1 FROM imgsearch.image o WHERE o.tenant_id = i.tenant_id AND o.product_id = i.product_id);
        END IF;', at.attachment_id, imgsearch_internal.read_products(at, 'here'), imgsearch_internal.attached_held(at)) ELSE '' END
$$;
COMMENT ON FUNCTION imgsearch_internal.attached_words(imgsearch.attachment) IS 'The statement that brings product in step with some keys; empty where no words are mapped.';
