-- What a shop may ask for: its pictures are also found by their parts. The vectors of parts stand in a table per space,
-- region_<space_id>, which functions make (space_regions.sql).

ALTER TABLE imgsearch.shop ADD COLUMN IF NOT EXISTS region_proposer text CONSTRAINT region_proposer_is_known CHECK (region_proposer ~ '^(grid|salient|detector:\S.{0,199})$');
ALTER TABLE imgsearch.shop ADD COLUMN IF NOT EXISTS regions_per_picture smallint NOT NULL DEFAULT 5 CONSTRAINT regions_per_picture_are_few CHECK (regions_per_picture BETWEEN 1 AND 9);
COMMENT ON COLUMN imgsearch.shop.region_proposer IS 'Who says which parts its pictures are found by: salient, grid, detector:NAME; null: nobody, pictures are found as wholes.';
COMMENT ON COLUMN imgsearch.shop.regions_per_picture IS 'How many parts of a picture get a vector at most.';

CREATE TABLE IF NOT EXISTS imgsearch.region_state (
    tenant_id  text        NOT NULL,
    image_id   bigint      NOT NULL,
    space_id   integer     NOT NULL,
    sha256     bytea       NOT NULL,
    proposer   text        NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now(),
    boxes      smallint,
    attempts   smallint    NOT NULL DEFAULT 0,
    due        timestamptz,
    error_code text,
    error      text,
    PRIMARY KEY (tenant_id, image_id, space_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE,
    CONSTRAINT failed_or_read CHECK ((boxes IS NULL) = (error_code IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS region_state_by_due ON imgsearch.region_state (space_id, due) WHERE due IS NOT NULL;
COMMENT ON TABLE imgsearch.region_state IS 'Which pictures were looked at for their parts, in which space, and what came of it; those with no part have a row, too.';
COMMENT ON COLUMN imgsearch.region_state.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.region_state.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.region_state.space_id IS 'In which space.';
COMMENT ON COLUMN imgsearch.region_state.sha256 IS 'Digest of the bytes that were looked at.';
COMMENT ON COLUMN imgsearch.region_state.proposer IS 'Who looked, and for how many parts at most: salient 5.';
COMMENT ON COLUMN imgsearch.region_state.made_at IS 'When.';
COMMENT ON COLUMN imgsearch.region_state.boxes IS 'How many parts it has; null: looking failed.';
COMMENT ON COLUMN imgsearch.region_state.attempts IS 'How often looking failed.';
COMMENT ON COLUMN imgsearch.region_state.due IS 'When it is tried again; null: not by itself.';
COMMENT ON COLUMN imgsearch.region_state.error_code IS 'Why it failed, as a word.';
COMMENT ON COLUMN imgsearch.region_state.error IS 'Why it failed, for people.';
