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

CREATE OR REPLACE FUNCTION imgsearch_internal.turned_cell(cell integer, side integer, turn integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE turn WHEN 1 THEN cell
                     WHEN 2 THEN high * side + last - wide
                     WHEN 3 THEN (last - high) * side + last - wide
                     WHEN 4 THEN (last - high) * side + wide
                     WHEN 5 THEN wide * side + high
                     WHEN 6 THEN (last - wide) * side + high
                     WHEN 7 THEN (last - wide) * side + last - high
                     WHEN 8 THEN wide * side + last - high END
    FROM (SELECT cell % side AS wide, cell / side AS high, side - 1 AS last) x
$$;
COMMENT ON FUNCTION imgsearch_internal.turned_cell(integer, integer, integer) IS 'Which cell of a square is seen in this one when the square is turned as an orientation of Exif says.';

CREATE OR REPLACE FUNCTION imgsearch_internal.slopes(tiles bytea) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(greatest(abs(here - get_byte(tiles, n - (n % 22 > 0)::integer)),
                              abs(here - get_byte(tiles, n + (n % 22 < 21)::integer)),
                              abs(here - get_byte(tiles, n - 22 * (n >= 22)::integer)),
                              abs(here - get_byte(tiles, n + 22 * (n < 462)::integer))) ORDER BY n)
    FROM (SELECT n, get_byte(tiles, n) AS here FROM generate_series(0, 483) n) x
$$;
COMMENT ON FUNCTION imgsearch_internal.slopes(bytea) IS 'How much each tile of brightness differs from those beside it.';

-- What PDQ cannot see, colours and what is small, tiles can: 22 x 22 of brightness, then 6 x 6 of each colour difference. A
-- picture that is saved anew, resized or cut a little differs a little wherever it has edges; one changed digit, or another
-- brightness of the shoe, differs in one place. So a tile may differ by 4 levels, and by six times as much of its slope as all
-- differ of theirs on the whole (of which a fifth counts at most); a colour by 8. Measured: docs/decisions/0030-duplicates.md.
CREATE OR REPLACE FUNCTION imgsearch_internal.agree(tiles bytea, other bytea, turn integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    steep       CONSTANT integer[] := imgsearch_internal.slopes(tiles);
    other_steep CONSTANT integer[] := imgsearch_internal.slopes(other);
BEGIN
    IF EXISTS (SELECT 1 FROM generate_series(0, 35) n, generate_series(484, 520, 36) part
               WHERE abs(get_byte(tiles, part + imgsearch_internal.turned_cell(n, 6, turn)) - get_byte(other, part + n)) > 8) THEN
        RETURN false;
    END IF;
    RETURN (
        WITH cell AS MATERIALIZED (
            SELECT abs(get_byte(tiles, t.seen) - get_byte(other, t.n)) AS apart,
                   greatest(steep[t.seen + 1], other_steep[t.n + 1]) AS slope
            FROM (SELECT n, imgsearch_internal.turned_cell(n, 22, turn) AS seen FROM generate_series(0, 483) n) t
        ), whole AS (
            SELECT least(sum(apart)::float8 / greatest(sum(slope), 1), 0.2) AS share FROM cell
        )
        SELECT bool_and(c.apart <= 4 + 6 * w.share * c.slope) FROM cell c, whole w);
END $$;
COMMENT ON FUNCTION imgsearch_internal.agree(bytea, bytea, integer) IS 'Whether the tiles of two pictures say the same, the first turned.';

-- `hash`: 2,048 zeros and ones, the hash and its seven turns, and its tiles in hexadecimal. A fingerprint of the same bytes
-- stays as it is, if it has tiles: another model's pixels would change a few of its bits.
CREATE OR REPLACE FUNCTION imgsearch_internal.store_fingerprints(tenants text[], images bigint[], digests bytea[], hashes text[], qualities smallint[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO imgsearch.fingerprint AS f (tenant_id, image_id, sha256, quality, pdq, turned, bands, tiles)
    SELECT i.tenant_id, i.image_id, i.sha256, g.quality, left(g.hash, 256)::bit(256), substr(g.hash, 257, 1792)::bit(1792),
           imgsearch_internal.bands(left(g.hash, 256)::bit(256)), decode(nullif(substr(g.hash, 2049), ''), 'hex')
    FROM unnest(tenants, images, digests, hashes, qualities) g (tenant_id, image_id, sha256, hash, quality)
    JOIN imgsearch.image i ON i.tenant_id = g.tenant_id AND i.image_id = g.image_id AND i.sha256 = g.sha256
    ON CONFLICT (tenant_id, image_id) DO UPDATE
        SET sha256 = EXCLUDED.sha256, quality = EXCLUDED.quality, pdq = EXCLUDED.pdq, turned = EXCLUDED.turned, bands = EXCLUDED.bands,
            tiles = EXCLUDED.tiles
        WHERE f.sha256 <> EXCLUDED.sha256 OR f.tiles IS NULL;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END $$;
COMMENT ON FUNCTION imgsearch_internal.store_fingerprints(text[], bigint[], bytea[], text[], smallint[]) IS 'Keeps the hashes of pictures that still have these bytes; returns how many it wrote.';
