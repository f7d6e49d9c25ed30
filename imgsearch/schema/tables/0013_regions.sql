-- Parts of a photo that whoever asked by it may mean.

ALTER TABLE imgsearch.query_vector ADD COLUMN IF NOT EXISTS boxes real[];
COMMENT ON COLUMN imgsearch.query_vector.boxes IS 'Of a picture: parts that stand out, x, y, w, h in shares of its sides each, for a page to propose.';
