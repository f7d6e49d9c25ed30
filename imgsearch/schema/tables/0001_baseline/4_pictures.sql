-- What is read from pictures beside their vectors, apart from image: so its rows, and a change of
-- a price, stay cheap.

CREATE TABLE imgsearch.fingerprint (
    tenant_id text      NOT NULL,
    image_id  bigint    NOT NULL,
    sha256    bytea     NOT NULL,
    quality   smallint  NOT NULL CONSTRAINT quality_is_a_share CHECK (quality BETWEEN 0 AND 100),
    pdq       bit(256)  NOT NULL,
    turned    bit(1792) NOT NULL,
    bands     integer[] NOT NULL,
    tiles     bytea,
    PRIMARY KEY (tenant_id, image_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE
);
CREATE INDEX fingerprint_by_bands ON imgsearch.fingerprint USING gin (bands) WHERE quality >= 50;
COMMENT ON TABLE imgsearch.fingerprint IS
    'The perceptual hash of each picture, from the pixels that were embedded. It goes when the '
    'picture is replaced.';
COMMENT ON COLUMN imgsearch.fingerprint.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.fingerprint.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.fingerprint.sha256 IS 'Digest of the bytes it was made of.';
COMMENT ON COLUMN imgsearch.fingerprint.quality IS
    '0 to 100, how much there is to see: below 50 (one colour, a blur) the hash says nothing.';
COMMENT ON COLUMN imgsearch.fingerprint.pdq IS
    'PDQ: 256 bits of which pictures that look the same share nearly all.';
COMMENT ON COLUMN imgsearch.fingerprint.turned IS
    'The same of the seven other ways to turn and mirror it, behind one another, in the order of '
    'Exif''s orientations 2 to 8.';
COMMENT ON COLUMN imgsearch.fingerprint.bands IS
    'Parts of pdq that an index finds: pictures that look the same share some of them.';
COMMENT ON COLUMN imgsearch.fingerprint.tiles IS
    'Brightness of 22 x 22 places, then 6 x 6 of each colour difference (Cb, Cr), a byte each; '
    'null: not computed yet.';

CREATE TABLE imgsearch.duplicate (
    tenant_id  text        NOT NULL,
    image_id   bigint      NOT NULL,
    original   bigint      NOT NULL,
    tier       text        NOT NULL CONSTRAINT tier_is_known CHECK (tier IN ('certain', 'look')),
    distance   smallint    NOT NULL,
    turn       smallint    NOT NULL CONSTRAINT turn_is_one_of_exif CHECK (turn BETWEEN 1 AND 8),
    similarity real,
    found_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, image_id, original),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.fingerprint ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, original) REFERENCES imgsearch.fingerprint ON DELETE CASCADE,
    CONSTRAINT nobody_is_its_own_twin CHECK (image_id <> original)
);
CREATE UNIQUE INDEX one_original ON imgsearch.duplicate (tenant_id, image_id)
    WHERE tier = 'certain';
CREATE INDEX duplicate_by_original ON imgsearch.duplicate (tenant_id, original);
COMMENT ON TABLE imgsearch.duplicate IS
    'Pictures that show what another one shows; read imgsearch.duplicates.';
COMMENT ON COLUMN imgsearch.duplicate.tenant_id IS 'Whose pictures.';
COMMENT ON COLUMN imgsearch.duplicate.image_id IS 'The duplicate.';
COMMENT ON COLUMN imgsearch.duplicate.original IS
    'The picture it is a duplicate of: of a group of certain ones, the one in its middle.';
COMMENT ON COLUMN imgsearch.duplicate.tier IS
    'certain: the same picture; look: somebody should look at both.';
COMMENT ON COLUMN imgsearch.duplicate.distance IS 'Bits of 256 in which their hashes differ.';
COMMENT ON COLUMN imgsearch.duplicate.turn IS
    'How the original was turned to get that: an orientation of Exif, 1 as it is, 2 mirrored, 3 '
    'upside down.';
COMMENT ON COLUMN imgsearch.duplicate.similarity IS
    'Cosine of their vectors; null where it was not asked for.';
COMMENT ON COLUMN imgsearch.duplicate.found_at IS 'When it was found.';

-- Goes with either picture, and with its bytes.
CREATE TABLE imgsearch.dismissal (
    tenant_id    text        NOT NULL,
    image_id     bigint      NOT NULL,
    other        bigint      NOT NULL,
    dismissed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, image_id, other),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.fingerprint ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, other) REFERENCES imgsearch.fingerprint ON DELETE CASCADE,
    CONSTRAINT a_pair_stands_once CHECK (image_id < other)
);
CREATE INDEX dismissal_by_other ON imgsearch.dismissal (tenant_id, other);
COMMENT ON TABLE imgsearch.dismissal IS
    'Pairs of pictures that are not the same, as somebody said: imgsearch.dismiss_duplicate(). A '
    'row that is deleted takes it back.';
COMMENT ON COLUMN imgsearch.dismissal.tenant_id IS 'Whose pictures.';
COMMENT ON COLUMN imgsearch.dismissal.image_id IS 'The one with the smaller id.';
COMMENT ON COLUMN imgsearch.dismissal.other IS 'The other one.';
COMMENT ON COLUMN imgsearch.dismissal.dismissed_at IS 'When it was said.';

CREATE TABLE imgsearch.capture (
    tenant_id text             NOT NULL,
    image_id  bigint           NOT NULL,
    sha256    bytea            NOT NULL,
    taken_at  timestamptz,
    zoned     boolean          NOT NULL DEFAULT false,
    latitude  double precision
        CONSTRAINT latitude_is_on_earth CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision
        CONSTRAINT longitude_is_on_earth CHECK (longitude BETWEEN -180 AND 180),
    PRIMARY KEY (tenant_id, image_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE,
    CONSTRAINT a_place_has_both CHECK ((latitude IS NULL) = (longitude IS NULL))
);
CREATE INDEX capture_by_time ON imgsearch.capture (tenant_id, taken_at)
    WHERE taken_at IS NOT NULL;
CREATE INDEX capture_by_place ON imgsearch.capture (tenant_id, latitude, longitude)
    WHERE latitude IS NOT NULL;
COMMENT ON TABLE imgsearch.capture IS
    'When and where pictures were taken, as their files say, of tenants that asked for it: '
    'SELECT imgsearch.set_shop(''acme'', keep_captures => true). Turned off, all of it goes.';
COMMENT ON COLUMN imgsearch.capture.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.capture.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.capture.sha256 IS 'Digest of the bytes it was read from.';
COMMENT ON COLUMN imgsearch.capture.taken_at IS 'When; null: the file does not say.';
COMMENT ON COLUMN imgsearch.capture.zoned IS
    'Whether the file names the time zone; where it does not, the camera''s clock was read as '
    'UTC.';
COMMENT ON COLUMN imgsearch.capture.latitude IS
    'Degrees, north above 0; null: the file does not say.';
COMMENT ON COLUMN imgsearch.capture.longitude IS 'Degrees, east above 0.';

-- The vectors of parts stand in a table per space, region_<space_id>, which functions make
-- (space_regions.sql).
CREATE TABLE imgsearch.region_state (
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
CREATE INDEX region_state_by_due ON imgsearch.region_state (space_id, due) WHERE due IS NOT NULL;
COMMENT ON TABLE imgsearch.region_state IS
    'Which pictures were looked at for their parts, in which space, and what came of it; those '
    'with no part have a row, too.';
COMMENT ON COLUMN imgsearch.region_state.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.region_state.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.region_state.space_id IS 'In which space.';
COMMENT ON COLUMN imgsearch.region_state.sha256 IS 'Digest of the bytes that were looked at.';
COMMENT ON COLUMN imgsearch.region_state.proposer IS
    'Who looked, and for how many parts at most: salient 5.';
COMMENT ON COLUMN imgsearch.region_state.made_at IS 'When.';
COMMENT ON COLUMN imgsearch.region_state.boxes IS 'How many parts it has; null: looking failed.';
COMMENT ON COLUMN imgsearch.region_state.attempts IS 'How often looking failed.';
COMMENT ON COLUMN imgsearch.region_state.due IS 'When it is tried again; null: not by itself.';
COMMENT ON COLUMN imgsearch.region_state.error_code IS 'Why it failed, as a word.';
COMMENT ON COLUMN imgsearch.region_state.error IS 'Why it failed, for people.';
