-- Tables without a key say which row an UPDATE or DELETE is about by all of it: a publication for all tables refuses them
-- else. Which steps of upkeep fail is kept, so that the doctor can say it.

ALTER TABLE imgsearch.asked_attribute REPLICA IDENTITY FULL;
ALTER TABLE imgsearch.image_change REPLICA IDENTITY FULL;
ALTER TABLE imgsearch.vocabulary REPLICA IDENTITY FULL;

CREATE TABLE IF NOT EXISTS imgsearch.upkeep_failure (
    step      text        PRIMARY KEY,
    times     integer     NOT NULL DEFAULT 1,
    error     text        NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    failed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE imgsearch.upkeep_failure IS 'Steps of upkeep that failed when they were last tried; one that succeeds has no row.';
COMMENT ON COLUMN imgsearch.upkeep_failure.step IS 'Its name, as the log of the workers has it.';
COMMENT ON COLUMN imgsearch.upkeep_failure.times IS 'How often in a row.';
COMMENT ON COLUMN imgsearch.upkeep_failure.error IS 'What it failed at, the last time.';
COMMENT ON COLUMN imgsearch.upkeep_failure.since IS 'When it failed first.';
COMMENT ON COLUMN imgsearch.upkeep_failure.failed_at IS 'When it failed last.';
