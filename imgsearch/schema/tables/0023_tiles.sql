-- A second measure beside PDQ, which sees neither colours nor what is small. What has none yet is nobody's certain duplicate.

ALTER TABLE imgsearch.fingerprint ADD COLUMN IF NOT EXISTS tiles bytea;
COMMENT ON COLUMN imgsearch.fingerprint.tiles IS 'Brightness of 22 x 22 places, then 6 x 6 of each colour difference (Cb, Cr), a byte each; null: not computed yet.';
