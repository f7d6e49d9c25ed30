-- An upgrade makes anew only what changed: what was made from which text, and how it looked in the catalogue then.

CREATE TABLE IF NOT EXISTS imgsearch.applied_object (
    object text PRIMARY KEY,
    digest text NOT NULL,
    found  text NOT NULL
);
COMMENT ON TABLE imgsearch.applied_object IS 'Types, functions, views and triggers that an upgrade made; what is as it was made is left alone by the next one.';
COMMENT ON COLUMN imgsearch.applied_object.object IS 'Its kind and its name.';
COMMENT ON COLUMN imgsearch.applied_object.digest IS 'SHA-256 of the text it was made from.';
COMMENT ON COLUMN imgsearch.applied_object.found IS 'MD5 of what the catalogue said of it then: another one was changed by hand, or by an older release.';
