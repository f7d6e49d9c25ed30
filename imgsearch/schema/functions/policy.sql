-- The numbers that decide how a search goes; no other file of the engine holds one. They were measured as
-- docs/how-a-search-works.md tells. What a machine takes for each step is measured on that machine: measure_costs().

CREATE OR REPLACE FUNCTION imgsearch_internal.policy(
    OUT few_images integer, OUT few_entries integer, OUT few_keys integer,
    OUT picture_ef double precision, OUT text_ef double precision, OUT tenant_ef double precision,
    OUT picture_divisor double precision, OUT text_divisor double precision,
    OUT short_divisor double precision, OUT deep_divisor double precision, OUT short_page integer,
    OUT widest integer, OUT widest_grouped integer, OUT crowded_ef double precision,
    OUT pool double precision, OUT rough_pools integer, OUT largest_pool integer, OUT deepest_page integer,
    OUT margin double precision, OUT gap double precision,
    OUT near_samples integer, OUT many_times double precision,
    OUT walk_us double precision, OUT key_us double precision, OUT start_nodes double precision,
    OUT walk_bonus double precision, OUT part_keys double precision
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    -- Few: all of them are compared exactly, without a guess or a plan.
    few_images := 500;           -- of a tenant, out of the primary key
    few_entries := 320;          -- of a category or a range of prices, out of the index that begins with it
    few_keys := 1000;            -- of any filter: 1 to 3 ms

    -- Walks: how wide among 200,000 images (growth() tells of more), and 1 / the part of one that is believed.
    picture_ef := 280;           text_ef := 200;
    tenant_ef := 1.3;            -- times as wide along a tenant's own graph
    picture_divisor := 3;        text_divisor := 2;
    short_divisor := 6;          deep_divisor := 4;  -- where nobody measured that more can be believed
    short_page := 50;            -- pages up to here are short
    widest := 1000;              -- hnsw.ef_search can be no more
    widest_grouped := 4000;      -- by iterative scans
    crowded_ef := 120;           -- times sqrt(images up to the page's end): near-alike images hide each other

    -- Bits: so many keys are read, those within a margin of the page's last are compared exactly.
    pool := 320;                 -- times sqrt(rows up to the page's end)
    rough_pools := 8;            -- times as many for a text before the mean of texts is known
    largest_pool := 20000;       -- above, everything is compared
    deepest_page := 5000;        -- a page that ends behind this is found by comparing everything
    margin := 1.75;              gap := 1.3;  -- times sqrt(dimension) bits; gap: the pool must reach so far behind the page

    -- The guess from the sample: what lies near the question, and how many deviations are more than chance.
    near_samples := 32;          many_times := 2;

    -- Costs, until they are measured: of a node of a walk, of a key out of an index; of beginning a walk, in nodes.
    walk_us := 29;               key_us := 0.185;           start_nodes := 40;
    walk_bonus := 0.75;          -- a walk must cost no more than this part of the other way: it may be in vain
    part_keys := 8;              -- a region that is compared costs so many keys
END $$;
COMMENT ON FUNCTION imgsearch_internal.policy() IS 'The constants of the search engine, each with its name.';

-- Above 1: among more images walks go wider and are believed less, and more bits are compared exactly.
CREATE OR REPLACE FUNCTION imgsearch_internal.growth(images double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(2, (greatest(200000, images) / 200000) ^ 0.4)
$$;
COMMENT ON FUNCTION imgsearch_internal.growth(double precision) IS
'How much more cautious a search is among so many images than among 200,000.';

CREATE OR REPLACE FUNCTION imgsearch_internal.cautious_divisor(page_end integer, images double precision)
RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    rule record := imgsearch_internal.policy();
BEGIN
    RETURN round(imgsearch_internal.growth(images)
        * CASE WHEN page_end > rule.short_page THEN rule.deep_divisor ELSE rule.short_divisor END);
END $$;
COMMENT ON FUNCTION imgsearch_internal.cautious_divisor(integer, double precision) IS
'1 / the part of a walk that is believed where nobody measured that more can be.';

CREATE OR REPLACE FUNCTION imgsearch_internal.cautious(ctx imgsearch_internal.search_context)
RETURNS imgsearch_internal.search_context LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    ctx.trust_divisor := greatest(
        ctx.trust_divisor, imgsearch_internal.cautious_divisor(ctx.page_end, ctx.pictures));
    RETURN ctx;
END $$;
COMMENT ON FUNCTION imgsearch_internal.cautious(imgsearch_internal.search_context) IS
'The context of a walk of which no more is believed than that, whatever was tuned for single images.';

CREATE OR REPLACE FUNCTION imgsearch_internal.walk_ms(ctx imgsearch_internal.search_context, ef double precision)
RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rule record := imgsearch_internal.policy();
BEGIN
    RETURN ctx.walk_us / 1000 * (rule.start_nodes + ef);
END $$;
COMMENT ON FUNCTION imgsearch_internal.walk_ms(imgsearch_internal.search_context, double precision) IS
'ms that a walk of that width takes: the nodes it compares lie all over the memory.';

-- In keys out of an index that begins with what is filtered by (leading), for each image that matches:
--   index  half of one, and half for each there is: an index that only holds it is read through
--   row    one, and two for each row that no index ruled out before (reached), four for its page, of which there are a
--          twentieth; a table that is read through costs no more than 1.2 for each there is
--   join   13: out of the caller's join
-- And the exact comparison of the best: 5,400 keys, up to 24,000 where many match.
CREATE OR REPLACE FUNCTION imgsearch_internal.bits_ms(
    ctx imgsearch_internal.search_context, e imgsearch_internal.estimate
) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT ctx.key_us / 1000 * (least(24000, 5400 + 1.9 * ctx.pictures * e.share) + ctx.pictures * (
        e.share * CASE e.access WHEN 'join' THEN 13.5 WHEN 'row' THEN 1.1 WHEN 'index' THEN 0.54 ELSE 1 END
        + CASE e.access WHEN 'index' THEN 0.46 WHEN 'row' THEN least(1.2,
            1.9 * coalesce(e.reached, 1) + 3.8 * least(0.05, coalesce(e.reached, 1))) ELSE 0 END))
$$;
COMMENT ON FUNCTION imgsearch_internal.bits_ms(imgsearch_internal.search_context, imgsearch_internal.estimate) IS
'ms that ranking all that match by their bits takes.';
