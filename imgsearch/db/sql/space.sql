-- name: one
-- One space by its name or number (null: the searched one), if there is one. The view is locked until this transaction
-- ends: so long no other space becomes the searched one.
SELECT s.space_id, s.name, s.kind, s.state, s.model, s.revision, s.fingerprint, s.dimension, s.preprocessing, s.parameters, s.reads_texts,
       s.probe_picture::text AS probe_picture, s.probe_text::text AS probe_text
FROM imgsearch.space s LEFT JOIN (SELECT 1 FROM imgsearch.vectors WHERE false) v (locked) ON true
WHERE CASE WHEN %(space)s::text IS NULL THEN s.state = 'active' ELSE s.space_id = imgsearch_internal.space_of(%(space)s) END

-- name: all
-- Every space that a worker can fill, the searched one first.
SELECT space_id FROM imgsearch.space WHERE kind = 'model' ORDER BY state <> 'active', space_id

-- name: is_there
-- Whether a space has not been dropped.
SELECT EXISTS (SELECT 1 FROM imgsearch.space WHERE space_id = %(space_id)s)

-- name: lock
-- One registration at a time; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('imgsearch.space'))

-- name: is_small
-- Whether the images there are can be indexed at once, for nobody would notice.
SELECT pg_table_size('imgsearch.image') < 4 * 1024 * 1024

-- name: index_health
-- How the indexes of a space are.
SELECT imgsearch_internal.index_health(%(space_id)s)

-- name: add
-- Make the table and the column of a new space; its indexes too where they are wanted at once.
SELECT imgsearch.add_space(%(model)s, %(revision)s, %(fingerprint)s, %(dimension)s, %(preprocessing)s,
    %(mean)s, %(probe_picture)s, %(probe_text)s, %(name)s, %(kind)s, %(indexes)s)

-- name: say_what_it_reads
-- Note whether the model of a space understands texts.
UPDATE imgsearch.space SET reads_texts = %(texts)s WHERE space_id = %(space_id)s AND reads_texts <> %(texts)s

-- name: activate
-- Make a space the searched one.
SELECT imgsearch.activate_space(%(space)s, %(force)s)

-- name: add_probes
-- A worker with the other tower fills in the probe its predecessor could not make.
UPDATE imgsearch.space
SET probe_picture = coalesce(probe_picture, %(probe_picture)s),
    probe_text = coalesce(probe_text, %(probe_text)s)
WHERE space_id = %(space_id)s AND (probe_picture IS NULL OR probe_text IS NULL)

-- name: add_calibration
-- The model's own figures, where nobody has fitted others to judgements.
INSERT INTO imgsearch.calibration (space_id, kind, scale, bias) VALUES (%(space_id)s, 'text', %(scale)s, %(bias)s)
ON CONFLICT DO NOTHING

-- name: adopt
-- What waited for the first space waits for those there are now; returns how many of them.
SELECT imgsearch_internal.adopt_jobs()

-- name: listed
-- Every space.
SELECT space_id, name, state, kind, model, revision, dimension, pictures, embedded, waiting, failed, missing, index, disk, rate, eta,
       share, workers, created_at, filled_at, activated_at, searchable
FROM imgsearch.spaces

-- name: progress
-- How full one space is.
SELECT s.name, s.kind, s.filled_at IS NOT NULL AS queued, c.embedded, c.waiting, c.failed, (SELECT count(*) FROM imgsearch.image) AS pictures,
       EXISTS (SELECT 1 FROM imgsearch.worker w WHERE w.space_id = s.space_id AND w.seen_at > now() - interval '30 seconds' AND w.queue IN ('images', 'both')) AS worked
FROM imgsearch.space s, LATERAL imgsearch_internal.count_space(s.space_id) c WHERE s.space_id = %(space_id)s

-- name: alone
-- One fill of a space at a time; held until the transaction ends. fill_space() has a lock of its own for each step.
SELECT pg_try_advisory_xact_lock(hashtext('imgsearch.filling'), %(space_id)s)

-- name: share
-- Which part of their time its workers give to filling it.
UPDATE imgsearch.space SET share = %(share)s WHERE space_id = %(space_id)s AND share <> %(share)s

-- name: begin_again
-- Measure the rate from here on.
UPDATE imgsearch.space s SET filling = jsonb_build_object('at', now(), 'embedded', (imgsearch_internal.count_space(s.space_id)).embedded)
WHERE s.space_id = %(space_id)s AND s.state = 'building'

-- name: fill
-- Queue the next images for a space.
SELECT imgsearch.fill_space(%(space)s, %(size)s)

-- name: open
-- Let it be searched beside the active one.
SELECT imgsearch_internal.open_space(%(space_id)s)

-- name: rollback
-- Search the space before again.
SELECT imgsearch.rollback_space(%(force)s)

-- name: drop
-- Forget a space.
SELECT imgsearch.drop_space(%(space)s)

-- name: pictures
-- How many images there are.
SELECT count(*) FROM imgsearch.image

-- name: measure_mean
-- Where the middle of given vectors is; whether it moved.
SELECT imgsearch_internal.measure_mean(%(space_id)s)

-- name: write_bits
-- The bits of the next images, from the mean as it is.
SELECT imgsearch_internal.write_bits(%(space_id)s, %(after)s, %(size)s)

-- name: say_full
-- A space of given vectors that lacks none of the searched one's is full; it stays so when pictures come without a vector.
UPDATE imgsearch.space s SET filled_at = now()
WHERE s.space_id = %(space_id)s AND s.kind = 'given' AND s.filled_at IS NULL AND imgsearch_internal.lost_by(s.space_id) = 0

-- name: refresh_sample
-- What a search guesses from.
SELECT imgsearch.refresh_sample()
