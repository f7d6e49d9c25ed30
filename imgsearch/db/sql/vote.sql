-- name: keep
-- Keep a vote.
INSERT INTO imgsearch.vote (tenant_id, first_space, second_space, question, better, shown, fits, voter)
VALUES (coalesce(%(tenant)s, ''), %(first)s, %(second)s, %(question)s, %(better)s, %(shown)s, %(fits)s, %(voter)s)

-- name: tally
-- How often each of two spaces was better.
SELECT count(*) FILTER (WHERE v.better = 'first') AS first, count(*) FILTER (WHERE v.better = 'second') AS second,
       count(*) FILTER (WHERE v.better = 'same') AS same, count(DISTINCT v.question) AS questions
FROM imgsearch.vote v
WHERE v.first_space = %(first)s AND v.second_space = %(second)s AND v.tenant_id = coalesce(%(tenant)s, v.tenant_id)

-- name: voted
-- Which questions a voter has seen already.
SELECT DISTINCT v.question FROM imgsearch.vote v
WHERE v.first_space = %(first)s AND v.second_space = %(second)s AND v.tenant_id = coalesce(%(tenant)s, '') AND v.voter = %(voter)s

-- name: texts
-- What a shop's visitors asked most often, where it keeps that, and where two did.
SELECT q.words, sum(q.asked) AS asked FROM imgsearch.past_question q
WHERE q.tenant_id = coalesce(%(tenant)s, q.tenant_id) AND q.asked > 1
GROUP BY q.words ORDER BY asked DESC, q.words LIMIT %(many)s

-- name: judgements
-- What was said to fit, and what was seen beside it and was not: of a vote without any nothing.
SELECT v.question, p.product_id, bool_or(p.product_id = ANY (v.fits)) AS fits
FROM imgsearch.vote v, unnest(v.shown) AS p (product_id)
WHERE v.first_space = %(first)s AND v.second_space = %(second)s AND v.tenant_id = coalesce(%(tenant)s, v.tenant_id) AND cardinality(v.fits) > 0
GROUP BY v.question, p.product_id ORDER BY v.question, p.product_id

-- name: pictures
-- What to show of products: the picture that stands first, and what the product is called.
SELECT DISTINCT ON (i.product_id) i.product_id, i.tenant_id, i.image_id, i.sha256, i.attributes, w.title
FROM imgsearch.image i LEFT JOIN imgsearch.product w ON w.tenant_id = i.tenant_id AND w.product_id = i.product_id
WHERE i.product_id = ANY (%(products)s::text[]) AND i.tenant_id = coalesce(%(tenant)s, i.tenant_id)
ORDER BY i.product_id, i.tenant_id, i.position, i.image_id

-- name: asked
-- What to show of the picture that is asked with.
SELECT i.product_id, i.tenant_id, i.image_id, i.sha256, i.attributes, w.title
FROM imgsearch.image i LEFT JOIN imgsearch.product w ON w.tenant_id = i.tenant_id AND w.product_id = i.product_id
WHERE i.image_id = %(image_id)s AND i.tenant_id = coalesce(%(tenant)s, i.tenant_id)
