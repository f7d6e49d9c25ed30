-- name: search
-- One page by filters. How it was found comes back even when nothing was: then the hit's columns are null.
SELECT (s.answer).strategy, (s.answer).complete, (s.answer).matches, (s.answer).more, h.image_id, h.distance, i.product_id,
       i.tenant_id, i.category, i.price, i.in_stock, i.attributes, i.sha256
FROM imgsearch_internal.find(%(vector)s::halfvec, imgsearch.filters_of(%(filters)s::jsonb),
         imgsearch_internal.page_of(%(k)s, %(skip)s, %(after)s, %(max_distance)s)) s
LEFT JOIN LATERAL unnest((s.answer).tenants, (s.answer).images, (s.answer).distances)
    WITH ORDINALITY AS h (tenant_id, image_id, distance, place) ON true
LEFT JOIN imgsearch.image i ON i.tenant_id = h.tenant_id AND i.image_id = h.image_id
ORDER BY h.place
