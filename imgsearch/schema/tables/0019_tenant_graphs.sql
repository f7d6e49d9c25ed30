-- Tenants that have a graph of their own in every space, or are to have none.

CREATE TABLE IF NOT EXISTS imgsearch.tenant_graph (
    tenant_id  text        NOT NULL PRIMARY KEY,
    wanted     boolean     NOT NULL,
    by_hand    boolean     NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE imgsearch.tenant_graph IS 'Large tenants whose searches walk an HNSW of their own; made and dropped by workers, or by hand: imgsearch index tenant.';
COMMENT ON COLUMN imgsearch.tenant_graph.tenant_id IS 'Whose graph.';
COMMENT ON COLUMN imgsearch.tenant_graph.wanted IS 'Whether there is to be one; false: none, whatever the rule says.';
COMMENT ON COLUMN imgsearch.tenant_graph.by_hand IS 'Somebody said so, and workers leave it alone; false: the rule did.';
COMMENT ON COLUMN imgsearch.tenant_graph.changed_at IS 'When that was said.';
