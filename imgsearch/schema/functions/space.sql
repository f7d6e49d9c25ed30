-- Spaces: make one (a table to rank on, a column to pre-filter on), and make one the searched one.

CREATE OR REPLACE FUNCTION imgsearch.create_space(
    model text, revision text, fingerprint text, dimension integer, preprocessing text,
    mean halfvec, probe_picture halfvec DEFAULT NULL, probe_text halfvec DEFAULT NULL
) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, @extschema:vector@, pg_temp AS $$
DECLARE
    id    integer;
    plain text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN ' STORAGE PLAIN' ELSE '' END;
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
            embedding halfvec(%s)%s NOT NULL,
            PRIMARY KEY (tenant_id, image_id),
            FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE,
            CONSTRAINT vector_has_length_one CHECK (l2_norm(embedding) BETWEEN 0.99 AND 1.01)
        ) WITH (autovacuum_vacuum_scale_factor = 0.1)', id, dimension, plain);
    -- 0.1: a vacuum passes through the whole HNSW four times, so not often; dead entries lengthen walks, so not late.
    EXECUTE format('COMMENT ON TABLE imgsearch.embedding_%s IS %L', id, 'Vectors of ' || model || ': immutable, what you rank on.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.tenant_id IS %L', id, 'Whose picture.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.image_id IS %L', id, 'Which picture.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.sha256 IS %L', id, 'The bytes this vector was made from.');
    EXECUTE format('COMMENT ON COLUMN imgsearch.embedding_%s.embedding IS %L', id, 'Vector of length one; cosine distance is <=>.');
    EXECUTE format('CREATE INDEX embedding_%1$s_hnsw ON imgsearch.embedding_%1$s
        USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 128)', id);
    EXECUTE format('ALTER TABLE imgsearch.image ADD COLUMN bits_%s bit(%s)%s', id, dimension, plain);
    IF plain = '' THEN  -- PostgreSQL 15
        EXECUTE format('ALTER TABLE imgsearch.embedding_%s ALTER COLUMN embedding SET STORAGE PLAIN', id);
        EXECUTE format('ALTER TABLE imgsearch.image ALTER COLUMN bits_%s SET STORAGE PLAIN', id);
    END IF;
    EXECUTE format('COMMENT ON COLUMN imgsearch.image.bits_%s IS %L', id, 'Signs of the vector minus the mean of space ' || id || '; null until embedded.');
    EXECUTE format('CREATE INDEX embedding_%1$s_by_id ON imgsearch.embedding_%1$s (image_id)', id);
    -- Bits are compared in index-only scans, one index for each filter that may stand first: a scan of the rows
    -- themselves in random order was measured 3 to 10 times slower (docs/decisions/0002-search-statement.md).
    EXECUTE format('CREATE INDEX image_bits_%1$s ON imgsearch.image (tenant_id, category, price, in_stock, image_id) INCLUDE (bits_%1$s, product_id)', id);
    EXECUTE format('CREATE INDEX image_bits_category_%1$s ON imgsearch.image (category, price, in_stock, image_id) INCLUDE (bits_%1$s, product_id, tenant_id)', id);
    EXECUTE format('CREATE INDEX image_bits_price_%1$s ON imgsearch.image (price, category, in_stock, image_id) INCLUDE (bits_%1$s, product_id, tenant_id)', id);
    PERFORM imgsearch_internal.write_image_replaced();
    -- Only this table: to wall the others again takes their strongest lock, and somebody who reads imgsearch.status at
    -- that moment holds one and waits for another.
    PERFORM imgsearch.enable_rls(format('imgsearch.embedding_%s', id)::regclass);
    PERFORM imgsearch_internal.grant_rights(format('imgsearch.embedding_%s', id)::regclass);
    RETURN id;
END $$;
COMMENT ON FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec) IS 'Registers a model: makes embedding_<id>, its HNSW index and image.bits_<id>. Workers call it; returns the space_id.';

CREATE OR REPLACE FUNCTION imgsearch.activate_space(id integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, @extschema:vector@, pg_temp AS $$
BEGIN
    UPDATE imgsearch.space SET state = 'retired' WHERE state = 'active' AND space_id <> id;
    UPDATE imgsearch.space SET state = 'active', activated_at = now() WHERE space_id = id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'imgsearch: there is no space %', id
            USING HINT = 'SELECT * FROM imgsearch.space;', ERRCODE = 'IM002';
    END IF;
    DELETE FROM imgsearch.image_sample;  -- its bits are of the space before; workers soon draw another
    PERFORM imgsearch_internal.write_vectors();
END $$;
COMMENT ON FUNCTION imgsearch.activate_space(integer) IS 'Makes a space the searched one, in one transaction: the views follow at commit.';
