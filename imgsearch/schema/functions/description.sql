-- What workers read from the pictures of shops that ask for it: colours and composition, as attributes of the image;
-- when and where it was taken, in a table of its own.

-- The names that picture/palette.py gives; a shop's own attributes are all others.
CREATE OR REPLACE FUNCTION imgsearch_internal.described_names() RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY['picture_colours', 'picture_hex', 'picture_shape', 'picture_aspect', 'picture_brightness', 'picture_background',
                 'picture_pink', 'picture_red', 'picture_orange', 'picture_yellow', 'picture_brown', 'picture_green', 'picture_cyan',
                 'picture_blue', 'picture_purple', 'picture_white', 'picture_grey', 'picture_black']
$$;
COMMENT ON FUNCTION imgsearch_internal.described_names() IS 'The attributes that workers read from a picture.';

-- And what a detector calls the parts of a picture (pipeline/regions.py).
CREATE OR REPLACE FUNCTION imgsearch_internal.read_names() RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT imgsearch_internal.described_names() || ARRAY['picture_things']
$$;
COMMENT ON FUNCTION imgsearch_internal.read_names() IS 'All attributes that workers write: what was read from a picture, and what its parts are called.';

-- A shop that writes its own attributes anew does not take away what was read; another picture does.
CREATE OR REPLACE FUNCTION imgsearch_internal.image_described() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (OLD.uri IS DISTINCT FROM NEW.uri OR (OLD.sha256 IS NOT NULL AND OLD.sha256 IS DISTINCT FROM NEW.sha256))
       AND NOT imgsearch_internal.keeps_vectors(OLD.sha256, NEW.uri, NEW.sha256) THEN
        NEW.attributes := NEW.attributes - imgsearch_internal.read_names();
    ELSIF current_setting('imgsearch.undescribe', true) IS DISTINCT FROM 'on' THEN
        NEW.attributes := NEW.attributes || (SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each(OLD.attributes) e
                                             WHERE e.key = ANY (imgsearch_internal.read_names()));
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION imgsearch_internal.image_described() IS 'Trigger: what was read from a picture stays while others write its attributes, and goes with the picture.';

-- Great-circle distance by the haversine formula (Sinnott, Sky and Telescope 68, 1984), mean radius of the Earth (IUGG).
CREATE OR REPLACE FUNCTION imgsearch.distance_km(
    latitude double precision, longitude double precision, latitude2 double precision, longitude2 double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
    SELECT 12742.0176::double precision * pg_catalog.asin(pg_catalog.sqrt(least(1::double precision,
        pg_catalog.power(pg_catalog.sind((latitude2 - latitude) / 2::double precision), 2::double precision)
        + pg_catalog.cosd(latitude) * pg_catalog.cosd(latitude2) * pg_catalog.power(pg_catalog.sind((longitude2 - longitude) / 2::double precision), 2::double precision))))
$$;
COMMENT ON FUNCTION imgsearch.distance_km(double precision, double precision, double precision, double precision) IS 'Kilometres between two places in degrees: SELECT imgsearch.distance_km(48.14, 11.58, 52.52, 13.41);';

CREATE OR REPLACE FUNCTION imgsearch_internal.check_near(near double precision[]) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF array_ndims(near) <> 1 OR cardinality(near) <> 3 OR array_position(near, NULL) IS NOT NULL
       OR NOT (near[1] BETWEEN -90 AND 90 AND near[2] BETWEEN -180 AND 180 AND near[3] > 0 AND near[3] <= 20038) THEN
        RAISE EXCEPTION 'imgsearch: near is no place on Earth and a distance: %', left(near::text, 100)
            USING HINT = 'Write latitude, longitude (degrees) and kilometres, for example ARRAY[48.14, 11.58, 5].', ERRCODE = 'IM008';
    END IF;
END $$;
COMMENT ON FUNCTION imgsearch_internal.check_near(double precision[]) IS 'Raises why latitude, longitude and kilometres are none.';

-- An index finds the belt of latitudes; the distance is then reckoned for what is in it.
CREATE OR REPLACE FUNCTION imgsearch_internal.near_sql(place text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('c.latitude BETWEEN (%1$s)[1] - (%1$s)[3] / 111 AND (%1$s)[1] + (%1$s)[3] / 111 AND imgsearch.distance_km(c.latitude, c.longitude, (%1$s)[1], (%1$s)[2]) <= (%1$s)[3]', place)
$$;
COMMENT ON FUNCTION imgsearch_internal.near_sql(text) IS 'The condition that capture c lies near a place.';

CREATE OR REPLACE FUNCTION imgsearch_internal.captured_sql(condition text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('EXISTS (SELECT 1 FROM imgsearch.capture c WHERE c.tenant_id = i.tenant_id AND c.image_id = i.image_id AND c.sha256 = i.sha256 AND %s)', condition)
$$;
COMMENT ON FUNCTION imgsearch_internal.captured_sql(text) IS 'The condition on image i that what was read of its capture c holds.';
