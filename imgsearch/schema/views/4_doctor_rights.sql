-- Roles, rights and who may create where, as the doctor looks at them.

CREATE OR REPLACE VIEW imgsearch.doctor_rights WITH (security_invoker = true) AS
SELECT 'roles missing' AS check_name, 'problem' AS severity, coalesce('this server lacks ' || nullif(array_to_string(m.missing, ', '), ''), 'the owner of imgsearch may not step down to imgsearch_writer') AS detail,
       'No process can step down to one tenant, or work with less than the owner''s rights.' AS impact,
       array_to_string(m.typed, ' ') || '  -- an administrator does; then: imgsearch db mend' AS fix
FROM (SELECT imgsearch_internal.missing_roles() AS missing, imgsearch_internal.missing_grants() AS typed) m WHERE m.typed <> '{}'
UNION ALL
SELECT 'others may create in our schemas', 'problem', format('%s may create in the schema %s', string_agg(DISTINCT coalesce(r.rolname, 'everybody'), ', '), n.nspname),
       'What they create there can run with the rights of imgsearch''s owner.',
       string_agg(DISTINCT format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname, coalesce(quote_ident(r.rolname), 'PUBLIC')), ' ')
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname ~ '^imgsearch(_internal|_space_\d+)?$' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner AND NOT coalesce(r.rolsuper, false)
GROUP BY n.nspname
UNION ALL
SELECT 'others may create beside pgvector', 'advice', format('%s may create in the schema %s', string_agg(DISTINCT coalesce(r.rolname, 'everybody'), ', '), n.nspname),
       'Your own statements that name <=> or functions bare may meet theirs; those of imgsearch do not.',
       'CREATE SCHEMA extensions; ALTER EXTENSION vector SET SCHEMA extensions;  -- then: imgsearch db upgrade, and extensions in your search_path'
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace CROSS JOIN LATERAL aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE e.extname = 'vector' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner AND NOT coalesce(r.rolsuper, false)
  AND a.grantee <> (SELECT c.relowner FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass)
GROUP BY n.nspname
UNION ALL
SELECT 'rights missing', 'problem', format('%s rights are not as they must be, the first: %s %s on %s', count(*), min(m.role), min(m.problem), min(m.object)),
       'A process that works with a role of imgsearch is refused, or may more than it must.', 'imgsearch db mend'
FROM imgsearch_internal.missing_rights() m HAVING count(*) > 0;
COMMENT ON VIEW imgsearch.doctor_rights IS 'What a restore into another cluster leaves out: roles, rights, policies.';
