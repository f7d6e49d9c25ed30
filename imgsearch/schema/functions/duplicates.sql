-- Near-duplicates, in two tiers. certain: at most 31 of 256 bits apart, whichever way one of them is turned, both with
-- something to see (quality of at least 50), and their tiles agree; or the same bytes. look: near without tiles that agree,
-- or their vectors have a cosine of at least 0.97, and their hashes are at most 90 bits apart or they share a product or a
-- code: somebody should look at both.

-- With the rights of whoever calls it; for a tenant behind row-level security an index over lists stays unused (its
-- operators are not leakproof), so such roles ask alike_here().
CREATE OR REPLACE FUNCTION imgsearch_internal.alike(
    tenant text, wanted bit[], besides bigint DEFAULT NULL, tiles bytea DEFAULT NULL, digest bytea DEFAULT NULL)
RETURNS TABLE (image_id bigint, distance integer, turn integer, agrees boolean) LANGUAGE plpgsql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    asked integer[] := ARRAY(SELECT DISTINCT b FROM unnest(wanted) w, unnest(imgsearch_internal.bands(w)) b);
BEGIN
    -- The bands find few whatever their statistics say, and in the key nothing but the tenant would be looked for.
    RETURN QUERY SELECT f.image_id, d.distance, d.turn, d.agrees
        FROM imgsearch.fingerprint f,
             LATERAL (SELECT bit_count(w.bits # f.pdq)::integer AS distance, w.n::integer AS turn,
                             (f.sha256 = alike.digest OR imgsearch_internal.agree(alike.tiles, f.tiles, w.n::integer)) IS TRUE AS agrees
                      FROM unnest(wanted) WITH ORDINALITY w (bits, n)
                      WHERE bit_count(w.bits # f.pdq) <= 31 ORDER BY 3 DESC, 1, 2 LIMIT 1) d
        WHERE f.bands && asked AND f.quality >= 50 AND f.tenant_id || '' = alike.tenant AND f.image_id IS DISTINCT FROM alike.besides
        ORDER BY d.distance, f.image_id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.alike(text, bit[], bigint, bytea, bytea) IS 'The pictures of a tenant at most 31 bits from a hash in any of its turns, the nearest first; and whether their tiles agree as well, or their bytes are the same.';

CREATE OR REPLACE FUNCTION imgsearch_internal.alike_here(wanted bit[], besides bigint, tiles bytea DEFAULT NULL, digest bytea DEFAULT NULL)
RETURNS TABLE (image_id bigint, distance integer, turn integer, agrees boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT a.* FROM imgsearch_internal.alike(imgsearch.current_tenant(), wanted, besides, tiles, digest) a;
END $$;
COMMENT ON FUNCTION imgsearch_internal.alike_here(bit[], bigint, bytea, bytea) IS 'What alike() finds among the pictures of the tenant that this transaction speaks for, and of no other.';

CREATE OR REPLACE FUNCTION imgsearch_internal.is_dismissed(tenant text, one bigint, other bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM imgsearch.dismissal d
                   WHERE d.tenant_id = tenant AND d.image_id = least(one, is_dismissed.other) AND d.other = greatest(one, is_dismissed.other));
END $$;
COMMENT ON FUNCTION imgsearch_internal.is_dismissed(text, bigint, bigint) IS 'Whether somebody said of two pictures that they are not the same.';

CREATE OR REPLACE FUNCTION imgsearch.dismiss_duplicate(image_id bigint, duplicate bigint, tenant text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner text := (SELECT f.tenant_id FROM imgsearch.fingerprint f
                   WHERE f.image_id = dismiss_duplicate.image_id
                     AND (tenant IS NULL OR f.tenant_id = normalize(tenant, NFC)));
    first  CONSTANT bigint := least(dismiss_duplicate.image_id, dismiss_duplicate.duplicate);
    second CONSTANT bigint := greatest(dismiss_duplicate.image_id, dismiss_duplicate.duplicate);
BEGIN
    IF dismiss_duplicate.image_id = dismiss_duplicate.duplicate OR NOT EXISTS (
        SELECT 1 FROM imgsearch.fingerprint f WHERE f.tenant_id = owner AND f.image_id = dismiss_duplicate.duplicate) THEN
        RAISE EXCEPTION 'imgsearch: images % and % are no pair', dismiss_duplicate.image_id, dismiss_duplicate.duplicate
            USING HINT = 'Name two images of one tenant that have a hash: SELECT image_id FROM imgsearch.fingerprint;', ERRCODE = 'IM004';
    END IF;
    INSERT INTO imgsearch.dismissal AS d (tenant_id, image_id, other) VALUES (owner, first, second) ON CONFLICT DO NOTHING;
    DELETE FROM imgsearch.duplicate d
    WHERE d.tenant_id = owner AND (d.image_id, d.original) IN ((first, second), (second, first));
END $$;
COMMENT ON FUNCTION imgsearch.dismiss_duplicate(bigint, bigint, text) IS
'Says for good that two pictures are not the same: neither is a duplicate of the other any more. SELECT imgsearch.dismiss_duplicate(42, 43);';

-- Inlined, so that a whole catalogue is joined with the few there are.
CREATE OR REPLACE FUNCTION imgsearch_internal.set_aside_pictures() RETURNS TABLE (tenant_id text, image_id bigint) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT j.tenant_id, j.image_id FROM imgsearch.job j
    WHERE j.state = 'failed' AND NOT EXISTS (SELECT 1 FROM imgsearch.vectors v WHERE v.tenant_id = j.tenant_id AND v.image_id = j.image_id)
$$;
COMMENT ON FUNCTION imgsearch_internal.set_aside_pictures() IS 'The pictures that failed, so that nobody can find them.';

CREATE OR REPLACE FUNCTION imgsearch_internal.near_twins(tenant text, picture bigint)
RETURNS TABLE (image_id bigint, distance integer, turn integer, agrees boolean) LANGUAGE plpgsql STABLE ROWS 5 AS $$
#variable_conflict use_column
DECLARE
    mine imgsearch.fingerprint := (SELECT f FROM imgsearch.fingerprint f WHERE f.tenant_id = tenant AND f.image_id = picture);
BEGIN
    IF mine.quality >= 50 AND tenant = imgsearch.current_tenant() THEN
        RETURN QUERY SELECT a.* FROM imgsearch_internal.alike_here(imgsearch_internal.turns(mine.pdq, mine.turned), picture, mine.tiles, mine.sha256) a
            WHERE NOT imgsearch_internal.is_dismissed(tenant, picture, a.image_id);
    ELSIF mine.quality >= 50 THEN
        RETURN QUERY SELECT a.* FROM imgsearch_internal.alike(tenant, imgsearch_internal.turns(mine.pdq, mine.turned), picture, mine.tiles, mine.sha256) a
            WHERE NOT imgsearch_internal.is_dismissed(tenant, picture, a.image_id);
    END IF;
    RETURN QUERY SELECT i.image_id, 0, 1, true
        FROM imgsearch.image me JOIN imgsearch.image i ON i.tenant_id = me.tenant_id AND i.sha256 = me.sha256 AND i.image_id <> me.image_id
        WHERE me.tenant_id = tenant AND me.image_id = picture AND (mine.quality >= 50) IS NOT TRUE
          AND NOT imgsearch_internal.is_dismissed(tenant, picture, i.image_id);
END $$;
COMMENT ON FUNCTION imgsearch_internal.near_twins(text, bigint) IS 'What has a near hash, or, where those say nothing, the same bytes; and whether a second measure says the same.';

CREATE OR REPLACE FUNCTION imgsearch_internal.certain_twins(tenant text, picture bigint)
RETURNS TABLE (image_id bigint, distance integer, turn integer) LANGUAGE plpgsql STABLE ROWS 5 AS $$
BEGIN
    RETURN QUERY SELECT n.image_id, n.distance, n.turn FROM imgsearch_internal.near_twins(tenant, picture) n WHERE n.agrees;
END $$;
COMMENT ON FUNCTION imgsearch_internal.certain_twins(text, bigint) IS 'What is certainly the same picture.';

CREATE OR REPLACE FUNCTION imgsearch.duplicates_of(image_id bigint, tenant text DEFAULT NULL, similarity double precision DEFAULT 0.97)
RETURNS TABLE (duplicate bigint, product_id text, place integer, tier text, distance integer, turn integer, cosine double precision)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    me    imgsearch.image;
    mine  imgsearch.fingerprint;
    seen  halfvec;
BEGIN
    IF (similarity BETWEEN 0.5 AND 1) IS NOT TRUE THEN
        RAISE EXCEPTION 'imgsearch: similarity is %', similarity USING HINT = 'A cosine from 0.5 to 1, for example 0.97.', ERRCODE = 'IM008';
    END IF;
    SELECT i.* INTO me FROM imgsearch.image i
    WHERE i.image_id = duplicates_of.image_id
      AND (duplicates_of.tenant IS NULL OR i.tenant_id = normalize(duplicates_of.tenant, NFC));
    IF me.image_id IS NULL THEN
        RAISE EXCEPTION 'imgsearch: there is no image %', duplicates_of.image_id USING HINT = 'See which there are: SELECT image_id, product_id FROM imgsearch.image;', ERRCODE = 'IM004';
    END IF;
    SELECT f.* INTO mine FROM imgsearch.fingerprint f WHERE f.tenant_id = me.tenant_id AND f.image_id = me.image_id;
    SELECT v.embedding INTO seen FROM imgsearch.vectors v WHERE v.tenant_id = me.tenant_id AND v.image_id = me.image_id;
    RETURN QUERY
        WITH near AS MATERIALIZED (
            SELECT c.image_id, c.distance, c.turn, c.agrees FROM imgsearch_internal.near_twins(me.tenant_id, me.image_id) c
            ORDER BY c.agrees DESC, 2, 1 LIMIT 1000
        ), close AS MATERIALIZED (
            SELECT s.image_id, 1 - s.distance AS cosine
            FROM imgsearch.search(seen, tenant => me.tenant_id, exclude_image_ids => ARRAY[me.image_id], per => 'image', k => 50, max_distance => 1 - similarity) s
            WHERE seen IS NOT NULL
        ), pair AS (
            SELECT coalesce(c.image_id, n.image_id) AS other, coalesce(c.agrees, false) AS is_certain, c.distance, c.turn, n.cosine
            FROM near c FULL JOIN close n ON n.image_id = c.image_id
        )
        SELECT i.image_id, i.product_id, i.position, CASE WHEN p.is_certain THEN 'certain' ELSE 'look' END,
               coalesce(p.distance, d.distance), coalesce(p.turn, d.turn),
               coalesce(p.cosine, (SELECT 1 - (v.embedding <=> seen) FROM imgsearch.vectors v WHERE v.tenant_id = i.tenant_id AND v.image_id = i.image_id))
        FROM pair p JOIN imgsearch.image i ON i.tenant_id = me.tenant_id AND i.image_id = p.other
        LEFT JOIN imgsearch.fingerprint f ON f.tenant_id = i.tenant_id AND f.image_id = i.image_id
        LEFT JOIN LATERAL (SELECT bit_count(t.bits # f.pdq)::integer AS distance, t.n::integer AS turn
                           FROM unnest(imgsearch_internal.turns(mine.pdq, mine.turned)) WITH ORDINALITY t (bits, n) WHERE mine.pdq IS NOT NULL ORDER BY 1, 2 LIMIT 1) d ON true
        WHERE NOT imgsearch_internal.is_dismissed(me.tenant_id, me.image_id, i.image_id)
          AND (p.distance IS NOT NULL OR d.distance <= 90 AND least(f.quality, mine.quality) >= 50 OR i.product_id = me.product_id
           OR (SELECT a.codes && b.codes FROM imgsearch.product a, imgsearch.product b
               WHERE a.tenant_id = me.tenant_id AND a.product_id = me.product_id AND b.tenant_id = i.tenant_id AND b.product_id = i.product_id))
        ORDER BY NOT p.is_certain, 5, 7 DESC NULLS LAST, i.image_id;
END $$;
COMMENT ON FUNCTION imgsearch.duplicates_of(bigint, text, double precision) IS
'The pictures that show what a picture shows: certain ones, then those that somebody should look at. turn: how it was turned to get there (an orientation of Exif, 1 as it is). SELECT * FROM imgsearch.duplicates_of(42);';

-- What workers ask before a picture becomes findable, and only where the shop wants to know.
CREATE OR REPLACE FUNCTION imgsearch_internal.twin_of(tenant text, picture bigint, digest bytea, hash text, quality integer)
RETURNS TABLE (image_id bigint, distance integer) LANGUAGE plpgsql STABLE ROWS 1 AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT 1 FROM imgsearch.vectors v WHERE v.tenant_id = tenant AND v.image_id = picture) THEN
        RETURN;  -- it can be found already: another model is at work
    END IF;
    RETURN QUERY SELECT t.image_id, t.distance FROM (
            SELECT i.image_id, 0 AS distance FROM imgsearch.image i JOIN imgsearch.vectors v ON v.tenant_id = i.tenant_id AND v.image_id = i.image_id
            WHERE i.tenant_id = tenant AND i.sha256 = digest AND i.image_id <> picture
            UNION ALL
            SELECT a.image_id, a.distance
            FROM imgsearch_internal.alike(tenant, imgsearch_internal.turns(left(hash, 256)::bit(256), substr(hash, 257, 1792)::bit(1792)), picture,
                                          decode(nullif(substr(hash, 2049), ''), 'hex'), digest) a
            WHERE a.agrees AND quality >= 50 AND hash IS NOT NULL AND EXISTS (SELECT 1 FROM imgsearch.vectors v WHERE v.tenant_id = tenant AND v.image_id = a.image_id)) t
        WHERE NOT imgsearch_internal.is_dismissed(tenant, picture, t.image_id)
        ORDER BY EXISTS (SELECT 1 FROM imgsearch.duplicate d WHERE d.tenant_id = tenant AND d.image_id = t.image_id AND d.tier = 'certain'), t.distance, t.image_id LIMIT 1;
END $$;
COMMENT ON FUNCTION imgsearch_internal.twin_of(text, bigint, bytea, text, integer) IS 'The picture of a tenant that a new one is certainly a duplicate of, an original before one that is a duplicate itself; no row: it is none.';

-- Bytes are compared when they arrive, what they look like when a worker has seen them.
CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_twin(tenant text, product text, place integer, digest bytea) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    twin imgsearch.image;
BEGIN
    IF digest IS NULL OR NOT EXISTS (SELECT 1 FROM imgsearch.shop s WHERE s.tenant_id = tenant AND s.duplicates = 'refuse') THEN
        RETURN;
    END IF;
    SELECT i.* INTO twin FROM imgsearch.image i
    WHERE i.tenant_id = tenant AND i.sha256 = digest AND (i.product_id, i.position) <> (product, place)
      AND NOT EXISTS (SELECT 1 FROM imgsearch.image me WHERE me.tenant_id = tenant AND me.product_id = product AND me.position = place
                      AND imgsearch_internal.is_dismissed(tenant, me.image_id, i.image_id))
      AND NOT EXISTS (SELECT 1 FROM imgsearch.job j WHERE j.tenant_id = i.tenant_id AND j.image_id = i.image_id AND j.state = 'failed')
    ORDER BY i.image_id LIMIT 1;
    IF twin.image_id IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: this is picture % of product %', twin.position, left(twin.product_id, 100)
            USING DETAIL = twin.image_id::text, HINT = 'This shop takes each picture once and has this one; leave it out, or remove the other.', ERRCODE = 'IM040';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_twin(text, text, integer, bytea) IS 'Raises that a shop which takes each picture once has these bytes already.';
