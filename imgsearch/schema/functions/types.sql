-- Values that the functions of a search hand to each other. Types come first; functions that take them follow.

CREATE TYPE imgsearch.filters AS (
    tenant text, category text[], min_price double precision, max_price double precision, in_stock boolean, attributes jsonb,
    product_ids text[], exclude_product_ids text[], exclude_image_ids bigint[],
    created_after timestamptz, created_before timestamptz, condition jsonb,
    taken_after timestamptz, taken_before timestamptz, near double precision[], duplicates boolean
);
COMMENT ON TYPE imgsearch.filters IS 'What rows must match, one value for every function: made by imgsearch.filters_of(), or by the named arguments of imgsearch.search().';

CREATE TYPE imgsearch_internal.column_filter AS (shop text, groups text[], low double precision, high double precision, stock boolean);
COMMENT ON TYPE imgsearch_internal.column_filter IS 'What static statements ask of an image: tenant, categories, prices, stock; null: any.';

CREATE TYPE imgsearch_internal.filter_text AS (
    condition text, indexed text, plain boolean, columns imgsearch_internal.column_filter, unpacked boolean, names text[], vals jsonb[], f imgsearch.filters
);
COMMENT ON TYPE imgsearch_internal.filter_text IS 'Filters as SQL over imgsearch.image i: all of it, the part an index answers; plain: columns say all of it, so a static statement can ask it; unpacked: rows are read for it; what it binds.';

CREATE TYPE imgsearch.ranking AS (
    per text, words text, word_weight double precision, look_weight double precision, expand boolean,
    cutoff text, min_match double precision, sort text, boost jsonb, diversity double precision, space text, regions double precision
);
COMMENT ON TYPE imgsearch.ranking IS 'How what matches is ranked and cut, one value for every function: made by imgsearch.ranking_of(), or by the named arguments of imgsearch.search().';

CREATE TYPE imgsearch_internal.question AS (kind text, words text, key text);
COMMENT ON TYPE imgsearch_internal.question IS 'What was asked: kind (text, picture, image, vector), its words where it has some, and what tells it from other questions; null: only its vector is known.';

CREATE TYPE imgsearch_internal.examples AS (
    likes @extschema:vector@.halfvec[], like_weights double precision[], unlikes @extschema:vector@.halfvec[], unlike_weights double precision[]
);
COMMENT ON TYPE imgsearch_internal.examples IS 'What is liked and disliked, with weights above 0: made by examples_of().';

CREATE TYPE imgsearch_internal.page_request AS (
    k integer, skip integer, after_distance double precision, after_image bigint, max_distance double precision, space integer,
    per_product boolean, passed integer, check_ text, place text, near bigint[], regions double precision
);
COMMENT ON TYPE imgsearch_internal.page_request IS 'Which page of a search: k rows (one per product, or per image) behind skip rows, or behind the row at (after_distance, after_image), behind which lie passed rows; check_ tells the question it belongs to, place where a window that was ranked anew goes on; near: the images by which the question was expanded; regions: how much they weigh, null: whole pictures are ranked.';

-- Its function is evaluated once per session and place: a named type, so the planner keeps its value.
CREATE TYPE imgsearch_internal.policy AS (
    few_images integer, few_entries integer, few_keys integer, picture_ef float8, text_ef float8,
    tenant_ef float8, picture_divisor float8, text_divisor float8, short_divisor float8,
    deep_divisor float8, short_page integer, widest integer, widest_grouped integer, crowded_ef
    float8, crowded float8, most_crowded float8, pool float8, rough_pools integer, largest_pool integer, deepest_page integer, margin
    float8, gap float8, near_samples integer, many_times float8, walk_us float8, key_us float8,
    start_nodes float8, walk_bonus float8, part_keys float8, join_keys float8, row_keys float8,
    skipped_keys float8, reached_keys float8, page_keys float8, table_keys float8, compared
    float8, least_compared float8, most_compared float8, fewest_measured integer, tries integer
);
COMMENT ON TYPE imgsearch_internal.policy IS 'The constants of the search engine: see policy.sql.';

-- Bound as $1 by the dynamic statements of a search; the filters are $2. Planning copies a bound value for each mention,
-- so long lists stand apart from the many conditions.
CREATE TYPE imgsearch_internal.bound AS (
    names text[], vals jsonb[], bits bit varying, after_distance double precision, after_image bigint
);
COMMENT ON TYPE imgsearch_internal.bound IS 'What the dynamic statements of a search bind as $1; the filters are $2.';

-- page_end: rows up to the end of the page. per: what a row stands for (product, label); null: an image. tenant: the one
-- whose own graph is walked; sampled, pictures and indexed are of that one then. crowding: images of a row near a
-- question. walk_us, key_us: microseconds that each node of a walk and each key take.
CREATE TYPE imgsearch_internal.search_context AS (
    space_id integer, query halfvec, bits bit varying, rough boolean, sampled double precision,
    pictures double precision, indexed boolean, tenant text, page_end integer, per text, ef integer,
    trust_divisor integer, pool integer, margin integer, crowding double precision,
    walk_us double precision, key_us double precision
);
COMMENT ON TYPE imgsearch_internal.search_context IS
'A query, its bits, and what the space knows of how to search: see search_context().';

-- share: of the sample that matches; reached: that an index hands out; apart: bits between the query and each sampled
-- image that matches; access: how bits are read (index, leading, row, join).
CREATE TYPE imgsearch_internal.estimate AS (
    share double precision, reached double precision, apart double precision[], access text
);
COMMENT ON TYPE imgsearch_internal.estimate IS 'How many images match, guessed from the sample: see estimate().';

-- source: hnsw (a walk, ef wide) or bits (pool keys; those within margin bits of the page's last are compared; a pool of
-- null is everything). reason: why there is no walk, see reason_words(). tenant: whose own graph it is; share and nearby
-- are of that one's images then. restricted: a walk meets other tenants' images, which are not seen.
CREATE TYPE imgsearch_internal.search_plan AS (
    source text, ef integer, pool integer, margin integer, share double precision, nearby double precision,
    bits_ms double precision, restricted boolean, reason text, tenant text
);
COMMENT ON TYPE imgsearch_internal.search_plan IS 'The next step of a search, and what it was chosen by.';

-- Nearest first, each with the label of the row it is of. Or keys, ascending, that are still to be compared, with whose
-- they are. places: where in the keys an image that was compared stood.
CREATE TYPE imgsearch_internal.candidates AS (
    tenants text[], images bigint[], distances double precision[], labels text[], keys bigint[], places integer[]
);
COMMENT ON TYPE imgsearch_internal.candidates IS 'Images that may be of the page.';

CREATE TYPE imgsearch_internal.page AS (
    tenants text[], images bigint[], distances double precision[], strategy text, complete boolean, matches bigint, more boolean, ranked bigint,
    products text[], pictures bigint, cursors text[], fits double precision[], space integer, parts jsonb[]
);
COMMENT ON TYPE imgsearch_internal.page IS 'A page of images, best first, and how it was found. One per product: products holds whose, matches counts products, pictures the images that match. cursors: what continues behind each row. fits: its match. space: which one it is of, where it is not the active one. parts: the region of each row that lies nearer than its whole picture; null: regions were not asked for.';
