-- Composite types: dropped and made again on every upgrade, with the functions that take them.

-- What was asked, as one bound value of every dynamic statement.
CREATE TYPE imgsearch.asked AS (
    query halfvec, bits bit varying, tenant text, category text, categories text[], min_price double precision,
    max_price double precision, in_stock boolean, names text[], vals jsonb[], after_distance double precision,
    after_image bigint, max_distance double precision
);
COMMENT ON TYPE imgsearch.asked IS 'What find() was asked, as one bound value of its dynamic statements.';

-- What a query is to the active space, and what the space knows: read once per statement.
CREATE TYPE imgsearch.aimed AS (
    space_id integer, query halfvec, bits bit varying, rough boolean, sampled double precision, pictures double precision,
    last integer, ef integer, spread integer, pool integer, margin integer, indexed boolean
);
COMMENT ON TYPE imgsearch.aimed IS 'A query, its bits, and what the active space knows of how to search: see aim().';
