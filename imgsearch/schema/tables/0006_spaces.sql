-- Spaces that live beside one another.

ALTER TABLE imgsearch.space ADD COLUMN reads_texts boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN imgsearch.space.reads_texts IS 'Whether its model understands texts; false for one that sees pictures only, such as DINO: a text asked there is an error.';
