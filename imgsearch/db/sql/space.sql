-- name: active
-- The searched space, if any.
SELECT space_id, state, model, revision, fingerprint, dimension, preprocessing, parameters, reads_texts,
       probe_picture::text AS probe_picture, probe_text::text AS probe_text
FROM imgsearch.space WHERE state = 'active'

-- name: is_active
-- Whether a space is the searched one.
SELECT EXISTS (SELECT 1 FROM imgsearch.space WHERE space_id = %(space_id)s AND state = 'active')

-- name: lock
-- One registration at a time; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('imgsearch.space'))

-- name: create
-- Make the table, the column and the indexes of a new space.
SELECT imgsearch.create_space(%(model)s, %(revision)s, %(fingerprint)s, %(dimension)s, %(preprocessing)s,
    %(mean)s::halfvec, %(probe_picture)s::halfvec, %(probe_text)s::halfvec)

-- name: say_what_it_reads
-- Note whether the model of a space understands texts.
UPDATE imgsearch.space SET reads_texts = %(texts)s WHERE space_id = %(space_id)s AND reads_texts <> %(texts)s

-- name: activate
-- Make a space the searched one.
SELECT imgsearch.activate_space(%(space_id)s)

-- name: add_probes
-- A worker with the other tower fills in the probe its predecessor could not make.
UPDATE imgsearch.space
SET probe_picture = coalesce(probe_picture, %(probe_picture)s::halfvec),
    probe_text = coalesce(probe_text, %(probe_text)s::halfvec)
WHERE space_id = %(space_id)s AND (probe_picture IS NULL OR probe_text IS NULL)

-- name: add_calibration
-- The model's own figures, where nobody has fitted others to judgements.
INSERT INTO imgsearch.calibration (space_id, kind, scale, bias) VALUES (%(space_id)s, 'text', %(scale)s, %(bias)s)
ON CONFLICT DO NOTHING
