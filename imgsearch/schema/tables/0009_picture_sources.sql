-- Pictures that an ORM keeps in step with a table of an application's own.

CREATE TABLE imgsearch.picture_source (
    source    text   PRIMARY KEY CONSTRAINT source_is_named CHECK (source <> ''),
    tenant_id text   NOT NULL,
    image_id  bigint NOT NULL,
    file      text   NOT NULL,
    UNIQUE (tenant_id, image_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE
);
COMMENT ON TABLE imgsearch.picture_source IS 'Which row of an application''s own table of pictures an image is, where an ORM keeps them in step (searchable(of=…) of Django): its place among the product''s pictures may change.';
COMMENT ON COLUMN imgsearch.picture_source.source IS 'The row: table or model, a colon, its key.';
COMMENT ON COLUMN imgsearch.picture_source.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.picture_source.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.picture_source.file IS 'The name of its file when it was last read: another name is another picture.';
