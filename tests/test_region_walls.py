"""Regions of the catalogue stand behind the walls, and go with what they are of: picture, tenant, space, wish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from imgsearch import db
from imgsearch.dev.testing import embed
from imgsearch.ops import shops
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.speaking import speak_for

Connection = psycopg.Connection[Any]
TENANTS, PICTURES, EACH = ("acme", "bazaar"), 6, 2
LOOKED = ("regions", "region_1", "region_state")
PUT = """INSERT INTO imgsearch.region_{0} (tenant_id, image_id, position, sha256, x, y, w, h, label, score, embedding)
SELECT e.tenant_id, e.image_id, n, e.sha256, 0.1 * n, 0.1, 0.4, 0.4, 'bag', 0.5, e.embedding
FROM imgsearch.embedding_{0} e, generate_series(1, %s) n"""
NOTE = """INSERT INTO imgsearch.region_state (tenant_id, image_id, space_id, sha256, proposer, boxes)
SELECT e.tenant_id, e.image_id, %s, e.sha256, 'salient 5', %s FROM {0} e"""


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    """Pictures of two tenants, each with its regions, as workers leave them."""
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) SELECT t, n, 'store:' || t || n,"
        " sha256((t || n)::bytea) FROM unnest(%s::text[]) t, generate_series(1, %s) n",
        (list(TENANTS), PICTURES),
    )
    assert embed(connection) == len(TENANTS) * PICTURES
    for tenant in TENANTS:
        shops.set_shop(connection, tenant=tenant, regions="salient")
    put(connection, 1)
    return connection


@pytest.fixture
def acting(settings: Settings) -> Iterator[Callable[[str], Connection]]:
    """Connections that act as a role of imgsearch."""
    opened: list[Connection] = []

    def act(role: str) -> Connection:
        opened.append(db.connect(settings, autocommit=True))
        opened[-1].execute(SQL("SET ROLE {}").format(Identifier(role)))
        return opened[-1]

    yield act
    for connection in opened:
        connection.close()


def put(connection: Connection, space_id: int) -> None:
    table = Identifier("imgsearch", f"embedding_{space_id}")
    connection.execute(PUT.format(space_id).encode(), (EACH,))
    connection.execute(SQL(NOTE).format(table), (space_id, EACH))  # type: ignore[arg-type]


def counts(connection: Connection, **where: Any) -> dict[str, int]:
    """How many rows of a tenant, or of a picture, there are in each."""
    [(name, value)] = where.items() or [("tenant_id", None)]
    found = {}
    for table in LOOKED:
        statement = SQL("SELECT count(*) FROM {} WHERE {} = coalesce(%s, {})").format(
            Identifier("imgsearch", table), Identifier(name), Identifier(name)
        )
        row = connection.execute(statement, (value,)).fetchone()
        assert row is not None
        found[table] = row[0]
    return found


def both(pictures: int) -> dict[str, int]:
    return {"regions": pictures * EACH, "region_1": pictures * EACH, "region_state": pictures}


@pytest.mark.parametrize("role", ["imgsearch_reader", "imgsearch_writer"])
def test_a_tenant_sees_its_own_regions_and_nobody_any_without_one(
    shop: Connection, acting: Callable[[str], Connection], role: str
) -> None:
    mine = acting(role)
    assert counts(mine, tenant_id=None) == both(0)
    with mine.transaction():
        speak_for(mine, "acme")
        assert counts(mine, tenant_id=None) == both(PICTURES)
        assert counts(mine, tenant_id="bazaar") == both(0)
        for tenant, many in (("acme", PICTURES), ("bazaar", 0)):
            row = mine.execute("SELECT * FROM imgsearch_internal.count_regions(1, %s)", (tenant,)).fetchone()
            assert row == (many, 0, 0), "how far workers are is told of one's own shop alone"
        assert shops.show(mine, "bazaar")["regions"] == "off", "nor whether a neighbour asks for regions"
    assert counts(shop, tenant_id=None) == both(2 * PICTURES), "its owner sees all"


@pytest.mark.parametrize("role", ["imgsearch_reader", "imgsearch_writer"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM imgsearch.region_1",
        "UPDATE imgsearch.region_1 SET label = 'mine'",
        "INSERT INTO imgsearch.region_1 SELECT * FROM imgsearch.region_1 LIMIT 0",
        "UPDATE imgsearch.region_state SET due = now()",
        "DELETE FROM imgsearch.region_state",
        "SELECT imgsearch.forget_regions('acme')",
        "SELECT imgsearch.set_shop('acme', regions => 'off')",
    ],
)
def test_a_tenant_writes_no_regions(
    shop: Connection, acting: Callable[[str], Connection], role: str, statement: str
) -> None:
    mine = acting(role)
    with mine.transaction():
        speak_for(mine, "acme")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), mine.transaction():
            mine.execute(statement.encode())
    assert counts(shop, tenant_id=None) == both(2 * PICTURES)


def test_a_writer_that_replaces_or_removes_its_picture_takes_its_regions_along(
    shop: Connection, acting: Callable[[str], Connection]
) -> None:
    writer = acting("imgsearch_writer")
    with writer.transaction():
        speak_for(writer, "acme")
        writer.execute("UPDATE imgsearch.image SET uri = 'store:new', sha256 = sha256('new') WHERE product_id = '1'")
        assert counts(writer, tenant_id="acme") == both(PICTURES - 1), "in the same transaction"
        writer.execute("DELETE FROM imgsearch.image WHERE product_id = '2'")
        assert counts(writer, tenant_id="acme") == both(PICTURES - 2)
        writer.execute("UPDATE imgsearch.image SET price = 5")
    assert counts(shop, tenant_id="acme") == both(PICTURES - 2), "a price keeps them"
    assert counts(shop, tenant_id="bazaar") == both(PICTURES)
    embed(shop)
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_regions_of_other_bytes_are_a_violation_and_repaired_alone(shop: Connection) -> None:
    shop.execute("UPDATE imgsearch.region_1 SET sha256 = 'old' WHERE image_id = 3 AND position = 1")
    found = shop.execute("SELECT violation, tenant_id, image_id FROM imgsearch.violations").fetchall()
    assert found == [("region of other bytes", "acme", 3)]
    shop.execute("SELECT imgsearch.repair_violations()")
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []
    assert counts(shop, image_id=3) == both(0)
    assert shop.execute("SELECT count(*) FROM imgsearch.vectors WHERE image_id = 3").fetchone() == (1,), "it is found"
    waits = shop.execute("SELECT * FROM imgsearch_internal.count_regions(1, 'acme')").fetchone()
    assert waits == (PICTURES - 1, 1, 0), "and waits to be looked at again"


def test_switched_off_a_shop_keeps_none_and_its_neighbour_all(shop: Connection) -> None:
    shops.set_shop(shop, tenant="acme", regions="off")
    assert counts(shop, tenant_id="acme") == both(0)
    assert counts(shop, tenant_id="bazaar") == both(PICTURES)
    assert shops.show(shop, "acme")["regions"] == "off"
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_another_wish_of_a_shop_has_its_pictures_looked_at_anew(shop: Connection) -> None:
    for wish in ({"regions_per_picture": 3}, {"regions": "grid", "regions_per_picture": 5}):
        shops.set_shop(shop, tenant="acme", **wish)
        said = shops.show(shop, "acme")
        assert (said["with_regions"], said["regions_wait"]) == (0, PICTURES)
        assert counts(shop, tenant_id="acme") == both(PICTURES), "those of before stand until then"
    shops.set_shop(shop, tenant="acme", regions="salient")
    assert shops.show(shop, "acme")["with_regions"] == PICTURES


def test_a_space_has_regions_of_its_own_and_takes_them_along(shop: Connection) -> None:
    shop.execute("SELECT imgsearch.add_space('other', '', 'print', 48, '1', (SELECT mean FROM imgsearch.space))")
    assert counts(shop, tenant_id=None) == both(2 * PICTURES), "the view is of the searched one"
    shop.execute("INSERT INTO imgsearch.embedding_2 SELECT * FROM imgsearch.embedding_1")
    shop.execute("UPDATE imgsearch.image SET bits_2 = bits_1")
    put(shop, 2)
    shop.execute("SELECT imgsearch.activate_space('2', force => true)")
    assert shop.execute("SELECT DISTINCT space_id FROM imgsearch.regions").fetchall() == [(2,)]
    first = shop.execute("SELECT DISTINCT space_id FROM imgsearch_space_1.regions").fetchall()
    assert first == [(1,)], "the one before is searched beside it"
    shop.execute("SELECT imgsearch.drop_space('1')")
    assert shop.execute("SELECT to_regclass('imgsearch.region_1')").fetchone() == (None,)
    assert shop.execute("SELECT * FROM imgsearch.violations").fetchall() == []
    new = sha256(b"new").digest()
    shop.execute("UPDATE imgsearch.image SET uri = 'store:n', sha256 = %s WHERE image_id = 1", (new,))
    assert shop.execute("SELECT count(*) FROM imgsearch.regions WHERE image_id = 1").fetchone() == (0,)
