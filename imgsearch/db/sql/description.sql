-- What workers read from pictures for shops that ask for it: colours and composition; when and where they were taken.

-- name: wishes
-- Which shops ask for what.
SELECT tenant_id, describe_pictures, keep_captures FROM imgsearch.shop WHERE describe_pictures OR keep_captures

-- name: store
-- Write what was read, where the picture still has these bytes and its shop still asks. A row that somebody holds is left
-- for later (`missing` finds it): nobody waits for this. The shop's row is held, too: who turns a wish off comes before, or
-- removes this with the rest. Returns how many pictures were written.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(tenants)s::text[], %(images)s::bigint[], %(sha256s)s::bytea[], %(attributes)s::text[],
                         %(taken)s::timestamptz[], %(zoned)s::boolean[], %(latitudes)s::double precision[], %(longitudes)s::double precision[])
        AS g (tenant_id, image_id, sha256, attributes, taken_at, zoned, latitude, longitude)
), ours AS MATERIALIZED (
    SELECT g.*, s.describe_pictures, s.keep_captures
    FROM imgsearch.image i JOIN given g USING (tenant_id, image_id) JOIN imgsearch.shop s USING (tenant_id)
    WHERE i.sha256 = g.sha256
    FOR NO KEY UPDATE OF i SKIP LOCKED FOR SHARE OF s SKIP LOCKED
), described AS (
    UPDATE imgsearch.image i SET attributes = (i.attributes - imgsearch_internal.described_names()) || o.attributes::jsonb
    FROM ours o WHERE o.describe_pictures AND i.tenant_id = o.tenant_id AND i.image_id = o.image_id
      AND NOT i.attributes @> o.attributes::jsonb
), captured AS (
    INSERT INTO imgsearch.capture AS c (tenant_id, image_id, sha256, taken_at, zoned, latitude, longitude)
    SELECT tenant_id, image_id, sha256, taken_at, zoned, latitude, longitude FROM ours WHERE keep_captures
    ON CONFLICT (tenant_id, image_id) DO UPDATE
        SET sha256 = EXCLUDED.sha256, taken_at = EXCLUDED.taken_at, zoned = EXCLUDED.zoned, latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude
        WHERE c.sha256 <> EXCLUDED.sha256
)
SELECT count(*) FROM ours

-- name: missing
-- Pictures that were added before their shop asked, or that nobody came to, behind one of them: those that wait to be
-- embedded are read then.
SELECT i.tenant_id, i.image_id, i.uri, i.sha256
FROM imgsearch.shop s JOIN imgsearch.image i ON i.tenant_id = s.tenant_id
WHERE (s.describe_pictures OR s.keep_captures) AND i.sha256 IS NOT NULL AND (i.tenant_id, i.image_id) > (%(tenant)s, %(image)s)
  AND (s.describe_pictures AND NOT i.attributes ? 'picture_shape'
       OR s.keep_captures AND NOT EXISTS (SELECT 1 FROM imgsearch.capture c WHERE c.tenant_id = i.tenant_id AND c.image_id = i.image_id AND c.sha256 = i.sha256))
  AND NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id AND j.state <> 'failed')
ORDER BY i.tenant_id, i.image_id LIMIT %(limit)s
