-- Pictures whose files an application could not read when it saved their rows: they stand in the list of failures until a
-- later save brings the bytes. Their address is unread:<name of the file>.

-- With the rights of the owner: who may add pictures may not write the queue. It reaches no picture but those that were
-- never read, and says of them only why.
CREATE OR REPLACE FUNCTION imgsearch_internal.set_aside(tenant text, image_id bigint, error_code text, error text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE imgsearch.job j
    SET state = 'failed', error_code = left(set_aside.error_code, 100), error = left(set_aside.error, 2000), due = now(), lease = NULL, token = NULL
    FROM imgsearch.image i
    WHERE j.tenant_id = set_aside.tenant AND j.image_id = set_aside.image_id
      AND i.tenant_id = j.tenant_id AND i.image_id = j.image_id AND i.uri LIKE 'unread:%'
$$;
COMMENT ON FUNCTION imgsearch_internal.set_aside(text, bigint, text, text) IS 'Says why the file of a picture could not be read: it stands in imgsearch.failures until its row is saved again.';
