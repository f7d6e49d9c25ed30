-- Texts in Unicode's composed form (NFC), the one that is stored and compared: "é" is one letter
-- whoever typed it. Python does the same in imgsearch/values.py.

CREATE OR REPLACE FUNCTION imgsearch_internal.composed(given text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN given::text IS NOT NFC NORMALIZED
        THEN ARRAY(SELECT normalize(t, NFC) FROM unnest(given) WITH ORDINALITY u (t, n) ORDER BY n)
        ELSE given END
$$;
COMMENT ON FUNCTION imgsearch_internal.composed(text[]) IS 'Texts in Unicode''s composed form.';

-- Deeper than anybody keeps values, and far less deep than a stack.
CREATE OR REPLACE FUNCTION imgsearch_internal.composed(given jsonb, depth integer DEFAULT 0)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    plain jsonb;
BEGIN
    IF given::text IS NFC NORMALIZED OR given IS NULL THEN
        RETURN given;
    ELSIF depth > 100 THEN
        RAISE EXCEPTION 'imgsearch: JSON is nested deeper than 100 levels'
            USING HINT = 'Make it flatter.', ERRCODE = 'IM008';
    ELSIF jsonb_typeof(given) = 'string' THEN
        RETURN to_jsonb(normalize(given #>> '{}', NFC));
    ELSIF jsonb_typeof(given) = 'array' THEN
        RETURN (SELECT jsonb_agg(imgsearch_internal.composed(e.value, depth + 1) ORDER BY e.n)
                FROM jsonb_array_elements(given) WITH ORDINALITY e (value, n));
    END IF;
    SELECT jsonb_object_agg(normalize(e.key, NFC), imgsearch_internal.composed(e.value, depth + 1))
    INTO plain FROM jsonb_each(given) e;
    IF (SELECT count(*) FROM jsonb_object_keys(plain))
       < (SELECT count(*) FROM jsonb_object_keys(given)) THEN
        RAISE EXCEPTION 'imgsearch: JSON has one name twice, composed and decomposed'
            USING HINT = 'Keep one: SELECT normalize(name, NFC).', ERRCODE = 'IM008';
    END IF;
    RETURN plain;
END $$;
COMMENT ON FUNCTION imgsearch_internal.composed(jsonb, integer) IS
'JSON whose names and texts are in Unicode''s composed form.';

CREATE OR REPLACE FUNCTION imgsearch_internal.composed(f imgsearch.filters)
RETURNS imgsearch.filters LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF f::text IS NOT NFC NORMALIZED THEN
        f.tenant := normalize(f.tenant, NFC);
        f.category := imgsearch_internal.composed(f.category);
        f.attributes := imgsearch_internal.composed(f.attributes);
        f.product_ids := imgsearch_internal.composed(f.product_ids);
        f.exclude_product_ids := imgsearch_internal.composed(f.exclude_product_ids);
        f.condition := imgsearch_internal.composed(f.condition);
    END IF;
    RETURN f;
END $$;
COMMENT ON FUNCTION imgsearch_internal.composed(imgsearch.filters) IS
'Filters whose texts are in Unicode''s composed form.';

CREATE OR REPLACE FUNCTION imgsearch_internal.image_composed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.tenant_id := normalize(NEW.tenant_id, NFC);
    NEW.product_id := normalize(NEW.product_id, NFC);
    NEW.category := normalize(NEW.category, NFC);
    NEW.categories := imgsearch_internal.composed(NEW.categories);
    NEW.attributes := imgsearch_internal.composed(NEW.attributes);
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgsearch_internal.image_composed() IS
'Trigger: what a picture is found by is kept composed.';
