-- Which attributes searches ask for, and what a column of its own would take. Of processes that use imgsearch.search() from
-- Python, HTTP, Flask or Django: a console's searches and nearest() are not counted.

CREATE OR REPLACE VIEW imgsearch.asked_attributes WITH (security_invoker = true) AS
SELECT a.name, a.type, a.searches, p.column_name,
       -- The column stands in the row and in its index, which is as large as the one that begins with the tenant.
       ((SELECT greatest(c.reltuples, 0) FROM pg_class c WHERE c.oid = 'imgsearch.image'::regclass) * 16
        + (SELECT coalesce(sum(pg_relation_size(to_regclass('imgsearch.image_bits_' || s.space_id))), 0) FROM imgsearch.space s))::bigint AS bytes,
       CASE WHEN p.name IS NULL THEN format('imgsearch index promote %s --type %s', imgsearch_internal.shell_word(a.name), a.type) END AS command
FROM (
    SELECT x.name, (array_agg(x.type ORDER BY x.searches DESC, x.type))[1] AS type, sum(x.searches)::bigint AS searches
    FROM (SELECT q.name, q.type, sum(q.searches) AS searches FROM imgsearch.asked_attribute q WHERE q.day > current_date - 7 GROUP BY 1, 2) x
    GROUP BY 1) a
LEFT JOIN imgsearch.promoted_attribute p ON p.name = a.name
ORDER BY a.searches DESC, a.name;
COMMENT ON VIEW imgsearch.asked_attributes IS 'How many searches of the last 7 days asked for an attribute, its column where it has one, and else the bytes and the command that give it one.';
