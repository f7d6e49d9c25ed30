-- Your attached tables.

CREATE OR REPLACE VIEW imgsearch.attachments WITH (security_invoker = true) AS
SELECT a.relation, a.pictures, a.mapping, a.prefix, a.attached_at, a.backfilled_at IS NOT NULL AS backfilled, a.backfilled_to,
       (SELECT count(*) FROM imgsearch.image i WHERE i.attachment_id = a.attachment_id) AS images,
       imgsearch_internal.drift_of(a.attachment_id) AS drift
FROM imgsearch.attachment a;
COMMENT ON VIEW imgsearch.attachments IS 'Your attached tables: how they are mapped, how many images they have, and how many are out of step (drift reads all of them; leave that column out if you are in a hurry).';
