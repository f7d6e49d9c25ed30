-- What people search with plain SQL.

CREATE OR REPLACE VIEW imgsearch.images WITH (security_invoker = true) AS
SELECT i.tenant_id, i.image_id, i.product_id, i.position, i.category, i.price, i.in_stock, i.attributes,
       i.uri, i.sha256, i.created_at, i.updated_at, v.embedding, i.incomplete, i.categories
FROM imgsearch.image i
JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id;
COMMENT ON VIEW imgsearch.images IS 'Searchable pictures: image joined to the active space. … ORDER BY embedding <=> imgsearch.vec(''red canvas shoe'') LIMIT 10';
