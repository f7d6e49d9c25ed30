-- Models come and go: several spaces are live at once, each with a queue of its own.

ALTER TABLE imgsearch.space
    DROP CONSTRAINT state_is_known,
    ADD COLUMN name text,
    ADD COLUMN kind text NOT NULL DEFAULT 'model' CONSTRAINT kind_is_known CHECK (kind IN ('model', 'given')),
    ADD COLUMN share double precision NOT NULL DEFAULT 1 CONSTRAINT share_is_a_part CHECK (share BETWEEN 0 AND 1),
    ADD COLUMN filled_to bigint NOT NULL DEFAULT 0,
    ADD COLUMN filled_at timestamptz,
    ADD COLUMN filling jsonb;
-- Retired spaces were not kept in step: they are filled like new ones before they can be searched again.
UPDATE imgsearch.space SET name = 'space-' || space_id, state = CASE state WHEN 'retired' THEN 'building' ELSE state END,
    filled_at = CASE WHEN state = 'active' THEN now() END;
ALTER TABLE imgsearch.space
    ALTER COLUMN name SET NOT NULL,
    ADD CONSTRAINT state_is_known CHECK (state IN ('building', 'active', 'standby')),
    ADD CONSTRAINT name_is_one_word CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$' AND name !~ '^\d+$' AND name <> 'all');
CREATE UNIQUE INDEX one_space_per_name ON imgsearch.space (name);
COMMENT ON COLUMN imgsearch.space.state IS 'building (being filled), active (searched; at most one), standby (was searched, is kept in step, can be searched again at once).';
COMMENT ON COLUMN imgsearch.space.name IS 'What people call it: imgsearch worker --space <name>.';
COMMENT ON COLUMN imgsearch.space.kind IS 'model (workers embed its pictures), given (whoever adds a picture brings its vector).';
COMMENT ON COLUMN imgsearch.space.share IS 'While it is filled: which part of their time its workers give to it; 0: only while nothing of the searched space waits.';
COMMENT ON COLUMN imgsearch.space.filled_to IS 'Images up to this number have been queued for it.';
COMMENT ON COLUMN imgsearch.space.filled_at IS 'When all images that were there had been queued for it; from then on an image without vector and job is a violation.';
COMMENT ON COLUMN imgsearch.space.filling IS 'When filling began and how many images it held then: what its rate is reckoned from.';

ALTER TABLE imgsearch.job ADD COLUMN space_id integer NOT NULL DEFAULT 0;
UPDATE imgsearch.job SET space_id = coalesce((SELECT s.space_id FROM imgsearch.space s WHERE s.state = 'active'), 0);
ALTER TABLE imgsearch.job DROP CONSTRAINT job_pkey, ADD PRIMARY KEY (tenant_id, image_id, space_id);
DROP INDEX imgsearch.job_pending;
CREATE INDEX job_pending ON imgsearch.job (space_id, due) WHERE state = 'pending';
COMMENT ON TABLE imgsearch.job IS 'The queue of record: one row per picture and space that is waiting, leased or failed. Delivery deletes it.';
COMMENT ON COLUMN imgsearch.job.space_id IS 'For which space it is to be embedded; 0: for the first there will be.';

ALTER TABLE imgsearch.space ADD COLUMN reads_texts boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN imgsearch.space.reads_texts IS 'Whether its model understands texts; false for one that sees pictures only, such as DINO: a text asked there is an error.';
