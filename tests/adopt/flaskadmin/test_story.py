"""A day in Flask-Admin: after each way in which it writes, images are those of the shop's rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask_admin", reason="Flask-Admin is not installed here: make adopt")

from imgsearch.settings import Settings
from tests.adopt.looking import Database, drawn

ROWS = """
    SELECT 'default', p.id::text, '{base}/' || i.file, p.price::float, c.name, p.name
    FROM product p JOIN picture i ON i.product_id = p.id LEFT JOIN category c ON c.id = p.category_id
    WHERE i.file <> '' ORDER BY p.id::text, i.place, i.id"""


@pytest.fixture(scope="module")
def database(shop_settings: Settings, media: Path, client: Any) -> Database:
    return Database(shop_settings, "product", ROWS.format(base=media.as_uri()))


class Admin:
    """Flask-Admin, used as a browser uses it."""

    def __init__(self, client: Any, database: Database) -> None:
        self.client, self.database = client, database

    def sent(self, address: str, **values: Any) -> None:
        """Send a form; it was taken."""
        answer = self.client.post(f"/admin/{address}", data=values)
        assert answer.status_code in {200, 302}, answer.text[-3000:]
        assert answer.status_code == 302 or "/ajax/" in address, answer.text[-3000:]

    def product(self, name: str, price: str, *pictures: dict[str, Any], pk: int | None = None, **more: Any) -> int:
        """Save the form of a product with those of its pictures; return its key."""
        inline = {f"pictures-{n}-{key}": value for n, form in enumerate(pictures) for key, value in form.items()}
        where = "new/" if pk is None else f"edit/?id={pk}"
        self.sent(f"product/{where}", name=name, price=price, **inline, **more)
        [(key,)] = self.database.sql("SELECT id FROM product WHERE name = %s", name)
        return int(key)

    def kept(self, pk: int) -> list[dict[str, Any]]:
        """Return the forms of a product's pictures, as they stand on its page."""
        shown = self.database.sql("SELECT id, place FROM picture WHERE product_id = %s ORDER BY id", pk)
        return [{"id": picture, "place": place} for picture, place in shown]

    def category(self, name: str, pk: int | None = None) -> str:
        self.sent("category/new/" if pk is None else f"category/edit/?id={pk}", name=name)
        [(key,)] = self.database.sql("SELECT id FROM category WHERE name = %s", name)
        return str(key)


def shot(place: int, *colour: int) -> dict[str, Any]:
    """Return the form of a new picture: all are called the same, as those of cameras are."""
    return {"place": place, "file": (io.BytesIO(drawn(*colour)), "image.jpg")}


def ways(admin: Admin) -> Iterator[str]:
    """Do one after another; yield what was done."""
    lamps = admin.category("Lamps")
    red = admin.product("Red", "5", shot(1, 250, 0, 0), shot(0, 250, 90, 0), category=lamps)
    yield "a product is made, with two pictures"
    blue = admin.product("Blue", "7", shot(0, 0, 0, 250))
    yield "another, whose picture's file is called the same"
    admin.product("Red lamp", "6", *admin.kept(red), pk=red, category=lamps)
    yield "name and price are changed"
    admin.sent("product/ajax/update/", list_form_pk=red, price="4.50")
    yield "a price is changed in the list"
    admin.product("Blue", "7", *admin.kept(blue), shot(1, 0, 90, 250), pk=blue, category=lamps)
    yield "a picture is added, a category chosen"
    first, second = admin.kept(red)
    admin.product("Red lamp", "6", first, {**second, **shot(0, 250, 0, 90)}, pk=red, category=lamps)
    yield "a picture's file is replaced by one of the same name"
    admin.product("Red lamp", "6", {**first, "place": 0}, {**second, "place": 3}, pk=red, category=lamps)
    yield "pictures change places"
    admin.product("Red lamp", "6", first, second, pk=red, category=lamps, **{"del-pictures-0": "on"})
    yield "a picture is deleted"
    admin.product("Blue", "7", *admin.kept(blue), pk=blue, category=lamps, **{"_pictures-0-file-delete": "on"})
    yield "a picture's file is taken away"
    admin.category("Lights", int(lamps))
    yield "a category is renamed"
    admin.sent("product/delete/", id=red)
    yield "a product is deleted"
    several = [admin.product(f"Grey {n}", "1", shot(0, n, n, n)) for n in (80, 90)]
    admin.sent("product/action/", action="delete", rowid=several)
    yield "several are deleted"
    several = [admin.product(f"Grey {n}", "1", shot(0, n, n, n)) for n in (80, 90)]
    admin.sent("fast/action/", action="delete", rowid=several)
    yield "several are deleted by one statement"


def test_every_way_is_followed_at_once(client: Any, database: Database) -> None:
    counts = []
    for way in ways(Admin(client, database)):
        database.in_step(way)
        counts.append(len(database.sql("SELECT * FROM imgsearch.image")))
    assert counts == [2, 3, 3, 3, 4, 4, 4, 3, 2, 2, 1, 1, 1]


def test_a_picture_of_the_same_name_is_found_by_what_it_shows(client: Any, database: Database) -> None:
    admin = Admin(client, database)
    cat, dog = admin.product("Cat", "1", shot(0, 9, 9, 90)), admin.product("Dog", "1", shot(0, 90, 90, 9))
    database.ready()
    admin.product("Cat", "1", {**admin.kept(cat)[0], **shot(0, 90, 9, 9)}, pk=cat)
    database.ready()
    found = {"photo": (io.BytesIO(drawn(90, 9, 9)), "a.jpg")}
    assert client.post("/search", data=found).json[0] == "Cat"
    old = {"photo": (io.BytesIO(drawn(90, 90, 9)), "a.jpg")}
    assert client.post("/search", data=old).json[0] == "Dog"
    assert dog
    assert client.post("/search", data={"photo": (io.BytesIO(b"no picture"), "a.jpg")}).status_code == 422
