-- Take the triggers off all attached tables. Their pictures stay, as if they had been added by hand.
SELECT imgsearch.detach(relation::text, keep => true) FROM imgsearch.attachment WHERE attached_at IS NOT NULL;
DROP VIEW imgsearch.attachments;
DROP FUNCTION imgsearch.drift_of(integer), imgsearch.drift(text), imgsearch.repair(text), imgsearch.backfill_step(text, integer),
    imgsearch.attached(text), imgsearch.attach, imgsearch.detach(text, boolean, boolean), imgsearch.is_unique(regclass, text[]),
    imgsearch.refuse_attachment(regclass, name), imgsearch.refuse_mapping(imgsearch.attachment, name), imgsearch.mapped(regclass, text, text),
    imgsearch.attached_select(imgsearch.attachment), imgsearch.attached_function(imgsearch.attachment, text, name),
    imgsearch.attached_changed(), imgsearch.attached_row(imgsearch.attachment, name), imgsearch.attached_copy(imgsearch.attachment, text),
    imgsearch.attached_triggers(imgsearch.attachment, name[], name[]), imgsearch.address(text, text), imgsearch.digest_in(text);
DROP PROCEDURE imgsearch.backfill(text, integer);
ALTER TABLE imgsearch.image DROP COLUMN attachment_id;
DROP TABLE imgsearch.attachment;
