-- Spaces: make one (a table to rank on, a column to pre-filter on), make one the searched one,
-- and keep every picture's state true when its bytes change.

-- The searched space, behind one stable name. activate_space() replaces it; typmod-less on purpose, so that a
-- model of another dimension can take over without dropping the views that people built on top.
CREATE VIEW imgsearch.vectors WITH (security_invoker = true) AS
SELECT NULL::text AS tenant_id, NULL::bigint AS image_id, NULL::bytea AS sha256, NULL::halfvec AS embedding, NULL::integer AS space_id
WHERE false;
COMMENT ON VIEW imgsearch.vectors IS 'Vectors of the active space; replaced when another space becomes active.';

CREATE VIEW imgsearch.images WITH (security_invoker = true) AS
SELECT i.tenant_id, i.image_id, i.product_id, i.position, i.category, i.price, i.in_stock, i.attributes,
       i.uri, i.sha256, i.created_at, i.updated_at, v.embedding
FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id;
COMMENT ON VIEW imgsearch.images IS 'Searchable pictures: image joined to the active space. … ORDER BY embedding <=> imgsearch.vec(''red canvas shoe'') LIMIT 10';

-- A picture whose bytes change is unsearchable until the new bytes are embedded: an old vector never answers for
-- a new picture. create_space() rewrites the body, because it names every live space.
CREATE FUNCTION imgsearch.image_replaced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    INSERT INTO imgsearch.job AS j (tenant_id, image_id) VALUES (NEW.tenant_id, NEW.image_id)
    ON CONFLICT (tenant_id, image_id) DO UPDATE
        SET state = 'pending', due = now(), lease = NULL, token = NULL, attempts = 0,
            error_code = NULL, error = NULL, created_at = now();
    PERFORM pg_notify('imgsearch_image', '');
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgsearch.image_replaced() IS 'Trigger: new bytes → the old vectors go, the picture waits again.';

CREATE FUNCTION imgsearch.image_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO imgsearch.job (tenant_id, image_id) SELECT tenant_id, image_id FROM inserted
    ON CONFLICT (tenant_id, image_id) DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('imgsearch_image', '');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION imgsearch.image_inserted() IS 'Trigger: a new picture waits for a worker.';

CREATE FUNCTION imgsearch.image_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'imgsearch: the tenant of a picture never changes'
        USING HINT = 'Delete the picture and add it for the other tenant.', ERRCODE = 'IM009';
END $$;
COMMENT ON FUNCTION imgsearch.image_moved() IS 'Trigger: refuses to move a picture to another tenant.';

-- Statement-level with a transition table: one queue insert and one NOTIFY for a COPY of a million rows.
CREATE TRIGGER image_inserted AFTER INSERT ON imgsearch.image
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION imgsearch.image_inserted();
COMMENT ON TRIGGER image_inserted ON imgsearch.image IS 'A new picture waits for a worker.';
-- Row-level with WHEN: a price update does not even enter the function. The first digest of a fetched address
-- (null → value) is the worker's own write and not a replacement.
CREATE TRIGGER image_replaced BEFORE UPDATE OF uri, sha256 ON imgsearch.image FOR EACH ROW
    WHEN (OLD.uri IS DISTINCT FROM NEW.uri OR (OLD.sha256 IS NOT NULL AND OLD.sha256 IS DISTINCT FROM NEW.sha256))
    EXECUTE FUNCTION imgsearch.image_replaced();
COMMENT ON TRIGGER image_replaced ON imgsearch.image IS 'New bytes → the old vectors go, the picture waits again.';
CREATE TRIGGER image_moved BEFORE UPDATE OF tenant_id ON imgsearch.image FOR EACH ROW
    WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION imgsearch.image_moved();
COMMENT ON TRIGGER image_moved ON imgsearch.image IS 'Refuses to move a picture to another tenant.';

-- Rewrite image_replaced() so that it names every live space.
CREATE FUNCTION imgsearch.name_spaces_in_trigger() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    forget text;
BEGIN
    SELECT coalesce(string_agg(format(
        '    NEW.bits_%1$s := NULL; DELETE FROM imgsearch.embedding_%1$s e WHERE e.tenant_id = NEW.tenant_id AND e.image_id = NEW.image_id;',
        space_id), E'\n' ORDER BY space_id), '')
    INTO forget FROM imgsearch.space WHERE state <> 'retired';
    EXECUTE format($f$
CREATE OR REPLACE FUNCTION imgsearch.image_replaced() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.updated_at := now();
%s
    INSERT INTO imgsearch.job AS j (tenant_id, image_id) VALUES (NEW.tenant_id, NEW.image_id)
    ON CONFLICT (tenant_id, image_id) DO UPDATE
        SET state = 'pending', due = now(), lease = NULL, token = NULL, attempts = 0,
            error_code = NULL, error = NULL, created_at = now();
    PERFORM pg_notify('imgsearch_image', '');
    RETURN NEW;
END $body$ $f$, forget);
END $$;
COMMENT ON FUNCTION imgsearch.name_spaces_in_trigger() IS 'Rewrites the trigger that forgets vectors of replaced pictures, after a space was made or retired.';

-- What else a new space needs; the walls between tenants replace it.
CREATE FUNCTION imgsearch.space_made(id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    NULL;
END $$;
COMMENT ON FUNCTION imgsearch.space_made(integer) IS 'Called when a space was made: puts its table behind the wall.';

-- What else a newly searched space needs; the search functions replace it.
CREATE FUNCTION imgsearch.space_activated(id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    NULL;
END $$;
COMMENT ON FUNCTION imgsearch.space_activated(integer) IS 'Called when a space becomes the searched one: names its bits.';

CREATE FUNCTION imgsearch.create_space(
    model text, revision text, fingerprint text, dimension integer, preprocessing text,
    mean halfvec, probe_picture halfvec DEFAULT NULL, probe_text halfvec DEFAULT NULL
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    id integer;
BEGIN
    -- The strongest lock first: taken after a weaker one it meets writers that want theirs, and one of the two is
    -- ended as a deadlock. All others wait behind whoever waits for it, so not for long: a worker tries again.
    PERFORM set_config('lock_timeout', '3s', true);
    LOCK TABLE imgsearch.image IN ACCESS EXCLUSIVE MODE;
    INSERT INTO imgsearch.space (model, revision, fingerprint, dimension, preprocessing, mean, probe_picture, probe_text)
    VALUES (model, revision, fingerprint, dimension, preprocessing, mean, probe_picture, probe_text)
    RETURNING space_id INTO id;
    -- Storage PLAIN keeps the vector in the row: an exact scan of TOASTed vectors was measured 4.4 times slower.
    -- image_id before tenant_id wastes no byte on alignment: with 768 dimensions five rows fit a page, not four.
    EXECUTE format('CREATE TABLE imgsearch.embedding_%s (
            image_id bigint NOT NULL,
            tenant_id text NOT NULL,
            sha256 bytea NOT NULL,
            embedding halfvec(%s) NOT NULL,
            PRIMARY KEY (tenant_id, image_id),
            FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE,
            CONSTRAINT vector_has_length_one CHECK (l2_norm(embedding) BETWEEN 0.99 AND 1.01)
        ) WITH (autovacuum_vacuum_scale_factor = 0.1)', id, dimension);
    -- 0.1: a vacuum passes through the whole HNSW four times, so not often; dead entries lengthen walks, so not late.
    EXECUTE format('ALTER TABLE imgsearch.embedding_%s ALTER COLUMN embedding SET STORAGE PLAIN', id);
    EXECUTE format('COMMENT ON TABLE imgsearch.embedding_%s IS %L', id, 'Vectors of ' || model || ': immutable, what you rank on.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.tenant_id IS %L', id, 'Whose picture.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.image_id IS %L', id, 'Which picture.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.sha256 IS %L', id, 'The bytes this vector was made from.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.embedding IS %L', id, 'Vector of length one; cosine distance is <=>.');
    EXECUTE format('CREATE INDEX embedding_%1$s_hnsw ON imgsearch.embedding_%1$s
        USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 128)', id);
    EXECUTE format('ALTER TABLE imgsearch.image ADD COLUMN bits_%s bit(%s)', id, dimension);
    EXECUTE format('ALTER TABLE imgsearch.image ALTER COLUMN bits_%s SET STORAGE PLAIN', id);
    EXECUTE format('COMMENT ON COLUMN imgsearch.image.bits_%s IS %L', id, 'Signs of the vector minus the mean of space ' || id || '; null until embedded.');
    EXECUTE format('CREATE INDEX embedding_%1$s_by_id ON imgsearch.embedding_%1$s (image_id)', id);
    -- Bits are compared in index-only scans, one index for each filter that may stand first: a scan of the rows
    -- themselves in random order was measured 3 to 10 times slower (docs/decisions/0002-search-statement.md).
    EXECUTE format('CREATE INDEX image_bits_%1$s ON imgsearch.image (tenant_id, category, price, in_stock, image_id) INCLUDE (bits_%1$s)', id);
    EXECUTE format('CREATE INDEX image_bits_category_%1$s ON imgsearch.image (category, price, in_stock, image_id) INCLUDE (bits_%1$s)', id);
    EXECUTE format('CREATE INDEX image_bits_price_%1$s ON imgsearch.image (price, category, in_stock, image_id) INCLUDE (bits_%1$s)', id);
    PERFORM imgsearch.name_spaces_in_trigger();
    PERFORM imgsearch.space_made(id);
    RETURN id;
END $$;
COMMENT ON FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec) IS 'Registers a model: makes embedding_<id>, its HNSW index and image.bits_<id>. Workers call it; answers the space_id.';

CREATE FUNCTION imgsearch.activate_space(id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE imgsearch.space SET state = 'retired' WHERE state = 'active' AND space_id <> id;
    UPDATE imgsearch.space SET state = 'active', activated_at = now() WHERE space_id = id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'imgsearch: there is no space %', id
            USING HINT = 'SELECT * FROM imgsearch.space;', ERRCODE = 'IM002';
    END IF;
    EXECUTE format('CREATE OR REPLACE VIEW imgsearch.vectors WITH (security_invoker = true) AS
        SELECT tenant_id, image_id, sha256, embedding::halfvec AS embedding, %1$s AS space_id FROM imgsearch.embedding_%1$s', id);
    PERFORM imgsearch.space_activated(id);
END $$;
COMMENT ON FUNCTION imgsearch.activate_space(integer) IS 'Makes a space the searched one, in one transaction: the views follow at commit.';
