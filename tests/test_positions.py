"""Pictures of a product change places in one statement, at every interface, and nothing is embedded again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch import UsageError, add, change
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.http.conftest import open_app  # noqa: F401  # fixtures
from tests.shop import Row, fill
from tests.terminal import Run

Connection = psycopg.Connection[Any]
MOVES = {
    "swap": [1, 0],
    "rotate": [3, 0, 1, 2],
    "the last to the front": [3],
    "nothing": [],
    "turn round": [3, 2, 1, 0],
}


@pytest.fixture
def images(connection: Connection, space: Space) -> list[int]:
    vectors = [[float(n == at) for at in range(space.dimension)] for n in range(4)]
    ids = fill(connection, space, [Row(vector=vector, tenant="default", product="p") for vector in vectors])
    connection.execute("UPDATE imgsearch.image SET position = image_id - %s", (ids[0],))
    return ids


def placed(connection: Connection) -> list[int]:
    rows = connection.execute("SELECT image_id, position FROM imgsearch.image WHERE product_id = 'p' ORDER BY position")
    ids, positions = zip(*rows.fetchall(), strict=True)
    assert sorted(positions) == list(positions)
    assert min(positions) >= 0
    return list(ids)


def nothing_waits(connection: Connection) -> bool:
    return connection.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)


def in_order(images: list[int], order: list[int]) -> list[int]:
    return [images[place] for place in order] + [image for n, image in enumerate(images) if n not in order]


@pytest.mark.parametrize("order", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("interface", ["python", "http", "bulk", "cli"])
def test_pictures_change_places(
    connection: Connection,
    images: list[int],
    open_app: Any,  # noqa: F811
    run: Run,
    interface: str,
    order: list[int],
) -> None:
    browser: FlaskClient = open_app.test_client()
    ask: dict[str, Callable[[], Any]] = {
        "python": lambda: change(connection, product_id="p", order=order),
        "http": lambda: browser.patch("/v1/products/p", json={"order": order}),
        "bulk": lambda: browser.post(
            "/v1/images/bulk",
            data=f'{{"action": "change", "product_id": "p", "order": {order}}}',
            content_type="application/x-ndjson",
        ),
        "cli": lambda: run("product", "change", "p", "--in-stock", *(f"--order={place}" for place in order)),
    }
    answer = ask[interface]()
    assert getattr(answer, "status_code", 200) == 200, answer.text
    assert placed(connection) == in_order(images, order)
    assert nothing_waits(connection)


@pytest.mark.parametrize(
    ("becomes", "order"),
    [
        ("CASE position WHEN 0 THEN 1 WHEN 1 THEN 0 ELSE position END", [1, 0, 2, 3]),
        ("(position + 1) % 4", [3, 0, 1, 2]),
        ("(position + 3) % 4", [1, 2, 3, 0]),
        ("3 - position", [3, 2, 1, 0]),
        ("position + 1", [0, 1, 2, 3]),
    ],
)
def test_one_update_in_sql_exchanges_them(
    connection: Connection, images: list[int], becomes: str, order: list[int]
) -> None:
    connection.execute(f"UPDATE imgsearch.image SET position = {becomes} WHERE product_id = 'p'")  # noqa: S608
    assert placed(connection) == [images[place] for place in order]
    assert nothing_waits(connection)


def test_two_pictures_never_get_one_place(connection: Connection, settings: Settings, images: list[int]) -> None:
    for update in ("position = 1 WHERE position = 0", "position = 7", "position = position / 2"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(f"UPDATE imgsearch.image SET {update}".encode())  # noqa: S608
        assert placed(connection) == images
    added = add(connection, "https://h/a.jpg", product_id="p", position=2, settings=settings)
    assert added.image_id == images[2], "the same place again replaces its picture"


def test_orders_that_make_no_sense_are_refused(connection: Connection, images: list[int]) -> None:
    for order in ([9], [0, 0], [-1], ["a"], "10", None, 3, [0.5]):
        with pytest.raises(UsageError):
            change(connection, product_id="p", order=order)
    with pytest.raises(UsageError):
        change(connection, image_id=images[0], order=[1])
    connection.execute("UPDATE imgsearch.image SET attachment_id = 1 WHERE image_id = %s", (images[1],))
    with pytest.raises(UsageError, match="attached"):
        change(connection, product_id="p", order=[3])
    assert placed(connection) == images
    assert change(connection, product_id="nobody", order=[3]).images == ()


def test_gaps_stay_where_they_are(connection: Connection, images: list[int]) -> None:
    connection.execute("UPDATE imgsearch.image SET position = position * 5")
    found = change(connection, product_id="p", order=[15])
    assert placed(connection) == in_order(images, [3])
    rows = connection.execute("SELECT position FROM imgsearch.image ORDER BY 1").fetchall()
    assert rows == [(0,), (5,), (10,), (15,)]
    assert set(found.changed) == set(images)
