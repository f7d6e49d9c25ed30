"""change(): what is stored beside pictures, without the pictures and without embedding anything again."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from imgsearch import change
from imgsearch.errors import UsageError
from imgsearch.spaces.space import Space
from tests.shop import Row, fill

Connection = psycopg.Connection[Any]


@pytest.fixture
def images(connection: Connection, space: Space) -> list[int]:
    """Three pictures of one product of acme's, and one of bolt's that is called the same."""
    rows = [
        Row(vector=[1.0, *[0.0] * 47], tenant=tenant, price=10.0, category="shoes", attributes={"colour": "red"})
        for tenant in ("acme", "acme", "acme", "bolt")
    ]
    ids = fill(connection, space, rows)
    for n, image in enumerate(ids):
        of = ("p", n % 3, image)
        connection.execute("UPDATE imgsearch.image SET product_id = %s, position = %s WHERE image_id = %s", of)
    return ids


def stored(connection: Connection, image: int) -> tuple[Any, ...]:
    row = connection.execute(
        "SELECT category, price, in_stock, attributes FROM imgsearch.image WHERE image_id = %s", (image,)
    ).fetchone()
    assert row is not None
    return tuple(row)


def test_a_product_changes_in_all_its_pictures_and_nothing_waits(connection: Connection, images: list[int]) -> None:
    found = change(connection, tenant="acme", product_id="p", price=8, in_stock=False, attributes={"sale": True})
    assert found.images == found.changed == tuple(images[:3])
    for image in images[:3]:
        assert stored(connection, image) == ("shoes", 8.0, False, {"colour": "red", "sale": True})
    assert stored(connection, images[3]) == ("shoes", 10.0, True, {"colour": "red"}), (
        "a neighbour's product of that name"
    )
    waiting = connection.execute("SELECT count(*) FROM imgsearch.job").fetchone()
    assert waiting == (0,), "the pictures are the same"


def test_what_is_not_named_stays_and_none_empties(connection: Connection, images: list[int]) -> None:
    change(connection, tenant="acme", product_id="p", position=1, price=None, attributes={"colour": None, "size": [1]})
    assert stored(connection, images[1]) == ("shoes", None, True, {"size": [1]})
    assert stored(connection, images[0]) == ("shoes", 10.0, True, {"colour": "red"})
    change(connection, tenant="acme", image_id=images[0], category=None)
    assert stored(connection, images[0]) == (None, 10.0, True, {"colour": "red"})
    assert change(connection, tenant="bolt", image_id=images[0], category="x").images == (), "acme's"
    assert change(connection, tenant="acme", product_id="none", price=1).images == ()


def test_what_is_so_already_is_not_written(connection: Connection, images: list[int]) -> None:
    def places() -> Any:
        return connection.execute("SELECT ctid::text FROM imgsearch.image ORDER BY image_id").fetchall()

    before = places()
    found = change(
        connection,
        tenant="acme",
        product_id="p",
        price=10,
        category="shoes",
        in_stock=True,
        attributes={"colour": "red"},
    )
    assert (found.images, found.changed) == (tuple(images[:3]), ())
    assert places() == before


def test_words_of_a_product_change_without_its_pictures(connection: Connection, images: list[int]) -> None:
    def words() -> Any:
        return connection.execute(
            "SELECT title, words, codes FROM imgsearch.product WHERE tenant_id = 'acme'"
        ).fetchone()

    assert change(connection, tenant="acme", product_id="p", title="Canvas shoe", codes=["12 3"]).words
    assert words() == ("Canvas shoe", None, ["12 3"])
    assert change(connection, tenant="acme", product_id="p", words="summer", price=3).words
    assert words() == ("Canvas shoe", "summer", ["12 3"])
    assert not change(connection, tenant="acme", product_id="p", words="summer").words
    assert change(connection, tenant="acme", product_id="p", title=None, codes=None).words
    assert words() == (None, "summer", [])
    assert not change(connection, tenant="acme", product_id="none", title="x").words
    count = connection.execute("SELECT count(*) FROM imgsearch.product").fetchone()
    assert count == (1,), "no words without a picture"


def test_nonsense_is_refused_by_name(connection: Connection, images: list[int]) -> None:
    product: dict[str, Any] = {"tenant": "acme", "product_id": "p"}
    wrong: list[dict[str, Any]] = [
        {**product},
        {"tenant": "acme", "price": 3},
        {**product, "position": 0, "title": "x"},
        {"tenant": "acme", "image_id": images[0], "codes": []},
        {**product, "in_stock": None},
        {**product, "price": -1},
        {**product, "price": float("nan")},
        {**product, "colour": "red"},
        {**product, "codes": ["x" * 101]},
        {**product, "title": "x" * 1001},
        {**product, "attributes": [1]},
    ]
    for arguments in wrong:
        with pytest.raises(UsageError):
            change(connection, **arguments)
    assert stored(connection, images[0]) == ("shoes", 10.0, True, {"colour": "red"})


def test_a_picture_of_an_attached_table_is_changed_there(connection: Connection, images: list[int]) -> None:
    """One is enough: nothing is written, not even of the others."""
    connection.execute("UPDATE imgsearch.image SET attachment_id = 1 WHERE image_id = %s", (images[1],))
    with pytest.raises(UsageError, match="attached table"):
        change(connection, tenant="acme", product_id="p", price=1)
    assert [stored(connection, one)[1] for one in images] == [10.0] * 4


def test_changes_at_once_lose_nothing(connection: Connection, images: list[int], settings: Any) -> None:
    """Two writers set different names of the same attributes, one after the other, neither knowing of the other."""
    with psycopg.connect(settings.database_url) as other:
        change(other, tenant="acme", product_id="p", attributes={"left": 1})
        late = threading.Thread(
            target=lambda: change(connection, tenant="acme", product_id="p", attributes={"right": 2})
        )
        late.start()
        late.join(0.3)
        assert late.is_alive(), "it waits for the row"
        other.commit()
        late.join(10)
    assert stored(connection, images[0])[3] == {"colour": "red", "left": 1, "right": 2}
