-- What tells near-duplicates: PDQ of each picture and of its seven turns, and the bands by which an index finds those that
-- are near. Two hashes at most 31 bits apart share a band nearly always: how nearly, and what other bands would cost, is
-- measured in docs/decisions/0030-duplicates.md.

-- 16 of 16 bits: (which of them, its bits) as one number.
CREATE OR REPLACE FUNCTION imgsearch_internal.bands(bits bit) RETURNS integer[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(SELECT (n << 16) | substring(bits FROM 1 + 16 * n FOR 16)::bit(16)::integer FROM generate_series(0, 15) n)
$$;
COMMENT ON FUNCTION imgsearch_internal.bands(bit) IS 'The bands of a PDQ hash: what two that are near share some of.';

CREATE OR REPLACE FUNCTION imgsearch_internal.turns(pdq bit, turned bit) RETURNS bit[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY[pdq, substring(turned FROM 1 FOR 256), substring(turned FROM 257 FOR 256), substring(turned FROM 513 FOR 256), substring(turned FROM 769 FOR 256),
                 substring(turned FROM 1025 FOR 256), substring(turned FROM 1281 FOR 256), substring(turned FROM 1537 FOR 256)]
$$;
COMMENT ON FUNCTION imgsearch_internal.turns(bit, bit) IS 'A picture''s hash as each of the eight orientations of Exif would show it.';

-- `hash`: 2,048 zeros and ones, the hash and its seven turns. A fingerprint of the same bytes stays as it is: another model's
-- pixels would change a few of its bits.
CREATE OR REPLACE FUNCTION imgsearch_internal.store_fingerprints(tenants text[], images bigint[], digests bytea[], hashes text[], qualities smallint[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO imgsearch.fingerprint AS f (tenant_id, image_id, sha256, quality, pdq, turned, bands)
    SELECT i.tenant_id, i.image_id, i.sha256, g.quality, left(g.hash, 256)::bit(256), substr(g.hash, 257)::bit(1792), imgsearch_internal.bands(left(g.hash, 256)::bit(256))
    FROM unnest(tenants, images, digests, hashes, qualities) g (tenant_id, image_id, sha256, hash, quality)
    JOIN imgsearch.image i ON i.tenant_id = g.tenant_id AND i.image_id = g.image_id AND i.sha256 = g.sha256
    ON CONFLICT (tenant_id, image_id) DO UPDATE
        SET sha256 = EXCLUDED.sha256, quality = EXCLUDED.quality, pdq = EXCLUDED.pdq, turned = EXCLUDED.turned, bands = EXCLUDED.bands
        WHERE f.sha256 <> EXCLUDED.sha256;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END $$;
COMMENT ON FUNCTION imgsearch_internal.store_fingerprints(text[], bigint[], bytea[], text[], smallint[]) IS 'Keeps the hashes of pictures that still have these bytes; returns how many it wrote.';
