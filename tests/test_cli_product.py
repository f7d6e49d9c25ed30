"""`imgsearch product list`, `change` and `remove`."""

from __future__ import annotations

import pytest

from imgsearch.spaces.space import Space
from tests.shop import Row, fill
from tests.terminal import Run
from tests.words import Connection


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    """Three products of acme's, of two, one and one pictures, and one of bolt's that is called like the first."""
    rows = [
        Row(vector=[1.0, 0.1 * n, *[0.0] * 46], tenant=tenant, product=product, price=10.0 + n, category="shoes")
        for n, (tenant, product) in enumerate(
            [("acme", "a"), ("acme", "a"), ("acme", "b"), ("acme", "c"), ("bolt", "a")]
        )
    ]
    fill(connection, space, rows)
    return connection


def prices(shop: Connection) -> list[tuple[str, str, float | None]]:
    return shop.execute("SELECT tenant_id, product_id, price FROM imgsearch.image ORDER BY image_id").fetchall()  # type: ignore[return-value]


def test_products_are_listed_page_by_page(shop: Connection, run: Run) -> None:
    found = run("product", "list", "--tenant", "acme", "--sort", "-price", "-k", 2, "--json").document
    assert [(one["product_id"], one["pictures"]) for one in found] == [("c", 1), ("b", 1)]
    rest = run(
        "product", "list", "--tenant", "acme", "--sort", "-price", "--after", found[-1]["after"], "--json"
    ).document
    assert [(one["product_id"], one["pictures"], one["price"]) for one in rest] == [("a", 2, 10.0)]
    assert "shoes" in run("product", "list", "--max-price", 10).out
    assert "No product matches" in run("product", "list", "--category", "hats").out


def test_a_product_changes_without_its_pictures(shop: Connection, run: Run) -> None:
    typed = ("--price", 5, "--sold-out", "-a", "colour=red", "-a", "size=42", "--title", "Canvas", "--code", "4006381")
    assert run("product", "change", "a", "--tenant", "acme", *typed, "--json").document == {
        "images": 2,
        "changed": 2,
        "words": True,
    }
    assert prices(shop) == [("acme", "a", 5), ("acme", "a", 5), ("acme", "b", 12), ("acme", "c", 13), ("bolt", "a", 14)]
    assert "0 of 2 images changed" in run("product", "change", "a", "--tenant", "acme", "--price", 5).out
    assert (
        run("product", "change", "a", "--tenant", "acme", "--position", 1, "--empty", "price", "-a", "colour=null").code
        == 0
    )
    row = shop.execute("SELECT price, in_stock, attributes FROM imgsearch.image WHERE position = 1").fetchone()
    assert row == (None, False, {"size": 42})
    assert run("product", "change", "b", "--tenant", "acme", "--in-stock").code == 0


def test_a_product_or_an_image_goes(shop: Connection, run: Run) -> None:
    assert run("product", "remove", "a", "--tenant", "acme", "--position", 1, "--json").document == {"images": 1}
    assert "1 images are gone" in run("product", "remove", "a", "--tenant", "acme").out
    assert [row[:2] for row in prices(shop)] == [("acme", "b"), ("acme", "c"), ("bolt", "a")]


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (("product", "change", "a", "--tenant", "acme"), 2, "Say what to change"),
        (("product", "change", "--price", 1), 2, "Name either a product"),
        (("product", "change", "a", "--image-id", 1, "--price", 1), 2, "Name either a product"),
        (("product", "change", "a", "--tenant", "acme", "--price", "nan"), 2, "price"),
        (("product", "change", "a", "--tenant", "acme", "--price", "-1"), 2, "price"),
        (("product", "change", "a", "--tenant", "acme", "--empty", "tenant"), 2, "--empty"),
        (("product", "change", "a", "--tenant", "acme", "-a", "colour"), 2, "name=value"),
        (("product", "change", "a", "--tenant", "acme", "--position", 0, "--title", "x"), 2, "title, words and codes"),
        (("product", "change", "zzz", "--tenant", "acme", "--price", 1), 4, "has no product 'zzz'"),
        (("product", "remove", "a", "--tenant", "other"), 4, "has no product 'a'"),
        (
            (
                "product",
                "remove",
            ),
            2,
            "Name either a product",
        ),
        (("product", "list", "--sort", "colour"), 2, "no order"),
        (("product", "list", "--after", "x"), 2, "after"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(
    shop: Connection, run: Run, typed: tuple[object, ...], code: int, said: str
) -> None:
    ran = run(*typed)
    assert (ran.code != 0, said in ran.err) == (True, True), ran.err
    assert ran.err.count("\n") <= 2
    assert code == ran.code
