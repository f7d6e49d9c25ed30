-- Triggers on image, product and calibration. Conveniences, so that a row INSERTed from anywhere is embedded: the sweep is the net under them.

-- Statement-level with a transition table: one queue insert and one NOTIFY for a COPY of a million rows.
CREATE OR REPLACE TRIGGER image_inserted AFTER INSERT ON imgsearch.image
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.image_inserted();
COMMENT ON TRIGGER image_inserted ON imgsearch.image IS 'A new picture waits for a worker.';
CREATE OR REPLACE TRIGGER image_removed AFTER DELETE ON imgsearch.image
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.image_removed();
COMMENT ON TRIGGER image_removed ON imgsearch.image IS 'A question that is the very picture that went is forgotten with it.';
-- Rows whose texts are composed already, which nearly all are, call no function.
CREATE OR REPLACE TRIGGER image_composed
    BEFORE INSERT OR UPDATE OF tenant_id, product_id, category, categories, attributes
    ON imgsearch.image FOR EACH ROW
    WHEN (concat(NEW.tenant_id, NEW.product_id, NEW.category, NEW.categories, NEW.attributes)
          IS NOT NFC NORMALIZED)
    EXECUTE FUNCTION imgsearch_internal.image_composed();
COMMENT ON TRIGGER image_composed ON imgsearch.image IS
'Texts are kept in Unicode''s composed form, whoever wrote them.';
-- Row-level with WHEN: a price update does not even enter the function. The first digest of a fetched address
-- (null → value) is the worker's own write and not a replacement.
CREATE OR REPLACE TRIGGER image_replaced BEFORE UPDATE OF uri, sha256 ON imgsearch.image FOR EACH ROW
    WHEN (OLD.uri IS DISTINCT FROM NEW.uri OR (OLD.sha256 IS NOT NULL AND OLD.sha256 IS DISTINCT FROM NEW.sha256))
    EXECUTE FUNCTION imgsearch_internal.image_replaced();
COMMENT ON TRIGGER image_replaced ON imgsearch.image IS 'New bytes → the old vectors go; another address → they stay until it is read. The picture waits again.';
CREATE OR REPLACE TRIGGER image_described BEFORE UPDATE OF attributes, uri, sha256 ON imgsearch.image FOR EACH ROW
    WHEN (OLD.attributes ?| ARRAY['picture_shape', 'picture_things'] AND (OLD.attributes ? 'picture_shape' AND NOT NEW.attributes ? 'picture_shape'
          OR OLD.attributes ? 'picture_things' AND NOT NEW.attributes ? 'picture_things' OR OLD.uri IS DISTINCT FROM NEW.uri OR OLD.sha256 IS DISTINCT FROM NEW.sha256))
    EXECUTE FUNCTION imgsearch_internal.image_described();
COMMENT ON TRIGGER image_described ON imgsearch.image IS 'What was read from a picture stays while others write its attributes, and goes with the picture.';
CREATE OR REPLACE TRIGGER image_exchanged BEFORE UPDATE OF position ON imgsearch.image FOR EACH ROW
    WHEN (OLD.position <> NEW.position AND OLD.position >= 0 AND NEW.position BETWEEN 0 AND 499999999)
    EXECUTE FUNCTION imgsearch_internal.image_exchanged();
COMMENT ON TRIGGER image_exchanged ON imgsearch.image IS 'A picture whose new place another one still has waits for the end of the statement.';
CREATE OR REPLACE TRIGGER image_placed AFTER UPDATE OF position ON imgsearch.image FOR EACH ROW
    WHEN (OLD.position >= 0 AND NEW.position BETWEEN -1900000000 AND -1400000001)
    EXECUTE FUNCTION imgsearch_internal.image_exchanged();
COMMENT ON TRIGGER image_placed ON imgsearch.image IS 'The others of the statement have moved: it takes its place.';
CREATE OR REPLACE TRIGGER image_moved BEFORE UPDATE OF tenant_id ON imgsearch.image FOR EACH ROW
    WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION imgsearch_internal.image_moved();
COMMENT ON TRIGGER image_moved ON imgsearch.image IS 'Refuses to move a picture to another tenant.';

CREATE OR REPLACE TRIGGER product_written BEFORE INSERT OR UPDATE ON imgsearch.product
    FOR EACH ROW EXECUTE FUNCTION imgsearch_internal.product_written();
COMMENT ON TRIGGER product_written ON imgsearch.product IS 'What is searched follows title, words and codes.';
CREATE OR REPLACE TRIGGER product_inserted AFTER INSERT ON imgsearch.product
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.words_changed();
COMMENT ON TRIGGER product_inserted ON imgsearch.product IS 'New words join the vocabulary.';
CREATE OR REPLACE TRIGGER product_changed AFTER UPDATE ON imgsearch.product
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.words_changed();
COMMENT ON TRIGGER product_changed ON imgsearch.product IS 'New words join the vocabulary.';
CREATE OR REPLACE TRIGGER product_removed AFTER DELETE ON imgsearch.product
    REFERENCING OLD TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION imgsearch_internal.words_changed();
COMMENT ON TRIGGER product_removed ON imgsearch.product IS 'The vocabulary is to be counted anew.';
CREATE OR REPLACE TRIGGER calibration_written BEFORE INSERT OR UPDATE ON imgsearch.calibration
    FOR EACH ROW EXECUTE FUNCTION imgsearch_internal.calibration_written();
COMMENT ON TRIGGER calibration_written ON imgsearch.calibration IS 'A calibration is a curve of finite numbers that rises.';
