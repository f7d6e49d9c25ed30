-- name: attach
-- Keep pictures in step with a table of the caller's.
SELECT imgsearch.attach(%(relation)s, key => %(key)s, image => %(image)s, images => %(images)s, tenant => %(tenant)s,
    category => %(category)s, categories => %(categories)s, price => %(price)s, in_stock => %(in_stock)s, attributes => %(attributes)s, base => %(base)s,
    pictures => %(pictures)s, picture_of => %(picture_of)s, ordinal => %(ordinal)s, main => %(main)s, owner => %(owner)s, fallback => %(fallback)s,
    follow => %(follow)s::jsonb, prefix => %(prefix)s, backfill => %(backfill)s, if_not_exists => %(if_not_exists)s,
    title => %(title)s, words => %(words)s, codes => %(codes)s)

-- name: attach_query
-- Keep pictures in step with a view or a SELECT of the caller's.
SELECT imgsearch.attach_query(%(name)s, %(query)s, key => %(key)s, image => %(image)s, images => %(images)s, tenant => %(tenant)s,
    category => %(category)s, categories => %(categories)s, price => %(price)s, in_stock => %(in_stock)s, attributes => %(attributes)s, base => %(base)s,
    pictures => %(pictures)s, picture_of => %(picture_of)s, ordinal => %(ordinal)s, main => %(main)s, owner => %(owner)s, fallback => %(fallback)s,
    follow => %(follow)s::jsonb, prefix => %(prefix)s, backfill => %(backfill)s, if_not_exists => %(if_not_exists)s,
    title => %(title)s, words => %(words)s, codes => %(codes)s)

-- name: refresh
-- Write the pictures of some rows anew; returns how many changed.
SELECT imgsearch.refresh(%(relation)s, %(keys)s)

-- name: drift
-- Which pictures of an attached table are out of step, and why.
SELECT problem, tenant_id, product_id, position, cause FROM imgsearch.drift(%(relation)s) ORDER BY tenant_id, product_id, position

-- name: detach
-- Take the triggers off again; returns how many pictures went.
SELECT imgsearch.detach(%(relation)s, keep => %(keep)s, if_exists => %(if_exists)s)

-- name: step
-- Copy the next rows that were there before.
SELECT copied, finished FROM imgsearch_internal.backfill_step(%(relation)s, %(size)s)

-- name: repair
-- Bring everything in step; returns how many pictures were written.
SELECT imgsearch.repair(%(relation)s)

-- name: rows
-- About how many rows a table has, from its statistics.
SELECT greatest(c.reltuples, 0)::bigint FROM pg_class c WHERE c.oid = to_regclass(%(relation)s)

-- name: attachments
-- The attached tables, without the count of drift.
SELECT relation, pictures::text AS pictures, mapping, prefix, attached_at, backfilled, images, failed
FROM imgsearch.attachments ORDER BY 1

-- name: attachments_with_drift
-- The attached tables, and how many pictures are out of step.
SELECT relation, pictures::text AS pictures, mapping, prefix, attached_at, backfilled, images, failed, drift
FROM imgsearch.attachments ORDER BY 1
