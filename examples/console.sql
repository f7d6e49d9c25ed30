-- A session at the SQL console, over the demo's shop: imgsearch psql -f examples/console.sql
-- Nothing here needs a backslash command, so it works in pgAdmin, DBeaver and Metabase as well.

-- A new text is embedded by a worker; afterwards any statement can use it.
CALL imgsearch.embed('red canvas shoe');

-- Any SQL at all: a plain view, a plain function, the index behind it.
SELECT product_id, price, round(imgsearch.distance(embedding, 'red canvas shoe')::numeric, 3) AS distance
FROM imgsearch.images
WHERE tenant_id = 'acme' AND price < 50
ORDER BY imgsearch.distance(embedding, 'red canvas shoe') LIMIT 5;

-- The complete answer, its plan chosen per query, joined to whatever you like.
SELECT s.product_id, s.distance, s.strategy, i.price
FROM imgsearch.search('red canvas shoe', tenant => 'acme', max_price => 50, k => 5) s
JOIN imgsearch.image i USING (image_id)
ORDER BY s.distance;

-- More like this one.
SELECT product_id, distance FROM imgsearch.search(imgsearch.vec_of((SELECT min(image_id) FROM imgsearch.images)), k => 5);

-- Two examples at once: nearer to one picture than to another.
SELECT a.product_id, a.distance AS to_words, a.embedding <=> b.embedding AS to_picture
FROM (SELECT *, embedding <=> imgsearch.vec('red canvas shoe') AS distance FROM imgsearch.images) a,
     (SELECT embedding FROM imgsearch.images ORDER BY image_id LIMIT 1) b
ORDER BY a.distance + (a.embedding <=> b.embedding) LIMIT 5;

-- How it is.
SELECT images, ready, pending, failed, workers FROM imgsearch.status;
SELECT * FROM imgsearch.failures;
SELECT * FROM imgsearch.violations;
