-- What tuned parameters are compared with.

CREATE OR REPLACE FUNCTION imgsearch_internal.fingerprint() RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'pictures', (SELECT greatest(c.reltuples, t.n_live_tup, 0)::bigint FROM pg_class c JOIN pg_stat_all_tables t ON t.relid = c.oid
                     WHERE c.oid = to_regclass('imgsearch.embedding_' || s.space_id)),
        'spread', round(avg(v.embedding <=> s.mean)::numeric, 4),
        'shift', round((@extschema:vector@.avg(v.embedding) <=> s.mean)::numeric, 4))
    FROM imgsearch.space s
    LEFT JOIN imgsearch.image_sample i ON NOT row_security_active('imgsearch.image_sample')
    LEFT JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
    WHERE s.state = 'active' GROUP BY s.space_id
$$;
COMMENT ON FUNCTION imgsearch_internal.fingerprint() IS 'What the searched pictures look like today, in three numbers: how many, how far they lie from the space''s mean, and how far their own mean has moved from it.';
