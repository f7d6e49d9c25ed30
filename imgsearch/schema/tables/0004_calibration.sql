-- What turns a distance into the probability that it fits, and how much of a text a model read.

CREATE TABLE imgsearch.calibration (
    space_id  integer          NOT NULL REFERENCES imgsearch.space ON DELETE CASCADE,
    kind      text             NOT NULL,
    tenant_id text             NOT NULL DEFAULT '',
    scale     double precision,
    bias      double precision,
    cosines   double precision[],
    matches   double precision[],
    judged    integer          NOT NULL DEFAULT 0,
    error     double precision,
    made_at   timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (space_id, kind, tenant_id),
    CONSTRAINT kind_is_known CHECK (kind IN ('text', 'picture')),
    CONSTRAINT nearer_fits_better CHECK (scale > 0 AND scale < 'Infinity' AND bias > '-Infinity' AND bias < 'Infinity'),
    CONSTRAINT one_curve CHECK ((scale IS NULL) = (bias IS NULL) AND (scale IS NULL) <> (cosines IS NULL)),
    CONSTRAINT steps_belong_together CHECK (cardinality(cosines) BETWEEN 2 AND 1000 AND cardinality(matches) = cardinality(cosines))
);
-- What holds for all tenants is read by each of them, beside its own (one_tenant).
CREATE POLICY of_all_tenants ON imgsearch.calibration FOR SELECT USING (tenant_id = '');
COMMENT ON TABLE imgsearch.calibration IS 'What turns a cosine into the probability that it fits (match): a model''s own figures, or those fitted to judgements by `imgsearch calibrate`.';
COMMENT ON COLUMN imgsearch.calibration.space_id IS 'The space whose cosines these are.';
COMMENT ON COLUMN imgsearch.calibration.kind IS 'What is asked with: text, or picture (a picture, or an image that is stored).';
COMMENT ON COLUMN imgsearch.calibration.tenant_id IS 'Whose judgements these are; empty: for all that have none of their own.';
COMMENT ON COLUMN imgsearch.calibration.scale IS 'match = 1 / (1 + exp(-(scale * cosine + bias))).';
COMMENT ON COLUMN imgsearch.calibration.bias IS 'See scale.';
COMMENT ON COLUMN imgsearch.calibration.cosines IS 'In place of scale and bias: cosines that rise, each with its match; between two of them a straight line.';
COMMENT ON COLUMN imgsearch.calibration.matches IS 'The match at each of cosines; never falls.';
COMMENT ON COLUMN imgsearch.calibration.judged IS 'How many judgements it was fitted to; 0: the figures that the model was trained with.';
COMMENT ON COLUMN imgsearch.calibration.error IS 'Expected calibration error on judgements that were held out.';
COMMENT ON COLUMN imgsearch.calibration.made_at IS 'When it was fitted.';

ALTER TABLE imgsearch.query_vector ADD COLUMN tokens integer, ADD COLUMN tokens_read integer;
COMMENT ON COLUMN imgsearch.query_vector.tokens IS 'How many tokens the text has, where the model did not read all of them.';
COMMENT ON COLUMN imgsearch.query_vector.tokens_read IS 'How many of them it read.';
