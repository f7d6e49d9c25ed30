"""A day in flask-shop's dashboard: after each way in which it writes, images are those of its rows."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if not os.environ.get("FLASK_SHOP_SOURCE"):
    pytest.skip("FLASK_SHOP_SOURCE names no folder of flask-shop's source: make adopt", allow_module_level=True)

from imgsearch import db, search
from imgsearch.settings import Settings
from tests.adopt.looking import Database, drawn

ROWS = """
    SELECT 'default', p.id::text, '{base}/' || i.image, p.basic_price::float, c.title, p.title
    FROM product_product p JOIN product_image i ON i.product_id = p.id
    LEFT JOIN product_category c ON c.id = p.category_id ORDER BY p.id::text, i.id"""


@pytest.fixture(scope="module")
def database(shop_settings: Settings, static: Path, client: Any) -> Database:
    return Database(shop_settings, "product_product", ROWS.format(base=static.as_uri()))


class Dashboard:
    """flask-shop's own dashboard, used as a browser uses it."""

    def __init__(self, client: Any, database: Database) -> None:
        self.client, self.database = client, database

    def sent(self, address: str, **values: Any) -> None:
        answer = self.client.post(f"/dashboard/{address}", data=values)
        assert answer.status_code == 302, answer.text[-3000:]

    def deleted(self, address: str) -> None:
        answer = self.client.delete(f"/dashboard/{address}/delete")
        assert answer.json == {"code": 0}, answer.text

    def key(self, table: str, title: str) -> int:
        [(key,)] = self.database.sql(f"SELECT id FROM {table} WHERE title = %s", title)  # noqa: S608
        return int(key)

    def product(self, title: str, price: str, category: int, pk: int | None = None, *shots: bytes) -> int:
        """Save the form of a product: the pictures it has are kept, new ones added."""
        kept = self.pictures(pk) if pk else []
        return self.with_pictures(title, price, category, pk, kept, *shots)

    def with_pictures(
        self, title: str, price: str, category: int, pk: int | None, kept: list[int], *shots: bytes
    ) -> int:
        values: dict[str, Any] = {f"images-{n}": str(key) for n, key in enumerate(kept)}
        values |= {"title": title, "basic_price": price, "category_id": str(category), "on_sale": "y"}
        if shots:  # all are called the same, as those of cameras are
            values["new_images"] = [(io.BytesIO(shot), "image.jpg") for shot in shots]
        self.sent("products/create/step2" if pk is None else f"products/{pk}/edit", **values)
        return self.key("product_product", title)

    def pictures(self, pk: int) -> list[int]:
        return [
            key for (key,) in self.database.sql("SELECT id FROM product_image WHERE product_id = %s ORDER BY 1", pk)
        ]


def ways(board: Dashboard) -> Iterator[str]:
    """Do one after another; yield what was done."""
    yield "the seed"
    board.sent("categories/create", title="Lamps", parent_id="0")
    lamps = board.key("product_category", "Lamps")
    red = board.product("Red", "5", lamps, None, drawn(250, 0, 0), drawn(250, 90, 0))
    yield "a product is made, with two pictures"
    blue = board.product("Blue", "7", 0, None, drawn(0, 0, 250))
    yield "another, whose picture's file is called the same"
    board.product("Red lamp", "6.50", lamps, red)
    yield "title and price are changed"
    board.product("Blue", "7", lamps, blue, drawn(0, 90, 250))
    yield "a picture is added, a category chosen"
    board.with_pictures("Red lamp", "6.50", lamps, red, board.pictures(red)[1:])
    yield "a picture is deleted"
    board.with_pictures("Red lamp", "6.50", lamps, red, [], drawn(250, 0, 90))
    yield "a picture is replaced by one of the same name"
    board.sent(f"categories/{lamps}/edit", title="Lights", parent_id="0")
    yield "a category is renamed"
    board.sent(f"products/variant/create?product_id={red}", title="Small", sku_id="1", quantity="3", price_override="0")
    yield "a variant is in stock"
    variant = board.key("product_variant", "Small")
    board.sent(f"products/variant/{variant}/edit", title="Small", sku_id="1", quantity="0", price_override="0")
    yield "it is sold out"
    board.deleted(f"variants/{variant}")
    yield "a variant is deleted"
    board.deleted(f"categories/{lamps}")
    yield "a category is deleted"
    board.deleted(f"products/{red}")
    yield "a product is deleted"
    board.deleted(f"products/{blue}")
    yield "another is deleted"


def test_every_way_is_followed_at_once(client: Any, database: Database) -> None:
    database.ready()
    seeded, counts, stock = len(database.sql("SELECT * FROM imgsearch.image")), [], []
    for way in ways(Dashboard(client, database)):
        database.in_step(way)
        counts.append(len(database.sql("SELECT * FROM imgsearch.image")) - seeded)
        stock += database.sql(
            "SELECT DISTINCT in_stock FROM imgsearch.image JOIN imgsearch.product "
            "USING (tenant_id, product_id) WHERE title = 'Red lamp'"
        )
    assert counts == [0, 2, 3, 3, 4, 3, 3, 3, 3, 3, 3, 3, 2, 0]
    assert stock == [(False,)] * 5 + [(True,)] + [(False,)] * 3
    assert seeded > 20


def test_an_upload_is_found_by_what_it_shows_now(client: Any, database: Database) -> None:
    """A deleted file's name is given to the next upload of that name."""
    board, key = Dashboard(client, database), None
    for colour in ((90, 9, 9), (9, 9, 90)):
        key = board.with_pictures("Found", "5", 0, key, [], drawn(*colour))
        database.ready()
        with db.connect(database.settings, autocommit=True) as connection:
            best = search(connection, drawn(*colour), k=5)[0]
        assert (best.product_id, round(best.distance, 3)) == (str(key), 0)
