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
    assert {row[4] for row in drift(connection)} == {"trigger off: imgsearch_1_follows_3_update on stock"}
    assert connection.execute("SELECT imgsearch.repair('product')").fetchone() == (2,)
    assert drift(connection) == []
