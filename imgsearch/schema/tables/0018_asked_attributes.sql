-- Which attributes searches ask for, as their processes tell now and then; nothing of who asked, or for which value.

CREATE TABLE IF NOT EXISTS imgsearch.asked_attribute (
    name     text   NOT NULL,
    type     text   NOT NULL CONSTRAINT type_can_be_promoted CHECK (type IN ('text', 'number', 'boolean')),
    day      date   NOT NULL,
    searches bigint NOT NULL CONSTRAINT somebody_searched CHECK (searches > 0)
);
COMMENT ON TABLE imgsearch.asked_attribute IS 'How many searches asked for an attribute on a day. Processes add rows, the sweep adds them up; after 30 days they go.';
COMMENT ON COLUMN imgsearch.asked_attribute.name IS 'The attribute, one that pictures have.';
COMMENT ON COLUMN imgsearch.asked_attribute.type IS 'What it was compared with: text, number, boolean.';
COMMENT ON COLUMN imgsearch.asked_attribute.day IS 'When.';
COMMENT ON COLUMN imgsearch.asked_attribute.searches IS 'How many searches of this process, or of all that day.';
