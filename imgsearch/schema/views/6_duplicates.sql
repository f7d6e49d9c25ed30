-- What was found to be twice here.

CREATE OR REPLACE VIEW imgsearch.duplicates WITH (security_invoker = true) AS
SELECT d.tenant_id, d.image_id, i.product_id, i.position, d.original, o.product_id AS original_product, o.position AS original_position,
       d.tier, d.distance, d.turn, d.similarity, d.found_at
FROM imgsearch.duplicate d
JOIN imgsearch.image i ON i.tenant_id = d.tenant_id AND i.image_id = d.image_id
JOIN imgsearch.image o ON o.tenant_id = d.tenant_id AND o.image_id = d.original;
COMMENT ON VIEW imgsearch.duplicates IS 'Pictures that show what another one shows, as imgsearch duplicates, or an upload to a shop with that policy, found them. tier: certain, or look (somebody should look at both).';
