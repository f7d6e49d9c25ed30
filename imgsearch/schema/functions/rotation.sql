-- Bits are signs, and signs tell little where a model's numbers are sparse or skewed: so what lies around the mean is turned
-- before its signs are taken, always in the same way in one space. Vectors themselves are stored as they came.
-- docs/decisions/0041-turned-bits.md

-- SHA-256 of the seed, so that it is the same on every machine; 1 for a 0, -1 for a 1.
CREATE OR REPLACE FUNCTION imgsearch_internal.signs_of(seed bigint, dimension integer) RETURNS halfvec[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(('[' || rtrim(replace(replace(t.written, '+', '1,'), '-', '-1,'), ',') || ']')::@extschema:vector@.halfvec
                     ORDER BY t.turn)
    FROM (SELECT b.turn, left(translate(string_agg(b.bits::text, '' ORDER BY b.part), '01', '+-'), dimension) AS written
          FROM (SELECT turn, part,
                       ('x' || encode(sha256(convert_to(format('%s:%s:%s', seed, turn, part), 'UTF8')), 'hex'))::bit(256) AS bits
                FROM generate_series(1, 2) turn, generate_series(0, (dimension - 1) / 256) part) b
          GROUP BY b.turn) t
$$;
COMMENT ON FUNCTION imgsearch_internal.signs_of(bigint, integer) IS
'What a seed makes of a rotation: two vectors of 1 and -1.';

-- Signs, then sums and differences of halves: the one half moved by 1, 2, 4 … places before each, so that every number
-- reaches every place; and all of it twice. Orthogonal up to its length, for any dimension: the odd number is left
-- out of one half of it, at its weight. Whole vectors at a time, because a loop over numbers would cost fifty times as much.
CREATE OR REPLACE FUNCTION imgsearch_internal.turned(centred halfvec, signs halfvec[]) RETURNS @extschema:vector@.vector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    many CONSTANT integer := vector_dims(centred);
    half CONSTANT integer := many / 2;
    whole  @extschema:vector@.vector := centred::@extschema:vector@.vector;
    left_  @extschema:vector@.vector;
    right_ @extschema:vector@.vector;
    sum_   @extschema:vector@.vector;
    odd    @extschema:vector@.vector;
    step   integer;
    length_ real;
BEGIN
    IF many < 2 OR signs IS NULL THEN
        RETURN whole;
    END IF;
    FOR turn IN 1..2 LOOP
        whole := whole OPERATOR(@extschema:vector@.*) signs[turn]::@extschema:vector@.vector;
        left_ := @extschema:vector@.subvector(whole, 1, half);
        right_ := @extschema:vector@.subvector(whole, half + 1, half);
        step := 0; length_ := 1;
        LOOP
            IF step > 0 THEN
                left_ := @extschema:vector@.subvector(left_, step + 1, half - step)
                         OPERATOR(@extschema:vector@.||) @extschema:vector@.subvector(left_, 1, step);
            END IF;
            sum_ := left_ OPERATOR(@extschema:vector@.+) right_;
            right_ := left_ OPERATOR(@extschema:vector@.-) right_;
            left_ := sum_; length_ := length_ * 1.4142135::real; step := greatest(1, 2 * step);
            EXIT WHEN step >= half;
        END LOOP;
        IF many % 2 = 1 THEN
            odd := @extschema:vector@.subvector(whole, many, 1)
                   OPERATOR(@extschema:vector@.*) ARRAY[length_]::@extschema:vector@.vector;
        END IF;
        whole := left_ OPERATOR(@extschema:vector@.||) right_;
        whole := CASE WHEN odd IS NULL THEN whole ELSE whole OPERATOR(@extschema:vector@.||) odd END;
        whole := @extschema:vector@.subvector(whole, 2, many - 1)
                   OPERATOR(@extschema:vector@.||) @extschema:vector@.subvector(whole, 1, 1);
    END LOOP;
    RETURN whole;
END $$;
COMMENT ON FUNCTION imgsearch_internal.turned(halfvec, halfvec[]) IS
'A vector in the rotation of a space (signs; null: in none), longer by a factor that is the same for all.';

CREATE OR REPLACE FUNCTION imgsearch_internal.quantized(embedding halfvec, mean halfvec, signs halfvec[]) RETURNS bit
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    embedding := coalesce(embedding OPERATOR(@extschema:vector@.-) mean, embedding);
    RETURN binary_quantize(imgsearch_internal.turned(embedding, signs));
END $$;
COMMENT ON FUNCTION imgsearch_internal.quantized(halfvec, halfvec, halfvec[]) IS
'The bits of a vector in a space of that mean (null: around nothing) and that rotation (null: none).';
