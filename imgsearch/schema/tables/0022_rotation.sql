-- Bits are taken of turned vectors: docs/decisions/0041-turned-bits.md. Spaces that are there already stay as they are.

ALTER TABLE imgsearch.space ADD COLUMN IF NOT EXISTS rotation bigint, ADD COLUMN IF NOT EXISTS signs halfvec[];
COMMENT ON COLUMN imgsearch.space.rotation IS 'Seed of the rotation that vectors are turned by before their bits are taken, the same on every machine; null: they are not turned.';
COMMENT ON COLUMN imgsearch.space.signs IS 'What the seed gives, imgsearch_internal.signs_of(rotation, dimension): making it anew for each search would cost as much as the bits.';
