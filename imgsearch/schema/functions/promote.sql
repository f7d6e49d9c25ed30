-- Promotion: a hot attribute becomes a typed column of image with an index that carries the bits, like category and price.

-- The condition over the column, for the operators and value types that mean there exactly what they mean in jsonb.
CREATE OR REPLACE FUNCTION imgsearch_internal.promoted_filter(name text, operator text, value jsonb, n integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    column_name text;
    type        text;
    values_asked jsonb[] := CASE WHEN operator = 'in' THEN ARRAY(SELECT jsonb_array_elements(value)) ELSE ARRAY[value] END;
    kind        text := jsonb_typeof(values_asked[1]);
    cast_to     text;
BEGIN
    SELECT quote_ident(p.column_name), p.type INTO column_name, type FROM imgsearch.promoted_attribute p WHERE p.name = promoted_filter.name;
    IF (type = replace(kind, 'string', 'text')) IS NOT TRUE OR operator NOT IN ('is', 'in', 'min', 'max', 'above', 'below') THEN
        RETURN NULL;
    END IF;
    -- Mixed types, and numbers that double precision cannot tell apart, are compared in jsonb.
    IF EXISTS (SELECT 1 FROM unnest(values_asked) e WHERE jsonb_typeof(e) <> kind)
       OR kind = 'number' AND EXISTS (SELECT 1 FROM unnest(values_asked) e
            WHERE CASE WHEN abs(e::numeric) < 1e300 AND (e::numeric = 0 OR abs(e::numeric) > 1e-300) THEN e::double precision::numeric <> e::numeric ELSE true END) THEN
        RETURN NULL;
    END IF;
    column_name := 'i.' || column_name;
    cast_to := CASE type WHEN 'number' THEN '::double precision' WHEN 'boolean' THEN '::boolean' ELSE '' END;
    RETURN CASE operator
        WHEN 'is' THEN format('%s = (($1).vals[%s] ->> ($1).names[%2$s])%s', column_name, n, cast_to)
        WHEN 'in' THEN format('%s = ANY (ARRAY(SELECT e%s FROM jsonb_array_elements_text(($1).vals[%s]) e))', column_name, cast_to, n)
        ELSE format('%s %s (($1).vals[%s] #>> ''{}'')%s', column_name,
                    CASE operator WHEN 'min' THEN '>=' WHEN 'max' THEN '<=' WHEN 'above' THEN '>' ELSE '<' END, n, cast_to)
    END;
END $$;
COMMENT ON FUNCTION imgsearch_internal.promoted_filter(text, text, jsonb, integer) IS 'The condition on an attribute that was promoted to a column; null where jsonb must be asked.';

CREATE OR REPLACE FUNCTION imgsearch.promote_attribute(name text, type text DEFAULT 'text') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made   text;
    before text;
    value  text;
    id     integer;
BEGIN
    IF (type IN ('text', 'number', 'boolean') AND name <> '' AND length(name) <= 1000) IS NOT TRUE THEN
        RAISE EXCEPTION 'imgsearch: % cannot be promoted as %', coalesce(quote_literal(left(name, 100)), 'null'), coalesce(quote_literal(type), 'null')
            USING HINT = 'The type is text, number or boolean: SELECT imgsearch.promote_attribute(''size'', ''number'');', ERRCODE = 'IM009';
    END IF;
    SELECT p.column_name, p.type INTO made, before FROM imgsearch.promoted_attribute p WHERE p.name = promote_attribute.name;
    IF before <> type THEN
        RAISE EXCEPTION 'imgsearch: % is promoted as % already', quote_literal(name), before
            USING HINT = format('SELECT imgsearch.demote_attribute(%L); then promote it as %s.', name, type), ERRCODE = 'IM009';
    ELSIF made IS NULL THEN
        made := left('attribute_' || regexp_replace(lower(name), '\W+', '_', 'g'), 40);
        IF EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = 'imgsearch.image'::regclass AND a.attname = made) THEN
            made := made || '_' || left(md5(name), 6);
        END IF;
        -- Only values of this type: another one must not make an INSERT fail.
        value := CASE type
            WHEN 'text' THEN format('text GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(attributes -> %1$L) = ''string'' THEN attributes ->> %1$L END) STORED', name)
            WHEN 'number' THEN format('double precision GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(attributes -> %1$L) = ''number'' THEN CASE WHEN abs((attributes -> %1$L)::numeric) < 1e300 AND ((attributes -> %1$L)::numeric = 0 OR abs((attributes -> %1$L)::numeric) > 1e-300) THEN (attributes -> %1$L)::double precision END END) STORED', name)
            ELSE format('boolean GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(attributes -> %1$L) = ''boolean'' THEN (attributes -> %1$L)::boolean END) STORED', name) END;
        PERFORM set_config('lock_timeout', '3s', true);  -- others wait behind whoever waits for this lock
        EXECUTE format('ALTER TABLE imgsearch.image ADD COLUMN %I %s', made, value);
        EXECUTE format('ALTER TABLE imgsearch.image_sample ADD COLUMN %I %s', made, value);
        EXECUTE format('COMMENT ON COLUMN imgsearch.image.%I IS %L', made, 'Promoted attribute ' || name || ', where it is of type ' || type || '.');
        EXECUTE format('COMMENT ON COLUMN imgsearch.image_sample.%I IS %L', made, 'Promoted attribute ' || name || ', where it is of type ' || type || '.');
        INSERT INTO imgsearch.promoted_attribute (name, type, column_name) VALUES (name, type, made);
    END IF;
    FOR id IN SELECT s.space_id FROM imgsearch.space s LOOP
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON imgsearch.image (%I, tenant_id, category, price, in_stock, image_id) INCLUDE (bits_%s, product_id)',
                       'image_bits_' || made || '_' || id, made, id);
    END LOOP;
    PERFORM imgsearch_internal.write_engines();
    RETURN made;
END $$;
COMMENT ON FUNCTION imgsearch.promote_attribute(text, text) IS 'Gives an attribute a typed, indexed column that searches use; returns its name. Rewrites image: writers and searches wait meanwhile. SELECT imgsearch.promote_attribute(''colour'', ''text'');';

CREATE OR REPLACE FUNCTION imgsearch.demote_attribute(name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    DELETE FROM imgsearch.promoted_attribute p WHERE p.name = demote_attribute.name RETURNING p.column_name INTO made;
    IF made IS NOT NULL THEN
        PERFORM imgsearch_internal.drop_engine(s.space_id) FROM imgsearch.space s;  -- their samples have the column, too
        EXECUTE format('ALTER TABLE imgsearch.image DROP COLUMN %I', made);
        EXECUTE format('ALTER TABLE imgsearch.image_sample DROP COLUMN %I', made);
        PERFORM imgsearch_internal.write_engines();
    END IF;
    RETURN made IS NOT NULL;
END $$;
COMMENT ON FUNCTION imgsearch.demote_attribute(text) IS 'Takes a promoted attribute''s column and index away; the attribute itself stays. Returns whether there was one.';
