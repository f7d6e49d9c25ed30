-- The sample: what a search guesses from.

-- Replaces the sample in one transaction, so that searches always see one. From a large table it takes whole blocks,
-- and of each block one picture before a second: neighbours were added together and are alike.
CREATE OR REPLACE FUNCTION imgsearch_internal.draw_sample(space integer, size integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    many   double precision;
    taken  integer;
    radius double precision;
    crowding double precision;
    -- Those of image, and bits; a generated column (a promoted attribute) follows by itself.
    columns text := (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                     WHERE a.attrelid = 'imgsearch.image_sample'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('imgsearch.image_sample'));
    SELECT greatest(c.reltuples, 0) + imgsearch_internal.tail_rows(space) INTO many FROM pg_class c WHERE c.oid = format('imgsearch.embedding_%s', space)::regclass;
    DELETE FROM imgsearch.image_sample;
    EXECUTE format('INSERT INTO imgsearch.image_sample (%4$s) SELECT %4$s
        FROM (SELECT i.*, i.bits_%1$s AS bits, row_number() OVER (PARTITION BY (i.ctid::text::point)[0] ORDER BY random()) AS turn
              FROM imgsearch.image i TABLESAMPLE SYSTEM (%2$s) WHERE i.bits_%1$s IS NOT NULL) x
        ORDER BY turn, random() LIMIT %3$s', space, least(100, 100.0 * 50 * size / greatest(many, 1)), size, columns);
    GET DIAGNOSTICS taken = ROW_COUNT;
    EXECUTE format('SELECT max(v.embedding <=> s.mean) FROM imgsearch.space s, imgsearch.image_sample i
        JOIN imgsearch.embedding_%1$s v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id WHERE s.space_id = %1$s', space) INTO radius;
    -- Near a question, how many pictures of a product there are until another one comes: of n about n ^ 0.65
    -- (docs/decisions/0013-products.md).
    crowding := (SELECT 1 / avg(greatest(1, x.many) ^ -0.65) FROM imgsearch.image_sample s, LATERAL (
        SELECT count(*) AS many FROM (SELECT 1 FROM imgsearch.image i
            WHERE i.tenant_id = s.tenant_id AND i.product_id = s.product_id LIMIT 100) i) x);
    UPDATE imgsearch.space s
    SET parameters = CASE WHEN taken = 0 THEN s.parameters - 'sample' ELSE s.parameters || jsonb_build_object('sample', jsonb_build_object('at', now(),
            'size', taken, 'pictures', CASE WHEN taken < size THEN taken ELSE round(greatest(many, taken)) END, 'radius', radius, 'crowding', crowding)) END,
        mean_text = coalesce((SELECT CASE WHEN count(*) >= 16 THEN @extschema:vector@.avg(embedding) END
                     FROM (SELECT q.embedding FROM imgsearch.query_vector q WHERE q.space_id = s.space_id AND q.kind = 'text' AND q.embedding IS NOT NULL
                           ORDER BY q.asked_at DESC LIMIT 1000) x), s.mean_text)
    WHERE s.space_id = space;
END $$;
COMMENT ON FUNCTION imgsearch_internal.draw_sample(integer, integer) IS 'Draws the sample anew from the images of a space: of the searched one, or of the one that becomes it in this transaction.';

CREATE OR REPLACE FUNCTION imgsearch.refresh_sample(older_than interval DEFAULT '0', size integer DEFAULT 512) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here record;
BEGIN
    PERFORM imgsearch_internal.require_between('size', size, 1, 100000),
        imgsearch_internal.require_between('older_than (seconds)', coalesce(extract(epoch FROM older_than), 0)::float8, -1e9, 1e9);
    SELECT s.space_id, (s.parameters #>> '{sample,at}')::timestamptz AS at INTO here FROM imgsearch.space s WHERE s.state = 'active'
    FOR SHARE;  -- an activation that is under way is waited for: the sample is of the space that is searched then
    IF NOT FOUND OR here.at > now() - older_than OR NOT pg_try_advisory_xact_lock(hashtext('imgsearch.image_sample')) THEN
        RETURN false;
    END IF;
    PERFORM imgsearch_internal.draw_sample(here.space_id, size);
    PERFORM imgsearch_internal.measure_costs();
    PERFORM imgsearch_internal.measure_engine(s.space_id) FROM imgsearch.space s WHERE s.state <> 'active' AND imgsearch_internal.has_engine(s.space_id);
    RETURN true;
END $$;
COMMENT ON FUNCTION imgsearch.refresh_sample(interval, integer) IS 'Draws the sample anew if it is older than that; workers call it now and then. Returns whether it did.';
