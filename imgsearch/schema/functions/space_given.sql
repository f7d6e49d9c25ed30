-- Vectors that are brought along: spaces of kind given, which no worker fills.

CREATE OR REPLACE FUNCTION imgsearch_internal.given_space(space text) RETURNS integer LANGUAGE plpgsql STABLE AS $$
DECLARE
    these text[] := ARRAY(SELECT s.name FROM imgsearch.space s WHERE s.kind = 'given' ORDER BY s.space_id);
    id    integer;
BEGIN
    IF space IS NULL AND these = '{}' THEN
        RAISE EXCEPTION 'imgsearch: there is no space whose vectors are given'
            USING HINT = 'Make one: imgsearch space add NAME --given --dimension 512', ERRCODE = 'IM023';
    ELSIF space IS NULL AND cardinality(these) > 1 THEN
        RAISE EXCEPTION 'imgsearch: the vectors of several spaces are given: %', array_to_string(these, ', ')
            USING HINT = 'Say of which one it is: space.', ERRCODE = 'IM009';
    END IF;
    id := imgsearch_internal.space_of(coalesce(space, these[1]));
    IF NOT EXISTS (SELECT 1 FROM imgsearch.space s WHERE s.space_id = id AND s.kind = 'given') THEN
        RAISE EXCEPTION 'imgsearch: space % is filled by its workers', quote_literal(left(space, 100))
            USING HINT = CASE WHEN these = '{}' THEN 'Leave the vector out, or make a space for yours: imgsearch space add NAME --given --dimension 512'
                              ELSE format('Leave the vector out, or give it to %s.', array_to_string(these, ' or ')) END, ERRCODE = 'IM009';
    END IF;
    RETURN id;
END $$;
COMMENT ON FUNCTION imgsearch_internal.given_space(text) IS 'The number of a space whose vectors are given, by its name or number; null: the only one there is. Raises that there is none, or that workers fill it.';

-- Row by row behind one another in one array, as the workers deliver them.
CREATE OR REPLACE FUNCTION imgsearch_internal.refuse_numbers(space integer, many integer, numbers real[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here  imgsearch.space := (SELECT s FROM imgsearch.space s WHERE s.space_id = refuse_numbers.space);
    place integer := coalesce(array_position(numbers, NULL), array_position(numbers, 'NaN'), array_position(numbers, 'Infinity'), array_position(numbers, '-Infinity'));
    zero  bigint;
BEGIN
    IF cardinality(numbers) IS DISTINCT FROM many * here.dimension THEN
        RAISE EXCEPTION 'imgsearch: the vector has % numbers, space % has %', coalesce(cardinality(numbers), 0) / greatest(many, 1), here.name, here.dimension
            USING HINT = 'Use the model that the space was made for; several vectors stand behind one another.', ERRCODE = 'IM007';
    ELSIF place IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: vector % holds NaN, infinity or null', (place - 1) / here.dimension + 1
            USING HINT = 'Embed the picture again; nothing was stored.', ERRCODE = 'IM007';
    END IF;
    SELECT min(n) INTO zero FROM generate_series(1, many) n
    WHERE vector_norm(numbers[(n - 1) * here.dimension + 1:n * here.dimension]::vector) = 0;
    IF zero IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: vector % is zero', zero USING HINT = 'It has no direction; embed the picture again. Nothing was stored.', ERRCODE = 'IM007';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.refuse_numbers(integer, integer, real[]) IS 'Raises what is wrong with vectors: their dimension, NaN or infinity, no length.';

-- A picture whose bytes nobody has read yet (an address) has no digest: its vector carries an empty one, and stays when a
-- worker of another space reads the bytes. Rows are locked in one order, so that two of these never wait for each other.
CREATE OR REPLACE FUNCTION imgsearch_internal.store_given(space integer, tenants text[], images bigint[], digests bytea[], numbers real[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dimension integer := (SELECT s.dimension FROM imgsearch.space s WHERE s.space_id = store_given.space);
    reached   bigint;
    written   bigint[];
BEGIN
    EXECUTE format($f$
        WITH ours AS MATERIALIZED (
            SELECT s.mean, s.signs, imgsearch_internal.takes_tail(s.space_id, cardinality($2)) AS many FROM imgsearch.space s WHERE s.space_id = $6 AND s.kind = 'given' FOR KEY SHARE
        ), input AS MATERIALIZED (
            SELECT t.tenant_id, t.image_id, t.sha256, l2_normalize((($4)[((n - 1) * $5 + 1)::int:(n * $5)::int])::vector)::halfvec AS embedding
            FROM unnest($1, $2, $3) WITH ORDINALITY AS t (tenant_id, image_id, sha256, n)
        ), locked AS MATERIALIZED (
            SELECT n.tenant_id, n.image_id, coalesce(i.sha256, '') AS sha256, n.embedding,
                   imgsearch_internal.quantized(n.embedding, o.mean, o.signs) AS bits, o.many AND i.bits_%1$s IS NULL AS last FROM ours o CROSS JOIN input n
            JOIN imgsearch.image i ON i.tenant_id = n.tenant_id AND i.image_id = n.image_id
            WHERE n.sha256 IS NULL OR n.sha256 = i.sha256
            ORDER BY n.tenant_id, n.image_id FOR NO KEY UPDATE OF i
        ), stored AS (
            INSERT INTO imgsearch.embedding_%1$s AS e (tenant_id, image_id, sha256, embedding)
            SELECT l.tenant_id, l.image_id, l.sha256, l.embedding FROM locked l WHERE NOT l.last
            ON CONFLICT (tenant_id, image_id) DO UPDATE SET sha256 = EXCLUDED.sha256, embedding = EXCLUDED.embedding
                WHERE e.sha256 <> EXCLUDED.sha256 OR e.embedding OPERATOR(@extschema:vector@.<>) EXCLUDED.embedding
            RETURNING e.tenant_id, e.image_id
        ), stored_last AS (  -- as the workers deliver theirs
            INSERT INTO imgsearch.embedding_%1$s_tail AS e (tenant_id, image_id, sha256, embedding)
            SELECT l.tenant_id, l.image_id, l.sha256, l.embedding FROM locked l WHERE l.last
            ON CONFLICT (tenant_id, image_id) DO UPDATE SET sha256 = EXCLUDED.sha256, embedding = EXCLUDED.embedding
            RETURNING e.tenant_id, e.image_id
        ), superseded AS (
            DELETE FROM imgsearch.embedding_%1$s_tail t USING locked l WHERE NOT l.last AND t.tenant_id = l.tenant_id AND t.image_id = l.image_id
            RETURNING t.tenant_id, t.image_id, t.sha256 = l.sha256 AND t.embedding OPERATOR(@extschema:vector@.=) l.embedding AS equal
        ), same AS (
            SELECT p.tenant_id, p.image_id FROM superseded p WHERE p.equal
        ), kept AS MATERIALIZED (
            SELECT * FROM stored UNION ALL SELECT * FROM stored_last
        ), marked AS (  -- not joined with what was stored: guessed to be one row each, that were a loop in a loop
            UPDATE imgsearch.image i SET bits_%1$s = l.bits FROM locked l
            WHERE i.tenant_id = l.tenant_id AND i.image_id = l.image_id AND i.bits_%1$s IS DISTINCT FROM l.bits
        )
        SELECT (SELECT count(*) FROM locked), ARRAY(
            SELECT k.image_id FROM kept k WHERE (k.tenant_id, k.image_id) NOT IN (SELECT tenant_id, image_id FROM same)) $f$, space)
    INTO reached, written USING tenants, images, digests, numbers, dimension, space;
    IF reached < cardinality(images) THEN
        RAISE EXCEPTION 'imgsearch: % of % pictures are gone, or have other bytes than their vectors were made from', cardinality(images) - reached, cardinality(images)
            USING HINT = 'Embed what is there now; nothing was stored.', ERRCODE = 'IM004';
    END IF;
    RETURN written;
END $$;
COMMENT ON FUNCTION imgsearch_internal.store_given(integer, text[], bigint[], bytea[], real[]) IS 'Stores vectors that were given, with their bits, in one statement; returns the images that had another one or none.';

-- With the rights of the owner, for the tenant that this transaction speaks for and no other.
CREATE OR REPLACE FUNCTION imgsearch_internal.store_given_here(space integer, tenants text[], images bigint[], digests bytea[], numbers real[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF imgsearch.current_tenant() IS NULL OR EXISTS (SELECT 1 FROM unnest(tenants) t WHERE t IS DISTINCT FROM imgsearch.current_tenant()) THEN
        RAISE EXCEPTION 'imgsearch: no such image' USING HINT = 'Vectors are given to pictures of one''s own tenant.', ERRCODE = 'IM004';
    END IF;
    PERFORM imgsearch_internal.refuse_numbers(space, cardinality(images), numbers);
    RETURN imgsearch_internal.store_given(space, tenants, images, digests, numbers);
END $$;
COMMENT ON FUNCTION imgsearch_internal.store_given_here(integer, text[], bigint[], bytea[], real[]) IS 'Stores vectors of pictures of the tenant that is set, for roles that may not write vectors themselves.';

CREATE OR REPLACE FUNCTION imgsearch_internal.give(
    space text, tenants text[], image_ids bigint[], product_ids text[], positions integer[], digests bytea[], numbers real[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    id      integer := imgsearch_internal.given_space(space);
    many    integer := greatest(cardinality(image_ids), cardinality(product_ids));
    owners  text[];
    images  bigint[];
    missing text;
BEGIN
    IF coalesce(many, 0) > 10000 THEN
        RAISE EXCEPTION 'imgsearch: there are % vectors, at most 10000 are stored at once', many USING HINT = 'Give them in parts.', ERRCODE = 'IM007';
    END IF;
    PERFORM imgsearch_internal.refuse_numbers(id, coalesce(many, 0), numbers);
    SELECT array_agg(i.tenant_id ORDER BY g.n), array_agg(i.image_id ORDER BY g.n),
           min(coalesce('image ' || g.image_id, format('product %s, position %s', left(g.product_id, 100), g.place))) FILTER (WHERE i.image_id IS NULL)
    INTO owners, images, missing
    FROM unnest(tenants, image_ids, product_ids, positions) WITH ORDINALITY g (tenant_id, image_id, product_id, place, n)
    LEFT JOIN LATERAL (
        SELECT i.tenant_id, i.image_id FROM imgsearch.image i WHERE g.image_id IS NOT NULL AND i.image_id = g.image_id AND (g.tenant_id IS NULL OR i.tenant_id = g.tenant_id)
        UNION ALL
        SELECT i.tenant_id, i.image_id FROM imgsearch.image i
        WHERE g.image_id IS NULL AND i.tenant_id = g.tenant_id AND i.product_id = g.product_id AND i.position = g.place
    ) i ON true;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'imgsearch: there is no picture of %', missing USING HINT = 'Add the picture first, with its vector or before it; nothing was stored.', ERRCODE = 'IM004';
    ELSIF (SELECT count(DISTINCT x) FROM unnest(images) x) < many THEN
        RAISE EXCEPTION 'imgsearch: a picture is named twice' USING HINT = 'Give it one vector; nothing was stored.', ERRCODE = 'IM009';
    ELSIF images IS NULL THEN
        RETURN '{}';
    ELSIF imgsearch.is_tenant_restricted() THEN
        RETURN imgsearch_internal.store_given_here(id, owners, images, digests, numbers);
    END IF;
    RETURN imgsearch_internal.store_given(id, owners, images, digests, numbers);
END $$;
COMMENT ON FUNCTION imgsearch_internal.give(text, text[], bigint[], text[], integer[], bytea[], real[]) IS 'Stores vectors for pictures named by their numbers or by product and position; returns the images that had another one or none.';

CREATE OR REPLACE FUNCTION imgsearch.set_vector(space text, tenant text, product_id text, "position" integer, vector real[], sha256 bytea DEFAULT NULL) RETURNS boolean LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch_internal.give(space, ARRAY[normalize(tenant, NFC)], ARRAY[NULL::bigint],
        ARRAY[normalize(product_id, NFC)], ARRAY["position"], ARRAY[sha256], vector) <> '{}'
$$;
COMMENT ON FUNCTION imgsearch.set_vector(text, text, text, integer, real[], bytea) IS 'Gives a picture its vector in a space whose vectors are brought along (space null: the only one); it is brought to length one. sha256: only while the picture has these bytes. Returns whether it had another one or none.';

CREATE OR REPLACE FUNCTION imgsearch.set_vector(space text, tenant text, product_id text, "position" integer, vector halfvec, sha256 bytea DEFAULT NULL) RETURNS boolean LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch.set_vector(space, tenant, product_id, "position", vector::real[], sha256)
$$;
COMMENT ON FUNCTION imgsearch.set_vector(text, text, text, integer, halfvec, bytea) IS 'The same for a halfvec: SELECT imgsearch.set_vector(''mine'', ''acme'', ''sku-1'', 0, ''[0.6, 0.8]''::halfvec);';

CREATE OR REPLACE FUNCTION imgsearch.set_vector(space text, image_id bigint, vector real[], sha256 bytea DEFAULT NULL) RETURNS boolean LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch_internal.give(space, ARRAY[NULL::text], ARRAY[image_id], ARRAY[NULL::text], ARRAY[NULL::integer], ARRAY[sha256], vector) <> '{}'
$$;
COMMENT ON FUNCTION imgsearch.set_vector(text, bigint, real[], bytea) IS 'Gives the picture of this number its vector in a space whose vectors are brought along.';

CREATE OR REPLACE FUNCTION imgsearch.set_vector(space text, image_id bigint, vector halfvec, sha256 bytea DEFAULT NULL) RETURNS boolean LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    SELECT imgsearch.set_vector(space, image_id, vector::real[], sha256)
$$;
COMMENT ON FUNCTION imgsearch.set_vector(text, bigint, halfvec, bytea) IS 'The same for a halfvec.';

-- Bits are signs of what differs from the mean: where all numbers are positive, signs of the vectors themselves tell
-- nothing. A given space begins without one; it is measured when there are vectors.
CREATE OR REPLACE FUNCTION imgsearch_internal.measure_mean(space integer) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    many  double precision := (SELECT c.reltuples FROM pg_class c WHERE c.oid = format('imgsearch.embedding_%s', space)::regclass);
    found_ @extschema:vector@.vector;
BEGIN
    EXECUTE format('SELECT @extschema:vector@.avg(x.embedding::vector) FROM (SELECT e.embedding FROM imgsearch.embedding_%s e TABLESAMPLE SYSTEM (%s) LIMIT 10000) x',
                   space, least(100, 100.0 * 20000 / greatest(many, 1))) INTO found_;
    UPDATE imgsearch.space s SET mean = found_::halfvec
    WHERE s.space_id = measure_mean.space AND s.kind = 'given' AND found_ IS NOT NULL AND l2_distance(s.mean::vector, found_) > 0.05;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION imgsearch_internal.measure_mean(integer) IS 'Measures the mean of a space whose vectors are given; returns whether it moved, so that all bits are to be written anew.';

-- The pictures are locked first and their vectors read afterwards: whoever gives one meanwhile waits, or is seen.
CREATE OR REPLACE FUNCTION imgsearch_internal.write_bits(space integer, after bigint, size integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    these bigint[];
BEGIN
    EXECUTE format('SELECT array_agg(x.image_id) FROM (SELECT e.image_id FROM imgsearch.embedding_%s e WHERE e.image_id > $1 ORDER BY e.image_id LIMIT $2) x', space)
    INTO these USING after, size;
    PERFORM 1 FROM imgsearch.image i WHERE i.image_id = ANY (these) ORDER BY i.tenant_id, i.image_id FOR NO KEY UPDATE;
    EXECUTE format('UPDATE imgsearch.image i SET bits_%1$s = v.bits FROM (
            SELECT e.tenant_id, e.image_id, imgsearch_internal.quantized(e.embedding, s.mean, s.signs) AS bits
            FROM imgsearch.embedding_%1$s e, imgsearch.space s WHERE e.image_id = ANY ($1) AND s.space_id = %1$s OFFSET 0) v
        WHERE i.tenant_id = v.tenant_id AND i.image_id = v.image_id AND i.bits_%1$s IS DISTINCT FROM v.bits', space) USING these;
    RETURN (SELECT max(x) FROM unnest(these) x);
END $$;
COMMENT ON FUNCTION imgsearch_internal.write_bits(integer, bigint, integer) IS 'Writes the bits of the next images of a space anew; returns the number of the last one, null behind the end.';
