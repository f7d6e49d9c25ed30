-- Your attached tables.

CREATE OR REPLACE VIEW imgsearch.attachments WITH (security_invoker = true) AS
SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_class c WHERE c.oid = a.relation) THEN a.relation::text ELSE a.name END AS relation,
       a.pictures, a.mapping, a.prefix, a.attached_at, a.backfilled_at IS NOT NULL AS backfilled, a.backfilled_to,
       (SELECT count(*) FROM imgsearch.image i WHERE i.attachment_id = a.attachment_id) AS images,
       (SELECT count(*) FROM imgsearch.attachment_failure f WHERE f.attachment_id = a.attachment_id) AS failed,
       imgsearch_internal.drift_of(a.attachment_id) AS drift
FROM imgsearch.attachment a;
COMMENT ON VIEW imgsearch.attachments IS 'Your attached tables and queries: how they are mapped, how many images they have, how many rows could not be followed, and how many images are out of step (drift reads all of them; leave that column out if you are in a hurry).';
