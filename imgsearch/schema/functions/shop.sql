-- What a shop says of itself: the language of its words, whether it keeps what was asked.

CREATE OR REPLACE FUNCTION imgsearch.set_shop(
    tenant text, language text DEFAULT NULL, keep_questions boolean DEFAULT NULL, duplicates text DEFAULT NULL,
    describe_pictures boolean DEFAULT NULL, keep_captures boolean DEFAULT NULL,
    regions text DEFAULT NULL, regions_per_picture integer DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    tenant := normalize(tenant, NFC);
    IF length(tenant) > 1000 THEN
        RAISE EXCEPTION 'imgsearch: a tenant has a name of at most 1000 characters'
            USING HINT = 'Name it as its images do.', ERRCODE = 'IM008';
    ELSIF coalesce(tenant, '') = '' THEN
        RAISE EXCEPTION 'imgsearch: no tenant is named whose shop this is' USING HINT = 'For example set_shop(''acme'', language => ''german''); without tenants of your own it is ''default''.', ERRCODE = 'IM008';
    ELSIF language IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_ts_config c WHERE c.cfgname = language AND c.cfgnamespace = 'pg_catalog'::regnamespace) THEN
        RAISE EXCEPTION 'imgsearch: there is no language "%"', left(language, 100)
            USING HINT = 'There are: ' || (SELECT string_agg(c.cfgname, ', ' ORDER BY c.cfgname) FROM pg_ts_config c WHERE c.cfgnamespace = 'pg_catalog'::regnamespace) || '.', ERRCODE = 'IM008';
    ELSIF duplicates NOT IN ('keep', 'link', 'refuse') THEN
        RAISE EXCEPTION 'imgsearch: duplicates is "%"', left(duplicates, 100) USING HINT = 'It is keep, link or refuse.', ERRCODE = 'IM008';
    ELSIF regions !~ '^(off|grid|salient|detector:\S.{0,199})$' THEN
        RAISE EXCEPTION 'imgsearch: regions is "%"', left(regions, 100) USING HINT = 'It is salient, grid, detector:NAME (a model that the workers load) or off.', ERRCODE = 'IM008';
    ELSIF cardinality(string_to_array(split_part(regions, '#', 2), ',')) > 40 THEN
        RAISE EXCEPTION 'imgsearch: a detector looks for 40 words, not %', cardinality(string_to_array(split_part(regions, '#', 2), ',')) USING HINT = 'Name fewer behind the #.', ERRCODE = 'IM008';
    ELSIF regions_per_picture NOT BETWEEN 1 AND 9 THEN
        RAISE EXCEPTION 'imgsearch: % regions per picture', regions_per_picture USING HINT = 'From 1 to 9.', ERRCODE = 'IM008';
    END IF;
    INSERT INTO imgsearch.shop AS s (tenant_id, language, keep_questions, duplicates, describe_pictures, keep_captures, region_proposer, regions_per_picture)
    VALUES (tenant, coalesce(language, 'simple'), coalesce(keep_questions, false), coalesce(duplicates, 'keep'), coalesce(describe_pictures, false), coalesce(keep_captures, false), nullif(regions, 'off'), coalesce(regions_per_picture, 5))
    ON CONFLICT ON CONSTRAINT shop_pkey DO UPDATE
        SET language = coalesce(set_shop.language, s.language), keep_questions = coalesce(set_shop.keep_questions, s.keep_questions), duplicates = coalesce(set_shop.duplicates, s.duplicates),
            describe_pictures = coalesce(set_shop.describe_pictures, s.describe_pictures), keep_captures = coalesce(set_shop.keep_captures, s.keep_captures),
            region_proposer = nullif(coalesce(set_shop.regions, s.region_proposer), 'off'), regions_per_picture = coalesce(set_shop.regions_per_picture, s.regions_per_picture);
    UPDATE imgsearch.product p SET language = set_shop.language WHERE p.tenant_id = set_shop.tenant AND p.language <> set_shop.language;
    IF NOT keep_questions THEN
        DELETE FROM imgsearch.past_question q WHERE q.tenant_id = set_shop.tenant;
    END IF;
    IF NOT keep_captures THEN
        DELETE FROM imgsearch.capture c WHERE c.tenant_id = set_shop.tenant;
    END IF;
    IF NOT describe_pictures THEN
        PERFORM set_config('imgsearch.undescribe', 'on', true);
        UPDATE imgsearch.image i SET attributes = i.attributes - imgsearch_internal.described_names() WHERE i.tenant_id = set_shop.tenant AND i.attributes ? 'picture_shape';
        PERFORM set_config('imgsearch.undescribe', '', true);
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch.set_shop(text, text, boolean, text, boolean, boolean, text, integer) IS 'Sets the language of a tenant''s titles (its words are read anew), and what is kept, each off unless it is set; turned off, what was kept goes: the questions that are asked, to be suggested; colours and composition of pictures, as attributes; when and where they were taken; who says which parts pictures are found by, too (salient, grid, detector:NAME; off: forget_regions() and workers remove them), and how many of each; and what becomes of a new picture that is a duplicate (keep, link, refuse). SELECT imgsearch.set_shop(''acme'', language => ''german'');';

-- Of one shop at most 10,000 texts are kept: a new one then waits until workers have removed old ones.
CREATE OR REPLACE FUNCTION imgsearch_internal.keep_question_of(words text, tenant text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said CONSTANT text := imgsearch_internal.folded(words);
BEGIN
    -- Addresses and long numbers, also in groups, are somebody's own.
    IF length(said) NOT BETWEEN 2 AND 100 OR words LIKE '%@%' OR words ~ '[0-9]([ ()./-]*[0-9]){6}'
       OR NOT EXISTS (SELECT 1 FROM imgsearch.shop s WHERE s.tenant_id = tenant AND s.keep_questions) THEN
        RETURN false;
    END IF;
    UPDATE imgsearch.past_question q SET asked = q.asked + 1, asked_at = now() WHERE q.tenant_id = tenant AND q.words = said;
    IF NOT FOUND AND (SELECT count(*) FROM (SELECT 1 FROM imgsearch.past_question q WHERE q.tenant_id = tenant LIMIT 10000) x) < 10000 THEN
        INSERT INTO imgsearch.past_question (tenant_id, words) VALUES (tenant, said) ON CONFLICT ON CONSTRAINT past_question_pkey DO NOTHING;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION imgsearch_internal.keep_question_of(text, text) IS 'What keep_question() does, with the rights of whoever calls it.';

CREATE OR REPLACE FUNCTION imgsearch_internal.keep_question_here(words text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN imgsearch.current_tenant() IS NOT NULL AND imgsearch_internal.keep_question_of(words, imgsearch.current_tenant());
END $$;
COMMENT ON FUNCTION imgsearch_internal.keep_question_here(text) IS 'What keep_question() does for the tenant that this transaction speaks for, and for no other.';

CREATE OR REPLACE FUNCTION imgsearch.keep_question(words text, tenant text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    tenant := normalize(tenant, NFC);
    IF imgsearch.current_tenant() = tenant THEN
        RETURN imgsearch_internal.keep_question_here(words);
    ELSIF imgsearch.current_tenant() IS NOT NULL OR imgsearch.is_tenant_restricted() THEN
        RETURN false;
    END IF;
    RETURN imgsearch_internal.keep_question_of(words, tenant);
END $$;
COMMENT ON FUNCTION imgsearch.keep_question(text, text) IS 'Notes that a text was searched for, if the shop keeps that; not what holds a long number or an @. Doors call it after a search; returns whether it was kept.';
