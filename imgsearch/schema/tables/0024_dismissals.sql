-- Pairs of which somebody has said that they are not the same picture. One goes with either picture, and with its bytes.

CREATE TABLE IF NOT EXISTS imgsearch.dismissal (
    tenant_id    text        NOT NULL,
    image_id     bigint      NOT NULL,
    other        bigint      NOT NULL,
    dismissed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, image_id, other),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.fingerprint ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, other) REFERENCES imgsearch.fingerprint ON DELETE CASCADE,
    CONSTRAINT a_pair_stands_once CHECK (image_id < other)
);
CREATE INDEX IF NOT EXISTS dismissal_by_other ON imgsearch.dismissal (tenant_id, other);
COMMENT ON TABLE imgsearch.dismissal IS 'Pairs of pictures that are not the same, as somebody said: imgsearch.dismiss_duplicate(). A row that is deleted takes it back.';
COMMENT ON COLUMN imgsearch.dismissal.tenant_id IS 'Whose pictures.';
COMMENT ON COLUMN imgsearch.dismissal.image_id IS 'The one with the smaller id.';
COMMENT ON COLUMN imgsearch.dismissal.other IS 'The other one.';
COMMENT ON COLUMN imgsearch.dismissal.dismissed_at IS 'When it was said.';
