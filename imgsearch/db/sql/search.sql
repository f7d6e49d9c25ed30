-- name: products_of
-- Whose pictures these are.
SELECT DISTINCT i.product_id FROM imgsearch.image i
WHERE i.image_id = ANY (%(images)s::bigint[]) AND (%(tenant)s::text IS NULL OR i.tenant_id = %(tenant)s)

-- name: search
-- One page of an answer. How it was found comes back even when nothing was: then the hit's columns are null.
-- digests: whether those of the hits' other pictures are wanted; they find thumbnails.
SELECT (s.answer).strategy, (s.answer).complete, (s.answer).matches, (s.answer).more, (s.answer).pictures AS matching_images,
       h.image_id, h.product_id, h.distance, h.match, h.pictures, h.others, h.after,
       i.tenant_id, i.category, i.categories, i.price, i.in_stock, i.attributes, i.sha256, w.title AS product_title,
       imgsearch_internal.box_of((s.answer).parts[h.place]) AS box, (s.answer).parts[h.place] ->> 'label' AS label,
       o.ids AS shown, o.digests
FROM (SELECT imgsearch_internal.question_of(%(question)s::jsonb) AS asked) q
LEFT JOIN (SELECT 1 FROM imgsearch.vectors WHERE false) v (locked) ON true  -- before the snapshot: the search sees one space
CROSS JOIN LATERAL imgsearch_internal.answer(%(vector)s, imgsearch.filters_of(%(filters)s::jsonb),
         imgsearch_internal.page_of(%(k)s, %(skip)s, %(after)s, %(max_distance)s, %(space)s), imgsearch.ranking_of(%(ranking)s::jsonb), q.asked) s
LEFT JOIN LATERAL imgsearch_internal.unfold(s.answer, %(vector)s, q.asked) WITH ORDINALITY
    AS h (tenant_id, image_id, product_id, distance, match, pictures, others, after, place) ON true
LEFT JOIN imgsearch.image i ON i.tenant_id = h.tenant_id AND i.image_id = h.image_id
LEFT JOIN imgsearch.product w ON w.tenant_id = h.tenant_id AND w.product_id = h.product_id
LEFT JOIN LATERAL (SELECT array_agg(x.image_id) AS ids, array_agg(x.sha256) AS digests FROM imgsearch.image x
                   WHERE %(digests)s AND x.tenant_id = h.tenant_id AND x.image_id = ANY (h.others)) o ON true
ORDER BY h.place

-- name: best
-- One page of what is most like one of several and least like others; its columns are those of search.
SELECT (s.answer).strategy, (s.answer).complete, (s.answer).matches, (s.answer).more, (s.answer).pictures AS matching_images,
       h.image_id, h.product_id, h.distance, h.match, h.pictures, h.others, h.after,
       i.tenant_id, i.category, i.categories, i.price, i.in_stock, i.attributes, i.sha256, w.title AS product_title,
       imgsearch_internal.box_of((s.answer).parts[h.place]) AS box, (s.answer).parts[h.place] ->> 'label' AS label,
       o.ids AS shown, o.digests
FROM (SELECT imgsearch_internal.best_answer(imgsearch_internal.as_vectors(%(likes)s), %(like_weights)s::double precision[], imgsearch_internal.as_vectors(%(unlikes)s), %(unlike_weights)s::double precision[],
         imgsearch.filters_of(%(filters)s::jsonb), imgsearch_internal.page_of(%(k)s, %(skip)s, %(after)s, %(max_distance)s, %(space)s),
         imgsearch.ranking_of(%(ranking)s::jsonb)) AS answer OFFSET 0) s
LEFT JOIN LATERAL imgsearch_internal.unfold(s.answer, %(vector)s, NULL) WITH ORDINALITY
    AS h (tenant_id, image_id, product_id, distance, match, pictures, others, after, place) ON true
LEFT JOIN imgsearch.image i ON i.tenant_id = h.tenant_id AND i.image_id = h.image_id
LEFT JOIN imgsearch.product w ON w.tenant_id = h.tenant_id AND w.product_id = h.product_id
LEFT JOIN LATERAL (SELECT array_agg(x.image_id) AS ids, array_agg(x.sha256) AS digests FROM imgsearch.image x
                   WHERE %(digests)s AND x.tenant_id = h.tenant_id AND x.image_id = ANY (h.others)) o ON true
ORDER BY h.place

-- name: browse
-- The products that match, when nothing was asked, with a few more of their pictures.
SELECT i.image_id, i.product_id, i.tenant_id, i.category, i.categories, i.price, i.in_stock, i.attributes, i.sha256, w.title AS product_title, n.pictures, n.others, n.digests, b.after
FROM imgsearch.browse_products(imgsearch.filters_of(%(filters)s::jsonb), %(k)s, %(sort)s, %(after)s) WITH ORDINALITY AS b (image_id, product_id, tenant_id, matching, after, place)
JOIN imgsearch.image i ON i.tenant_id = b.tenant_id AND i.image_id = b.image_id
LEFT JOIN imgsearch.product w ON w.tenant_id = i.tenant_id AND w.product_id = i.product_id
CROSS JOIN LATERAL (
    SELECT count(*)::integer + 1 AS pictures, (array_agg(x.image_id ORDER BY x.position, x.image_id))[1:4] AS others,
           (array_agg(x.sha256 ORDER BY x.position, x.image_id))[1:4] AS digests
    FROM imgsearch.image x JOIN imgsearch.vectors v ON v.tenant_id = x.tenant_id AND v.image_id = x.image_id
    WHERE x.tenant_id = i.tenant_id AND x.product_id = i.product_id AND x.image_id <> i.image_id) n
ORDER BY b.place

-- name: facets
-- How many products (or images) each further filter would leave.
SELECT facet, name, value, low, high, count, approximate, error,
       extract(epoch FROM clock_timestamp() - statement_timestamp())::float8 * 1000 AS took_ms  -- also where it was sent with others
FROM imgsearch.facets(imgsearch.filters_of(%(filters)s::jsonb), per => %(per)s, prices => %(prices)s::float8[],
                      attributes => %(names)s::text[], exact => %(exact)s)
