-- Who may do what: roles, row-level security, and one table role × right × object. Applied last, after every change of
-- the functions; what is not in the table is taken away from these roles and from PUBLIC.
--
--   imgsearch_reader   searches, one tenant's pictures       behind row-level security
--   imgsearch_writer   adds and removes them as well         behind row-level security
--   imgsearch_worker   embeds everybody's                    sees all tenants, no keys
--   imgsearch_admin    reads and writes all, for people      sees all tenants; no owner: what the owner runs (triggers,
--                                                            mappings, types of columns) is not his to write

CREATE OR REPLACE VIEW imgsearch_internal.rights WITH (security_invoker = true) AS
SELECT 'imgsearch_' || r.role AS role, r.rights, r.kind, o.object
FROM (VALUES
    ('reader', 'USAGE', 'schema', ARRAY['imgsearch', 'imgsearch_internal']),
    ('reader', 'SELECT', 'table', ARRAY['image', 'image_sample', 'embedding_<n>', 'product', 'merchandise', 'calibration', 'job', 'attachment_failure', 'space', 'worker', 'promoted_attribute', 'schema_version']),
    ('reader', 'SELECT', 'table', ARRAY['shop', 'vocabulary', 'past_question', 'vote']),
    ('reader', 'SELECT', 'table', ARRAY['picture_source', 'capture', 'fingerprint', 'duplicate', 'dismissal', 'region_<n>', 'region_state', 'tenant_graph']),
    -- Answers to its own tenant's questions, but not the texts and pictures that still wait.
    ('reader', 'SELECT (tenant_id, space_id, kind, key, embedding, error_code, error, asked_at, answered_at, claimed, ticket, tokens, tokens_read, boxes)', 'table', ARRAY['query_vector']),
    ('reader', 'SELECT (tenant_id, ticket, space_id, steps, images, pool, belongs_to, asked_at, until, claimed, answered_at, answer)', 'table', ARRAY['second_look']),
    ('reader', 'SELECT', 'view', ARRAY['images', 'vectors', 'graph_vectors', 'tail_vectors', 'regions', 'status', 'jobs', 'failures', 'violations', 'spaces', 'duplicates', 'tenant_graphs']),
    ('reader', 'SELECT', 'view', ARRAY['tuning', 'doctor_settings', 'doctor_indexes', 'doctor_tables', 'doctor_tuning']),  -- read by explain_search()
    ('reader', 'SELECT', 'view', ARRAY['rights']),  -- read by `imgsearch db check`, with which every process begins
    ('reader', 'EXECUTE', 'function', ARRAY['check_api_key', 'note_key_use', 'begin_session', 'find_session', 'end_session', 'link_secret', 'words_found_here', 'asked_words_here', 'words_page_here', 'suggest_here', 'keep_question_here', 'alike_here']),
    ('reader', 'EXECUTE', 'function', ARRAY['enqueue_question', 'enqueue_look']),

    -- imgsearch_writer is a member of imgsearch_reader.
    ('writer', 'USAGE', 'schema', ARRAY['imgsearch', 'imgsearch_internal']),
    -- Not image_id: a role of one tenant that chose the id of another's image would stand in that one's results.
    ('writer', 'INSERT (tenant_id, product_id, position, category, categories, price, in_stock, attributes, uri, sha256, created_at, updated_at), DELETE', 'table', ARRAY['image']),
    -- Nor what workers and attached tables keep there: bits, attachment_id.
    ('writer', 'UPDATE (product_id, position, category, categories, price, in_stock, attributes, uri, sha256, updated_at)', 'table', ARRAY['image']),
    ('writer', 'INSERT, UPDATE, DELETE', 'table', ARRAY['merchandise', 'product']),
    ('writer', 'INSERT', 'table', ARRAY['vote']),
    ('writer', 'INSERT, DELETE', 'table', ARRAY['dismissal']),
    ('writer', 'DELETE', 'table', ARRAY['duplicate']),  -- of a pair that he dismisses
    ('writer', 'EXECUTE', 'function', ARRAY['set_aside', 'store_given_here']),
    ('writer', 'INSERT, UPDATE, DELETE', 'table', ARRAY['picture_source']),

    ('worker', 'USAGE', 'schema', ARRAY['imgsearch', 'imgsearch_internal']),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'table', ARRAY['image', 'image_sample', 'embedding_<n>', 'product', 'calibration', 'job', 'query_vector', 'second_look', 'space', 'worker']),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'table', ARRAY['shop', 'vocabulary', 'past_question', 'fingerprint', 'duplicate', 'dismissal']),
    ('worker', 'SELECT', 'table', ARRAY['attachment', 'attachment_failure', 'merchandise', 'promoted_attribute', 'schema_version']),
    ('worker', 'SELECT', 'table', ARRAY['picture_source']),
    ('worker', 'SELECT, INSERT, UPDATE, DELETE', 'table', ARRAY['capture', 'region_<n>', 'region_state', 'tenant_graph', 'upkeep_failure']),
    ('worker', 'SELECT', 'view', ARRAY['images', 'vectors', 'graph_vectors', 'tail_vectors', 'regions', 'status', 'jobs', 'failures', 'violations', 'spaces', 'duplicates', 'attachments', 'tuning', 'tenant_graphs']),
    ('worker', 'SELECT', 'view', ARRAY['doctor', 'doctor_settings', 'doctor_indexes', 'doctor_tables', 'doctor_tuning', 'doctor_tenants', 'doctor_rights', 'doctor_work', 'doctor_upkeep', 'rights']),
    ('worker', 'EXECUTE', 'function', ARRAY['add_space', 'fill_space', 'activate_space', 'requeue', 'refetch', 'retry_attached', 'sweep_sessions', 'refresh_vocabulary', 'words_found_here', 'asked_words_here', 'words_page_here', 'suggest_here', 'keep_question_here', 'alike_here', 'forget_regions']),
    ('worker', 'EXECUTE', 'function', ARRAY['enqueue_question', 'enqueue_look']),

    ('admin', 'USAGE', 'schema', ARRAY['imgsearch', 'imgsearch_internal']),
    ('admin', 'SELECT', 'table', ARRAY['applied_object', 'attachment', 'promoted_attribute', 'schema_version']),
    ('admin', 'SELECT, INSERT, UPDATE, DELETE', 'table', ARRAY['*']),
    ('admin', 'SELECT', 'view', ARRAY['*']),
    -- A function that stands anywhere in this table is nobody's unless it is granted; all others are everybody's.
    ('admin', 'EXECUTE', 'function', ARRAY['add_space', 'fill_space', 'activate_space', 'drop_space', 'requeue', 'refetch', 'retry_attached', 'repair_violations', 'promote_attribute', 'demote_attribute',
                                           'check_api_key', 'note_key_use', 'begin_session', 'find_session', 'end_session', 'sweep_sessions', 'link_secret',
                                           'refresh_vocabulary', 'words_found_here', 'asked_words_here', 'words_page_here', 'suggest_here', 'keep_question_here', 'alike_here', 'set_shop', 'forget_regions', 'enable_rls', 'grant_rights', 'rebuild_generated',
                                           'write_image_triggers', 'write_vectors', 'set_aside', 'store_given_here', 'enqueue_question', 'enqueue_look'])
) r (role, rights, kind, objects), unnest(r.objects) o (object);
COMMENT ON VIEW imgsearch_internal.rights IS 'What each role of imgsearch may do; embedding_<n> and region_<n> are the tables of every space, * every object of its kind that has no line of that role.';

CREATE OR REPLACE FUNCTION imgsearch_internal.grant_rights(one regclass DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    grantees text := 'PUBLIC' || (SELECT coalesce(string_agg(DISTINCT ', ' || quote_ident(r.role), ''), '') FROM imgsearch_internal.rights r WHERE to_regrole(r.role) IS NOT NULL);
    subject  record;
    given    record;
BEGIN
    FOR subject IN
        SELECT CASE WHEN c.relkind = 'v' THEN 'view' ELSE 'table' END AS kind, 'TABLE ' || c.oid::regclass AS called, regexp_replace(regexp_replace(c.relname, '^embedding_\d+(_tail)?$', 'embedding_<n>'), '^region_\d+$', 'region_<n>') AS name
        FROM pg_class c
        WHERE c.relnamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND c.oid = coalesce(one, c.oid)
        UNION ALL
        SELECT 'function', 'ROUTINE ' || p.oid::regprocedure, p.proname FROM pg_proc p
        WHERE p.pronamespace IN ('imgsearch'::regnamespace, 'imgsearch_internal'::regnamespace) AND one IS NULL
          AND EXISTS (SELECT 1 FROM imgsearch_internal.rights r WHERE r.kind = 'function' AND r.object = p.proname)
        UNION ALL
        SELECT 'schema', format('SCHEMA %I', n.nspname), n.nspname FROM pg_namespace n WHERE n.nspname IN ('imgsearch', 'imgsearch_internal') AND one IS NULL
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', subject.called, grantees);
        FOR given IN
            SELECT r.rights, r.role FROM imgsearch_internal.rights r
            WHERE r.kind = subject.kind AND to_regrole(r.role) IS NOT NULL AND (r.object = subject.name OR r.object = '*' AND NOT EXISTS (
                SELECT 1 FROM imgsearch_internal.rights o WHERE o.role = r.role AND o.kind = r.kind AND o.object = subject.name))
        LOOP
            EXECUTE format('GRANT %s ON %s TO %I', given.rights, subject.called, given.role);
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION imgsearch_internal.grant_rights(regclass) IS 'Gives each role of imgsearch what imgsearch_internal.rights says, and takes the rest away; of one table, or of everything.';

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
                RAISE NOTICE 'imgsearch: this role may not create roles; ask an administrator for: CREATE ROLE % NOLOGIN; then SELECT imgsearch.enable_rls(), imgsearch_internal.grant_rights();', wanted;
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- roles belong to the whole server: another database's upgrade was quicker
        END;
    END LOOP;
    -- A web process may log in as the owner and step down to imgsearch_reader or imgsearch_writer for each request
    -- (SET LOCAL ROLE), for which the owner must be their member.
    BEGIN
        IF to_regrole('imgsearch_reader') IS NOT NULL AND to_regrole('imgsearch_writer') IS NOT NULL THEN
            IF NOT pg_has_role('imgsearch_writer', 'imgsearch_reader', 'MEMBER') THEN
                GRANT imgsearch_reader TO imgsearch_writer;
            END IF;
            IF NOT pg_has_role(current_user, 'imgsearch_writer', 'MEMBER') THEN
                EXECUTE format('GRANT imgsearch_writer TO %I', current_user);
            END IF;
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'imgsearch: this role may not grant the roles of imgsearch (they were made by another); ask an administrator for: GRANT imgsearch_reader TO imgsearch_writer; GRANT imgsearch_writer TO %;', current_user;
    END;
END $$;

SELECT imgsearch.enable_rls();
SELECT imgsearch_internal.grant_rights();
-- With the rights of what they are written from.
SELECT imgsearch_internal.write_engines();
