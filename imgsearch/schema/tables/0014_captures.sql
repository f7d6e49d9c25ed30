-- What a shop may ask to be read from its pictures: their colours, as attributes; when and where they were taken, apart.

ALTER TABLE imgsearch.shop ADD COLUMN IF NOT EXISTS describe_pictures boolean NOT NULL DEFAULT false;
ALTER TABLE imgsearch.shop ADD COLUMN IF NOT EXISTS keep_captures boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN imgsearch.shop.describe_pictures IS 'Whether colours and composition of its pictures become attributes (picture_colours, picture_shape, …); off unless the shop says so.';
COMMENT ON COLUMN imgsearch.shop.keep_captures IS 'Whether it is kept when and where its pictures were taken; off unless the shop says so.';

CREATE TABLE IF NOT EXISTS imgsearch.capture (
    tenant_id text             NOT NULL,
    image_id  bigint           NOT NULL,
    sha256    bytea            NOT NULL,
    taken_at  timestamptz,
    zoned     boolean          NOT NULL DEFAULT false,
    latitude  double precision CONSTRAINT latitude_is_on_earth CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision CONSTRAINT longitude_is_on_earth CHECK (longitude BETWEEN -180 AND 180),
    PRIMARY KEY (tenant_id, image_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE,
    CONSTRAINT a_place_has_both CHECK ((latitude IS NULL) = (longitude IS NULL))
);
CREATE INDEX IF NOT EXISTS capture_by_time ON imgsearch.capture (tenant_id, taken_at) WHERE taken_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS capture_by_place ON imgsearch.capture (tenant_id, latitude, longitude) WHERE latitude IS NOT NULL;
COMMENT ON TABLE imgsearch.capture IS 'When and where pictures were taken, as their files say, of tenants that asked for it: SELECT imgsearch.set_shop(''acme'', keep_captures => true). Turned off, all of it goes.';
COMMENT ON COLUMN imgsearch.capture.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.capture.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.capture.sha256 IS 'Digest of the bytes it was read from.';
COMMENT ON COLUMN imgsearch.capture.taken_at IS 'When; null: the file does not say.';
COMMENT ON COLUMN imgsearch.capture.zoned IS 'Whether the file names the time zone; where it does not, the camera''s clock was read as UTC.';
COMMENT ON COLUMN imgsearch.capture.latitude IS 'Degrees, north above 0; null: the file does not say.';
COMMENT ON COLUMN imgsearch.capture.longitude IS 'Degrees, east above 0.';
