-- Which tenants' images were written, so that a count is kept for as long as it is right.

-- Writers only add rows, each its own, so none waits for another; what a snapshot sees of them it sees of the images too.
-- The sum of a tenant's marks, which are drawn, tells one state of its images from every other.
CREATE TABLE IF NOT EXISTS imgsearch.image_change (
    tenant_id text    NOT NULL,
    mark      numeric NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX IF NOT EXISTS image_change_by_tenant ON imgsearch.image_change (tenant_id);
COMMENT ON TABLE imgsearch.image_change IS 'Marks of statements that wrote images. Their sum changes whenever images of the tenant do; the sweep adds up what is old.';
COMMENT ON COLUMN imgsearch.image_change.tenant_id IS 'Whose images.';
COMMENT ON COLUMN imgsearch.image_change.mark IS 'A number drawn for one statement, or the sum of several.';
