-- Spaces: where vectors are comparable, what their distances say, and what people thought of
-- two of them. Keys carry tenant_id first, and it never changes.

CREATE TABLE imgsearch.space (
    space_id      integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        NOT NULL,
    kind          text        NOT NULL DEFAULT 'model',
    state         text        NOT NULL DEFAULT 'building',
    model         text        NOT NULL,
    revision      text        NOT NULL,
    fingerprint   text        NOT NULL,
    dimension     integer     NOT NULL,
    preprocessing text        NOT NULL,
    reads_texts   boolean     NOT NULL DEFAULT true,
    mean          halfvec     NOT NULL,
    mean_text     halfvec,
    rotation      bigint,
    signs         halfvec[],
    probe_picture halfvec,
    probe_text    halfvec,
    parameters    jsonb       NOT NULL DEFAULT '{}',
    share         double precision NOT NULL DEFAULT 1,
    filled_to     bigint      NOT NULL DEFAULT 0,
    filled_at     timestamptz,
    filling       jsonb,
    created_at    timestamptz NOT NULL DEFAULT now(),
    activated_at  timestamptz,
    CONSTRAINT name_is_one_word
        CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$' AND name !~ '^\d+$' AND name <> 'all'),
    CONSTRAINT kind_is_known CHECK (kind IN ('model', 'given')),
    CONSTRAINT state_is_known CHECK (state IN ('building', 'active', 'standby')),
    CONSTRAINT dimension_fits_halfvec CHECK (dimension BETWEEN 1 AND 4000),
    CONSTRAINT mean_has_dimension CHECK (vector_dims(mean) = dimension),
    CONSTRAINT mean_text_has_dimension CHECK (vector_dims(mean_text) = dimension),
    CONSTRAINT share_is_a_part CHECK (share BETWEEN 0 AND 1)
);
CREATE UNIQUE INDEX one_active_space ON imgsearch.space (state) WHERE state = 'active';
CREATE UNIQUE INDEX one_space_per_name ON imgsearch.space (name);
COMMENT ON TABLE imgsearch.space IS
    'Where vectors are comparable: one row per model and way of preparing pictures. Vectors of '
    'different spaces are never compared.';
COMMENT ON COLUMN imgsearch.space.space_id IS
    'Names the table embedding_<space_id> and the column image.bits_<space_id>.';
COMMENT ON COLUMN imgsearch.space.name IS 'What people call it: imgsearch worker --space <name>.';
COMMENT ON COLUMN imgsearch.space.kind IS
    'model (workers embed its pictures), given (whoever adds a picture brings its vector).';
COMMENT ON COLUMN imgsearch.space.state IS
    'building (being filled), active (searched; at most one), standby (was searched, is kept in '
    'step, can be searched again at once).';
COMMENT ON COLUMN imgsearch.space.model IS 'Hub name or folder the model was loaded from.';
COMMENT ON COLUMN imgsearch.space.revision IS 'Revision of the model on the hub, or empty.';
COMMENT ON COLUMN imgsearch.space.fingerprint IS
    'Digest of configuration, weights and preprocessing: a worker with another one refuses to '
    'write.';
COMMENT ON COLUMN imgsearch.space.dimension IS 'Numbers per vector.';
COMMENT ON COLUMN imgsearch.space.preprocessing IS 'Version of the way pictures become pixels.';
COMMENT ON COLUMN imgsearch.space.reads_texts IS
    'Whether its model understands texts; false for one that sees pictures only, such as DINO: a '
    'text asked there is an error.';
COMMENT ON COLUMN imgsearch.space.mean IS
    'Mean image vector; subtracted before binary quantisation, because SigLIP vectors are not '
    'centred.';
COMMENT ON COLUMN imgsearch.space.mean_text IS
    'Mean of the texts asked, once there are some; subtracted from a text before binary '
    'quantisation, because texts lie apart from pictures.';
COMMENT ON COLUMN imgsearch.space.rotation IS
    'Seed of the rotation that vectors are turned by before their bits are taken, the same on '
    'every machine; null: they are not turned.';
COMMENT ON COLUMN imgsearch.space.signs IS
    'What the seed gives, imgsearch_internal.signs_of(rotation, dimension): making it anew for '
    'each search would cost as much as the bits.';
COMMENT ON COLUMN imgsearch.space.probe_picture IS
    'Vector of a fixed drawn picture; every worker compares its own at start.';
COMMENT ON COLUMN imgsearch.space.probe_text IS
    'Vector of a fixed text; every query worker compares its own at start.';
COMMENT ON COLUMN imgsearch.space.parameters IS
    'Search parameters tuned on this space''s own vectors.';
COMMENT ON COLUMN imgsearch.space.share IS
    'While it is filled: which part of their time its workers give to it; 0: only while nothing '
    'of the searched space waits.';
COMMENT ON COLUMN imgsearch.space.filled_to IS 'Images up to this number have been queued for it.';
COMMENT ON COLUMN imgsearch.space.filled_at IS
    'When all images that were there had been queued for it; from then on an image without '
    'vector and job is a violation.';
COMMENT ON COLUMN imgsearch.space.filling IS
    'When filling began and how many images it held then: what its rate is reckoned from.';
COMMENT ON COLUMN imgsearch.space.created_at IS 'When a worker registered the model.';
COMMENT ON COLUMN imgsearch.space.activated_at IS 'When searches began to use it.';

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
    CONSTRAINT nearer_fits_better
        CHECK (scale > 0 AND scale < 'Infinity' AND bias > '-Infinity' AND bias < 'Infinity'),
    CONSTRAINT one_curve
        CHECK ((scale IS NULL) = (bias IS NULL) AND (scale IS NULL) <> (cosines IS NULL)),
    CONSTRAINT steps_belong_together
        CHECK (cardinality(cosines) BETWEEN 2 AND 1000
               AND cardinality(matches) = cardinality(cosines))
);
-- What holds for all tenants is read by each of them, beside its own (one_tenant).
CREATE POLICY of_all_tenants ON imgsearch.calibration FOR SELECT USING (tenant_id = '');
COMMENT ON TABLE imgsearch.calibration IS
    'What turns a cosine into the probability that it fits (match): a model''s own figures, or '
    'those fitted to judgements by `imgsearch calibrate`.';
COMMENT ON COLUMN imgsearch.calibration.space_id IS 'The space whose cosines these are.';
COMMENT ON COLUMN imgsearch.calibration.kind IS
    'What is asked with: text, or picture (a picture, or an image that is stored).';
COMMENT ON COLUMN imgsearch.calibration.tenant_id IS
    'Whose judgements these are; empty: for all that have none of their own.';
COMMENT ON COLUMN imgsearch.calibration.scale IS 'match = 1 / (1 + exp(-(scale * cosine + bias))).';
COMMENT ON COLUMN imgsearch.calibration.bias IS 'See scale.';
COMMENT ON COLUMN imgsearch.calibration.cosines IS
    'In place of scale and bias: cosines that rise, each with its match; between two of them a '
    'straight line.';
COMMENT ON COLUMN imgsearch.calibration.matches IS 'The match at each of cosines; never falls.';
COMMENT ON COLUMN imgsearch.calibration.judged IS
    'How many judgements it was fitted to; 0: the figures that the model was trained with.';
COMMENT ON COLUMN imgsearch.calibration.error IS
    'Expected calibration error on judgements that were held out.';
COMMENT ON COLUMN imgsearch.calibration.made_at IS 'When it was fitted.';

CREATE TABLE imgsearch.vote (
    vote_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    text        NOT NULL,
    first_space  integer     NOT NULL REFERENCES imgsearch.space ON DELETE CASCADE,
    second_space integer     NOT NULL REFERENCES imgsearch.space ON DELETE CASCADE,
    question     text        NOT NULL,
    better       text        NOT NULL,
    shown        text[]      NOT NULL DEFAULT '{}',
    fits         text[]      NOT NULL DEFAULT '{}',
    voter        text        NOT NULL DEFAULT '',
    voted_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT spaces_are_two CHECK (first_space < second_space),
    CONSTRAINT question_is_of_a_kind
        CHECK (question ~ '^(text|image):.' AND length(question) <= 2010),
    CONSTRAINT better_is_known CHECK (better IN ('first', 'second', 'same')),
    CONSTRAINT what_fits_was_shown CHECK (fits <@ shown AND cardinality(shown) <= 200)
);
CREATE INDEX vote_of_spaces ON imgsearch.vote (first_space, second_space, tenant_id);
COMMENT ON TABLE imgsearch.vote IS
    'Which of two spaces answered a question better, said by people who did not know which was '
    'which: imgsearch judge 1 2.';
COMMENT ON COLUMN imgsearch.vote.vote_id IS 'Identity of the vote.';
COMMENT ON COLUMN imgsearch.vote.tenant_id IS 'Whose pictures were looked at; empty: everybody''s.';
COMMENT ON COLUMN imgsearch.vote.first_space IS 'The space with the smaller number.';
COMMENT ON COLUMN imgsearch.vote.second_space IS 'The other one.';
COMMENT ON COLUMN imgsearch.vote.question IS 'What was asked: text:red shoe, or image:42.';
COMMENT ON COLUMN imgsearch.vote.better IS 'first, second, or same.';
COMMENT ON COLUMN imgsearch.vote.shown IS 'The products that were seen, of both answers.';
COMMENT ON COLUMN imgsearch.vote.fits IS
    'Those of them that were said to fit; judgements, where there are any.';
COMMENT ON COLUMN imgsearch.vote.voter IS 'Who voted: the name of the key, or empty.';
COMMENT ON COLUMN imgsearch.vote.voted_at IS 'When.';
