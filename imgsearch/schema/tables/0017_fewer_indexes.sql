-- A changed price writes every index of image: one that begins with the product serves look-ups by product alone and keeps
-- positions unique; one that begins with the digest serves the picture store too, which asks for no tenant.

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS image_by_product_and_place ON imgsearch.image (product_id, tenant_id, position);
-- part 2
CREATE INDEX CONCURRENTLY IF NOT EXISTS image_by_digest ON imgsearch.image (sha256, tenant_id);
-- part 3
-- The constraint is exchanged, in one statement; who writes ON CONFLICT (tenant_id, product_id, position) means either.
ALTER TABLE imgsearch.image DROP CONSTRAINT one_picture_per_position,
    ADD CONSTRAINT one_picture_per_position UNIQUE USING INDEX image_by_product_and_place;
DROP INDEX IF EXISTS imgsearch.image_by_product;
DROP INDEX IF EXISTS imgsearch.image_by_sha256;
