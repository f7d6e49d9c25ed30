"""Writes that no trigger sees: drift tells the cause, and repair mends them."""

from __future__ import annotations

from tests.attach.conftest import Connection
from tests.attach.family import attach_family, drift, make_family


def test_drift_tells_why(connection: Connection) -> None:
    make_family(connection, "public")
    connection.execute("INSERT INTO product (id) SELECT generate_series(1, 3)")
    connection.execute("INSERT INTO picture (id, product_id, file) SELECT n, n, 'p' || n FROM generate_series(1, 3) n")
    attach_family(connection, backfill=False)
    assert {row[4] for row in drift(connection)} == {"not copied yet"}
    connection.execute("CALL imgsearch.backfill('product')")
    assert drift(connection) == []
    connection.execute("SET session_replication_role = replica")
    connection.execute("INSERT INTO stock (id, product_id, price) VALUES (1, 1, 5); DELETE FROM picture WHERE id = 2")
    connection.execute("RESET session_replication_role")
    found = [(row[0], row[2], row[4]) for row in drift(connection)]
    silent = "written without triggers, or changed in imgsearch.image"
    assert sorted(found) == [("extra", "2", silent), ("stale", "1", silent)]
    connection.execute("ALTER TABLE stock DISABLE TRIGGER imgsearch_1_follows_3_update")
    assert {row[4] for row in drift(connection)} == {"trigger off: imgsearch_1_follows_3_update on public.stock"}
    assert connection.execute("SELECT imgsearch.repair('product')").fetchone() == (2,)
    assert drift(connection) == []


def test_keys_of_types_of_the_shops_own(connection: Connection) -> None:
    """Functions of an attachment run with a search path that does not name them."""
    connection.execute(
        "CREATE DOMAIN sku AS text; CREATE TYPE colour AS ENUM ('red', 'blue');"
        "CREATE TABLE ware (id sku PRIMARY KEY, shade colour, photo text);"
        "CREATE TABLE paint (k colour PRIMARY KEY, w colour, photo text); CREATE INDEX ON paint (w)"
    )
    mapping = "image => 'photo', base => 'https://x.example'"
    connection.execute(f"SELECT imgsearch.attach('ware', key => 'id', category => 'shade', {mapping})".encode())
    connection.execute(
        f"SELECT imgsearch.attach('paint', key => 'k', owner => 'w', prefix => 'paint:', {mapping})".encode()
    )
    connection.execute("INSERT INTO ware VALUES ('x/1', 'red', 'p')")
    connection.execute("INSERT INTO paint VALUES ('red', NULL, 'p'), ('blue', 'red', 'q')")
    found = connection.execute("SELECT product_id, position, category FROM imgsearch.image ORDER BY 1, 2").fetchall()
    assert found == [("paint:red", 0, None), ("paint:red", 1, None), ("x/1", 0, "red")]
    assert connection.execute("SELECT * FROM imgsearch.attachment_failure").fetchall() == []
    assert drift(connection) == []
