-- Whether a job may find other bytes than the picture's: its address is another now, or somebody asked to look again.

ALTER TABLE imgsearch.job ADD COLUMN IF NOT EXISTS anew boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN imgsearch.job.anew IS 'The address is read anew; the vector of before answers until other bytes are embedded.';
