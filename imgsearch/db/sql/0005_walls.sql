-- Walls between tenants: row-level security on every table with a tenant, forced on its owner too, and four roles
-- without superuser. The tenant is a setting of the transaction: SELECT set_config('imgsearch.tenant', 'acme', true).
--
--   imgsearch_reader   searches, one tenant's pictures       walled
--   imgsearch_writer   adds and removes them as well         walled
--   imgsearch_worker   embeds everybody's                    sees all
--   imgsearch_admin    everything, for people                sees all
--
-- A role that is none of these sees nothing. The owner sees all (it could drop the wall anyway): serve strangers as
-- imgsearch_reader or imgsearch_writer, never as the owner. imgsearch.walled() tells whether a role is behind the wall.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['imgsearch_reader', 'imgsearch_writer', 'imgsearch_worker', 'imgsearch_admin'] LOOP
        BEGIN
            IF to_regrole(wanted) IS NULL THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'imgsearch: this role may not create roles; ask an administrator for: CREATE ROLE % NOLOGIN; then SELECT imgsearch.raise_walls();', wanted;
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- roles belong to the whole server: another database's migration was quicker
        END;
    END LOOP;
END $$;

CREATE FUNCTION imgsearch.current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    -- '' is what a setting of an ended transaction leaves behind on a pooled connection: it must mean nobody.
    SELECT nullif(current_setting('imgsearch.tenant', true), '')
$$;
COMMENT ON FUNCTION imgsearch.current_tenant() IS 'The tenant this transaction speaks for: SELECT set_config(''imgsearch.tenant'', ''acme'', true). Null: nobody.';

CREATE FUNCTION imgsearch.walled() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT r.rolsuper AND NOT r.rolbypassrls
       AND NOT EXISTS (SELECT FROM unnest(ARRAY['imgsearch_admin', 'imgsearch_worker']) AS open (name)
                       WHERE to_regrole(open.name) IS NOT NULL AND pg_has_role(current_user, open.name, 'USAGE'))
       AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass AND pg_has_role(current_user, c.relowner, 'USAGE'))
       AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
                       WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p')
                         AND NOT (c.relrowsecurity AND c.relforcerowsecurity))
    FROM pg_roles r WHERE r.rolname = current_user
$$;
COMMENT ON FUNCTION imgsearch.walled() IS 'Whether this role is behind the wall: it sees one tenant at a time. A door for strangers refuses to open when it is not.';

CREATE FUNCTION imgsearch.raise_walls(one regclass DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    is_open  text := quote_ident((SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'imgsearch.image'::regclass));
    is_walled text;
    role     text;
BEGIN
    SELECT string_agg(quote_ident(name), ', ') INTO is_walled
    FROM unnest(ARRAY['imgsearch_reader', 'imgsearch_writer']) AS w (name) WHERE to_regrole(name) IS NOT NULL;
    FOREACH role IN ARRAY ARRAY['imgsearch_worker', 'imgsearch_admin'] LOOP
        IF to_regrole(role) IS NOT NULL THEN
            is_open := is_open || ', ' || quote_ident(role);
        END IF;
    END LOOP;

    FOR relation IN
        SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND (one IS NULL OR c.oid = one)
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('DROP POLICY IF EXISTS open_for_all_tenants ON %s', relation);
        EXECUTE format('CREATE POLICY open_for_all_tenants ON %s TO %s USING (true) WITH CHECK (true)', relation, is_open);
        EXECUTE format('DROP POLICY IF EXISTS one_tenant ON %s', relation);
        IF is_walled IS NOT NULL THEN
            EXECUTE format('CREATE POLICY one_tenant ON %s TO %s
                USING (tenant_id = nullif(current_setting(''imgsearch.tenant'', true), ''''))
                WITH CHECK (tenant_id = nullif(current_setting(''imgsearch.tenant'', true), ''''))', relation, is_walled);
        END IF;
    END LOOP;
    PERFORM imgsearch.grant_rights();
END $$;
COMMENT ON FUNCTION imgsearch.raise_walls(regclass) IS 'Puts the wall on every table with a tenant, or on that one, and grants each role its rights; safe to run again, and needed after roles were created by hand.';

CREATE FUNCTION imgsearch.grant_rights() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    vectors text;
BEGIN
    SELECT coalesce(string_agg(format(', imgsearch.embedding_%s', space_id), ''), '') INTO vectors FROM imgsearch.space;
    REVOKE EXECUTE ON FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec),
        imgsearch.activate_space(integer), imgsearch.name_spaces_in_trigger(), imgsearch.raise_walls(regclass), imgsearch.grant_rights(),
        imgsearch.requeue(text, text, bigint), imgsearch.refetch(text, text, bigint) FROM PUBLIC;
    IF to_regprocedure('imgsearch.promote_attribute(text, text)') IS NOT NULL THEN
        REVOKE EXECUTE ON FUNCTION imgsearch.promote_attribute(text, text), imgsearch.demote_attribute(text) FROM PUBLIC;
    END IF;
    IF to_regrole('imgsearch_reader') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA imgsearch TO imgsearch_reader;
        EXECUTE 'GRANT SELECT ON imgsearch.image, imgsearch.job, imgsearch.space, imgsearch.worker, imgsearch.vectors, '
             || 'imgsearch.images, imgsearch.status, imgsearch.failures, imgsearch.violations' || vectors || ' TO imgsearch_reader';
        -- Answers, but not the texts and pictures of others that still wait.
        GRANT SELECT (space_id, kind, key, embedding, error_code, error, asked_at, answered_at, claimed)
            ON imgsearch.query_vector TO imgsearch_reader;
        IF to_regclass('imgsearch.image_sample') IS NOT NULL THEN
            GRANT SELECT ON imgsearch.image_sample TO imgsearch_reader;
        END IF;
        IF to_regclass('imgsearch.doctor') IS NOT NULL THEN  -- explain_search() reads these
            GRANT SELECT ON imgsearch.promoted_attribute, imgsearch.tuning, imgsearch.doctor_settings, imgsearch.doctor_indexes,
                imgsearch.doctor_tables, imgsearch.doctor_tuning TO imgsearch_reader;
        END IF;
    END IF;
    IF to_regrole('imgsearch_writer') IS NOT NULL THEN
        IF to_regrole('imgsearch_reader') IS NOT NULL THEN
            GRANT imgsearch_reader TO imgsearch_writer;
        END IF;
        GRANT INSERT, UPDATE, DELETE ON imgsearch.image TO imgsearch_writer;
    END IF;
    IF to_regrole('imgsearch_worker') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA imgsearch TO imgsearch_worker;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA imgsearch TO imgsearch_worker;
        GRANT EXECUTE ON FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec),
            imgsearch.activate_space(integer), imgsearch.requeue(text, text, bigint),
            imgsearch.refetch(text, text, bigint) TO imgsearch_worker;
    END IF;
    IF to_regrole('imgsearch_admin') IS NOT NULL THEN
        GRANT ALL ON SCHEMA imgsearch TO imgsearch_admin;
        GRANT ALL ON ALL TABLES IN SCHEMA imgsearch TO imgsearch_admin;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA imgsearch TO imgsearch_admin;
        GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA imgsearch TO imgsearch_admin;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'imgsearch: this role may not grant rights to the roles of imgsearch (they were made by another); ask an administrator to run: SELECT imgsearch.grant_rights();';
END $$;
COMMENT ON FUNCTION imgsearch.grant_rights() IS 'Grants each role of imgsearch what it needs, and nothing else.';

-- What reaches beyond the caller's rights does so as the owner, with a fixed search path, and nothing else:
-- the triggers (a writer may queue pictures without touching the queue), asking (a reader may ask without writing
-- vectors), and making a space (a worker may register its model without owning tables).
ALTER FUNCTION imgsearch.image_inserted() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION imgsearch.image_replaced() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION imgsearch.ask(text, bytea) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec) SECURITY DEFINER;
ALTER FUNCTION imgsearch.activate_space(integer) SECURITY DEFINER;
DO $$
BEGIN
    -- These two use the vector type, whose schema is where the extension was installed.
    EXECUTE format('ALTER FUNCTION imgsearch.create_space(text, text, text, integer, text, halfvec, halfvec, halfvec) SET search_path = pg_catalog, %I, pg_temp',
        (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'));
    EXECUTE format('ALTER FUNCTION imgsearch.activate_space(integer) SET search_path = pg_catalog, %I, pg_temp',
        (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'));
END $$;

-- A new space's table stands behind the wall from its first moment.
CREATE OR REPLACE FUNCTION imgsearch.space_made(id integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ALTER FUNCTION imgsearch.image_replaced() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
    -- The others have theirs: to raise it again takes their strongest lock, and somebody who reads imgsearch.status at
    -- that moment holds one and waits for another.
    PERFORM imgsearch.raise_walls(format('imgsearch.embedding_%s', id)::regclass);
END $$;

SELECT imgsearch.raise_walls();
