-- Images: what you filter on. Vectors stand in a table per space, embedding_<space_id>, and their
-- bits in a column of image, bits_<space_id>; functions make both (space.sql).

CREATE TABLE imgsearch.image (
    tenant_id  text             NOT NULL,
    image_id   bigint           GENERATED ALWAYS AS IDENTITY,
    product_id text             NOT NULL,
    position   integer          NOT NULL DEFAULT 0,
    category   text,
    categories text[],
    price      double precision,
    in_stock   boolean          NOT NULL DEFAULT true,
    attributes jsonb            NOT NULL DEFAULT '{}',
    uri        text             NOT NULL,
    sha256     bytea,
    attachment_id integer,
    incomplete boolean          NOT NULL DEFAULT false,
    created_at timestamptz      NOT NULL DEFAULT now(),
    updated_at timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, image_id),
    -- The product first: the same index serves joins to the shop's table, which seldom name the
    -- tenant.
    CONSTRAINT one_picture_per_position UNIQUE (product_id, tenant_id, position),
    -- Search sorts by (bits apart << 51) | image_id.
    CONSTRAINT image_id_leaves_room CHECK (image_id < 2251799813685248),
    CONSTRAINT tenant_is_named CHECK (tenant_id <> ''),
    CONSTRAINT product_is_named CHECK (product_id <> ''),
    CONSTRAINT uri_is_named CHECK (uri <> ''),
    CONSTRAINT price_is_a_number CHECK (price >= 0 AND price < 'Infinity'),
    CONSTRAINT sha256_has_32_bytes CHECK (octet_length(sha256) = 32),
    CONSTRAINT attributes_are_an_object CHECK (jsonb_typeof(attributes) = 'object')
) WITH (
    -- Bits are compared in index-only scans, which look into the table for every page that is not
    -- all-visible: vacuum after 2 % of updates or 5 % of new rows, not after 20 %. Statistics steer
    -- which index a filter takes.
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05
);
CREATE INDEX image_by_id ON imgsearch.image (image_id);
-- The digest first: the picture store asks for no tenant.
CREATE INDEX image_by_digest ON imgsearch.image (sha256, tenant_id);
CREATE INDEX image_by_attributes ON imgsearch.image USING gin (attributes jsonb_path_ops);
CREATE INDEX image_by_categories ON imgsearch.image USING gin (categories)
    WHERE categories IS NOT NULL;
-- Tells at once whether anybody has several; empty, and then free, where nobody has.
CREATE INDEX image_with_categories ON imgsearch.image (tenant_id) WHERE categories IS NOT NULL;
COMMENT ON TABLE imgsearch.image IS
    'One row per picture: narrow and mutable, what you filter on. INSERT here, from anywhere, '
    'and the picture is embedded.';
COMMENT ON COLUMN imgsearch.image.tenant_id IS 'Whose picture; part of every key, never changes.';
COMMENT ON COLUMN imgsearch.image.image_id IS 'Identity of the picture.';
COMMENT ON COLUMN imgsearch.image.product_id IS 'Your key of the product it shows.';
COMMENT ON COLUMN imgsearch.image.position IS
    'Which picture of the product, from 0. Adding the same position again replaces the picture.';
COMMENT ON COLUMN imgsearch.image.category IS 'Filter: category.';
COMMENT ON COLUMN imgsearch.image.categories IS
    'Filter: category, where a picture has several; null: it has one or none.';
COMMENT ON COLUMN imgsearch.image.price IS
    'Filter: price. Double precision, because its comparisons are leakproof (numeric''s are not) '
    'and stay index conditions under row-level security.';
COMMENT ON COLUMN imgsearch.image.in_stock IS 'Filter: in stock.';
COMMENT ON COLUMN imgsearch.image.attributes IS 'Filter: anything else, one JSON object.';
COMMENT ON COLUMN imgsearch.image.uri IS
    'Where the bytes are: store:<key> in the picture store, or an http(s) address.';
COMMENT ON COLUMN imgsearch.image.sha256 IS
    'Digest of the bytes; null until a worker has fetched an http(s) address.';
COMMENT ON COLUMN imgsearch.image.attachment_id IS
    'The attached table that this picture comes from; null: it was added by hand.';
COMMENT ON COLUMN imgsearch.image.incomplete IS
    'The file lacks its last bytes. It was embedded, for what is missing hardly shows; upload it '
    'again.';
COMMENT ON COLUMN imgsearch.image.created_at IS 'When the picture was first added.';
COMMENT ON COLUMN imgsearch.image.updated_at IS 'When the picture itself was last replaced.';

-- A few hundred random pictures, to guess how many match a filter and whether it favours the
-- query's neighbourhood.
-- The columns are those of image, so that any WHERE on image fits.
CREATE TABLE imgsearch.image_sample (
    LIKE imgsearch.image INCLUDING COMMENTS,
    bits bit varying NOT NULL,
    PRIMARY KEY (tenant_id, image_id)
);
COMMENT ON TABLE imgsearch.image_sample IS
    'A few hundred random pictures of the active space, from which a search guesses how many '
    'match. A stale sample costs time, never recall.';
COMMENT ON COLUMN imgsearch.image_sample.bits IS 'The picture''s bits in the active space.';

CREATE TABLE imgsearch.promoted_attribute (
    name        text        PRIMARY KEY,
    type        text        NOT NULL,
    column_name text        NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT type_is_known CHECK (type IN ('text', 'number', 'boolean'))
);
COMMENT ON TABLE imgsearch.promoted_attribute IS
    'Attributes that have a column of their own. SELECT imgsearch.promote_attribute(''colour'', '
    '''text'');';
COMMENT ON COLUMN imgsearch.promoted_attribute.name IS 'The attribute''s name in image.attributes.';
COMMENT ON COLUMN imgsearch.promoted_attribute.type IS
    'text, number or boolean: values of another type stay in attributes alone and are found '
    'there.';
COMMENT ON COLUMN imgsearch.promoted_attribute.column_name IS
    'Its column in image and image_sample.';
COMMENT ON COLUMN imgsearch.promoted_attribute.created_at IS 'When it was promoted.';

CREATE TABLE imgsearch.picture_source (
    source    text   PRIMARY KEY CONSTRAINT source_is_named CHECK (source <> ''),
    tenant_id text   NOT NULL,
    image_id  bigint NOT NULL,
    file      text   NOT NULL,
    UNIQUE (tenant_id, image_id),
    FOREIGN KEY (tenant_id, image_id) REFERENCES imgsearch.image ON DELETE CASCADE
);
COMMENT ON TABLE imgsearch.picture_source IS
    'Which row of an application''s own table of pictures an image is, where an ORM keeps them '
    'in step (searchable(of=…) of Django): its place among the product''s pictures may change.';
COMMENT ON COLUMN imgsearch.picture_source.source IS 'The row: table or model, a colon, its key.';
COMMENT ON COLUMN imgsearch.picture_source.tenant_id IS 'Whose picture.';
COMMENT ON COLUMN imgsearch.picture_source.image_id IS 'Which picture.';
COMMENT ON COLUMN imgsearch.picture_source.file IS
    'The name of its file when it was last read: another name is another picture.';

CREATE TABLE imgsearch.tenant_graph (
    tenant_id  text        NOT NULL PRIMARY KEY,
    wanted     boolean     NOT NULL,
    by_hand    boolean     NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE imgsearch.tenant_graph IS
    'Large tenants whose searches walk an HNSW of their own; made and dropped by workers, or by '
    'hand: imgsearch index tenant.';
COMMENT ON COLUMN imgsearch.tenant_graph.tenant_id IS 'Whose graph.';
COMMENT ON COLUMN imgsearch.tenant_graph.wanted IS
    'Whether there is to be one; false: none, whatever the rule says.';
COMMENT ON COLUMN imgsearch.tenant_graph.by_hand IS
    'Somebody said so, and workers leave it alone; false: the rule did.';
COMMENT ON COLUMN imgsearch.tenant_graph.changed_at IS 'When that was said.';
