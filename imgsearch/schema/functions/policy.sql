-- The numbers that decide how a search goes; no other file of the engine holds one. How each was
-- measured: docs/how-a-search-works.md. What a step takes is measured where it runs, by
-- measure_costs().

CREATE OR REPLACE FUNCTION imgsearch_internal.policy() RETURNS imgsearch_internal.policy
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    p imgsearch_internal.policy;
BEGIN
    -- Few: all of them are compared exactly, without a guess or a plan.
    p.few_images := 500;           -- of a tenant, out of the primary key
    p.few_entries := 320;          -- of a category or a range of prices, out of its index
    p.few_keys := 1000;            -- of any filter: 1 to 3 ms

    -- Walks: how wide among 200,000 images (growth(): more), and 1 / the part that is believed.
    p.picture_ef := 280;           p.text_ef := 200;
    p.tenant_ef := 1.3;            -- times as wide along a tenant's own graph
    p.picture_divisor := 3;        p.text_divisor := 2;
    p.short_divisor := 6;          p.deep_divisor := 4;  -- where no more was measured
    p.short_page := 50;            -- pages up to here are short
    p.widest := 1000;              -- hnsw.ef_search can be no more
    p.widest_grouped := 4000;      -- by iterative scans
    p.crowded_ef := 85;            -- times sqrt(images up to the page's end): alike hide others
    p.crowded := 1.2;              p.most_crowded := 3;  -- images of a row; times a pool for them

    -- Bits: so many keys are read; those within a margin of the page's last are compared exactly.
    p.pool := 320;                 -- times sqrt(rows up to the page's end)
    p.rough_pools := 8;            -- times as many for a text before the mean of texts is known
    p.largest_pool := 20000;       -- above, everything is compared
    p.deepest_page := 5000;        -- a page that ends behind this is found by comparing everything
    p.margin := 1.75;              p.gap := 1.3;  -- times sqrt(dimension) bits
    -- gap: a pool must reach so far behind the page

    -- The guess from the sample: what is near, and how many deviations are more than chance.
    p.near_samples := 32;          p.many_times := 2;

    -- Costs, until they are measured: a node of a walk, a key; beginning a walk, in nodes.
    p.walk_us := 29;               p.key_us := 0.19;            p.start_nodes := 40;
    p.walk_bonus := 0.75;          -- it may be in vain: it costs no more than this part of the rest
    p.part_keys := 8;              -- a region that is compared, in keys; an image is four of them
    p.join_keys := 15;             -- one out of the caller's join
    p.row_keys := 1.1;             p.skipped_keys := 0.6;  -- out of the table; skipped in an index
    p.reached_keys := 3;           -- a row that no index ruled out
    p.page_keys := 6.2;            p.table_keys := 1.4;  -- its page, a twentieth of all; at most
    p.compared := 0.4;             -- exact comparisons, for each that matches; at least; at most
    p.least_compared := 4000;      p.most_compared := 12000;
    p.fewest_measured := 20000;    p.tries := 5;  -- measure_costs(): images, and questions
    RETURN p;
END $$;
COMMENT ON FUNCTION imgsearch_internal.policy() IS
'The constants of the search engine, each with its name.';

-- Above 1: among more images walks go wider and are believed less, and more is compared exactly.
CREATE OR REPLACE FUNCTION imgsearch_internal.growth(images float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(2, (greatest(200000, images) / 200000) ^ 0.4)
$$;
COMMENT ON FUNCTION imgsearch_internal.growth(double precision) IS
'How much more cautious a search is among so many images than among 200,000.';

CREATE OR REPLACE FUNCTION imgsearch_internal.cautious_divisor(page_end integer, images float8)
RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    rule CONSTANT imgsearch_internal.policy := imgsearch_internal.policy();
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
'The context of a walk of which no more is believed, whatever was tuned for single images.';
