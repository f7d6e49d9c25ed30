-- name: search
-- One page by named filters. How it was found comes back even when nothing was: then the hit's columns are null.
SELECT f.strategy, f.complete, f.matches, f.more, h.image_id, h.distance, i.product_id, i.tenant_id, i.category,
       i.price, i.in_stock, i.attributes, i.sha256
FROM imgsearch.find(%(vector)s::halfvec, tenant => %(tenant)s, categories => %(categories)s::text[],
         min_price => %(min_price)s, max_price => %(max_price)s, in_stock => %(in_stock)s,
         attributes => %(attributes)s::jsonb, k => %(k)s, max_distance => %(max_distance)s, skip => %(skip)s,
         after_distance => %(after_distance)s, after_image => %(after_image)s) f
LEFT JOIN LATERAL unnest(f.images, f.distances) WITH ORDINALITY AS h (image_id, distance, place) ON true
LEFT JOIN imgsearch.image i ON i.image_id = h.image_id
ORDER BY h.place
