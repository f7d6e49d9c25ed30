-- Values that the functions of a ranking hand to each other: see arrange.sql.

CREATE TYPE imgsearch_internal.place AS (
    size integer, number integer, shown integer, start_distance double precision, start_image bigint, end_distance double precision, end_image bigint,
    listed text, extra text, class integer, value double precision, words text, distance double precision, image bigint
);
COMMENT ON TYPE imgsearch_internal.place IS 'Where a page begins among windows: the size of a window and the number of this one, how many of its rows were shown, the nearest row before it and its farthest; listed: marks of the rows shown, extra: of rows that words found and earlier windows showed; or the last row shown, by what it is sorted by (class, value, words, distance, image).';

CREATE TYPE imgsearch_internal.pool AS (
    tenants text[], keys text[], images bigint[], distances double precision[], scores double precision[], firsts boolean[], marks text[],
    classes integer[], numbers double precision[], texts text[], tied double precision, lacks double precision
);
COMMENT ON TYPE imgsearch_internal.pool IS 'Rows to be ordered. keys: products, or product and position where a row is an image; firsts: stands before all others; marks: eight letters that tell a row; classes, numbers, texts: what it is sorted by; tied, lacks: of what words find, the score and the lack of rows that are as good as others that are not listed.';

CREATE TYPE imgsearch_internal.shelf AS (f imgsearch.filters, p imgsearch_internal.page_request, pool imgsearch_internal.pool, first integer, last integer, k integer, matches bigint, pictures bigint);
COMMENT ON TYPE imgsearch_internal.shelf IS 'What a shop pinned and hid for a search: the filters and the page that are left for the search, the pinned rows and which of them this page shows, how many rows it has, and how many products and pictures are pinned.';
