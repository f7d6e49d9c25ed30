-- What tells near-duplicates: apart from image, so that its rows and a change of a price stay as cheap as they were.

CREATE TABLE IF NOT EXISTS imgsearch.fingerprint (
    tenant_id text      NOT NULL,
    image_id  bigint    NOT NULL,
    sha256    bytea     NOT NULL,
    quality   smallint  NOT NULL CONSTRAINT quality_is_a_share CHECK (quality BETWEEN 0 AND 100),
    pdq       bit(256)  NOT NULL,
    turned    bit(1792) NOT NULL,
    bands     integer[] NOT NULL,
    PRIMARY KEY (tenant_id, image_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS fingerprint_by_bands ON imgsearch.fingerprint USING gin (bands) WHERE quality >= 50;
COMMENT ON TABLE imgsearch.fingerprint IS 'The perceptual hash of each picture, from the pixels that were embedded. It goes when the picture is replaced.';
COMMENT ON COLUMN imgsearch.fingerprint.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.fingerprint.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.fingerprint.sha256 IS 'Digest of the bytes it was made of.';
COMMENT ON COLUMN imgsearch.fingerprint.quality IS '0 to 100, how much there is to see: below 50 (one colour, a blur) the hash says nothing.';
COMMENT ON COLUMN imgsearch.fingerprint.pdq IS 'PDQ: 256 bits of which pictures that look the same share nearly all.';
COMMENT ON COLUMN imgsearch.fingerprint.turned IS 'The same of the seven other ways to turn and mirror it, behind one another, in the order of Exif''s orientations 2 to 8.';
COMMENT ON COLUMN imgsearch.fingerprint.bands IS 'Parts of pdq that an index finds: pictures that look the same share some of them.';

CREATE TABLE IF NOT EXISTS imgsearch.duplicate (
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
CREATE UNIQUE INDEX IF NOT EXISTS one_original ON imgsearch.duplicate (tenant_id, image_id) WHERE tier = 'certain';
CREATE INDEX IF NOT EXISTS duplicate_by_original ON imgsearch.duplicate (tenant_id, original);
COMMENT ON TABLE imgsearch.duplicate IS 'Pictures that show what another one shows; read imgsearch.duplicates.';
COMMENT ON COLUMN imgsearch.duplicate.tenant_id IS 'Whose pictures.';
COMMENT ON COLUMN imgsearch.duplicate.image_id IS 'The duplicate.';
COMMENT ON COLUMN imgsearch.duplicate.original IS 'The picture it is a duplicate of: of a group of certain ones, the one in its middle.';
COMMENT ON COLUMN imgsearch.duplicate.tier IS 'certain: the same picture; look: somebody should look at both.';
COMMENT ON COLUMN imgsearch.duplicate.distance IS 'Bits of 256 in which their hashes differ.';
COMMENT ON COLUMN imgsearch.duplicate.turn IS 'How the original was turned to get that: an orientation of Exif, 1 as it is, 2 mirrored, 3 upside down.';
COMMENT ON COLUMN imgsearch.duplicate.similarity IS 'Cosine of their vectors; null where it was not asked for.';
COMMENT ON COLUMN imgsearch.duplicate.found_at IS 'When it was found.';

ALTER TABLE imgsearch.shop ADD COLUMN IF NOT EXISTS duplicates text NOT NULL DEFAULT 'keep' CONSTRAINT duplicates_is_known CHECK (duplicates IN ('keep', 'link', 'refuse'));
COMMENT ON COLUMN imgsearch.shop.duplicates IS 'What becomes of a new picture that is certainly a duplicate: keep (nobody looks for others), link (it is marked), refuse (it fails with the code duplicate).';
