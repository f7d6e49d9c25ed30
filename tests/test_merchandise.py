"""What is pinned stands first where it matches, what is hidden never stands; no row twice over all pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import FilterError, UsageError
from imgsearch.ops import merchandise
from imgsearch.query import Resolved
from imgsearch.retrieval import Hits, search
from imgsearch.spaces.space import ensure, vector_literal
from tests.asking import shop
from tests.shop import database, fill
from tests.terminal import Run
from tests.test_order import a_query

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def filled(servers: embedded.Servers, template: str) -> Iterator[Connection]:
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        space = ensure(connection, FakeEncoder().describe())
        rows = shop(900, seed=21)
        fill(connection, space, rows)
        far = (-np.array(a_query(1))).tolist()
        more = [type(rows[0])(vector=v, product="many", price=5.0) for v in (far, a_query(2), far)]
        fill(connection, space, more, first=5000)
        connection.execute("ANALYZE")
        connection.execute("SELECT imgsearch.refresh_sample()")
        yield connection


@pytest.fixture
def stocked(filled: Connection) -> Connection:
    filled.execute("DELETE FROM imgsearch.merchandise")
    return filled


def ask(connection: Connection, words: str | None = None, *, tenant: str = "acme", **asked: Any) -> Hits:
    resolved = Resolved(
        vector=vector_literal(a_query(1)),
        space_id=1,
        source="database",
        took_ms=0,
        kind="text" if words else "vector",
        words=words,
    )
    return search(connection, resolved, tenant=tenant, **asked)


def products(connection: Connection, words: str | None = None, size: int = 50, **asked: Any) -> list[str]:
    found: list[str] = []
    after = None
    while page := ask(connection, words, k=size, after=after, **asked):
        found += [hit.product_id for hit in page]
        after = page[-1].after
    return found


RANKINGS: list[dict[str, Any]] = [{}, {"sort": "price"}, {"boost": {"in_stock": 0.1}}, {"diversity": 0.4}]


@pytest.mark.parametrize("ranking", RANKINGS, ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_pinned_stand_first_and_once(stocked: Connection, size: int, ranking: dict[str, Any]) -> None:
    plain = products(stocked, size=50, max_price=40, **ranking)
    matching = ask(stocked, k=50, max_price=40).matches
    last, middle = plain[-1], plain[len(plain) // 2]
    merchandise.pin(stocked, tenant="acme", product_id=last, place=2)
    merchandise.pin(stocked, tenant="acme", product_id=middle, place=1)
    merchandise.pin(stocked, tenant="acme", product_id="nothing of ours", place=1)
    found = products(stocked, size=max(size, 20) if len(plain) > 100 and size < 3 else size, max_price=40, **ranking)
    assert found[:2] == [middle, last]
    assert len(found) == len(set(found))
    assert set(found) == set(plain)
    if not ranking:
        assert found[2:] == [one for one in plain if one not in (middle, last)]
    first = ask(stocked, k=size, max_price=40, **ranking)
    assert first.matches == matching
    assert [hit.product_id for hit in first] == found[:size]
    skipped = ask(stocked, k=3, skip=1, max_price=40, **ranking)
    assert [hit.product_id for hit in skipped] == found[1:4]
    behind = ask(stocked, k=5, max_price=40, after=ask(stocked, k=1, max_price=40, **ranking).after, **ranking)
    assert [hit.product_id for hit in behind] == found[1:6]


def test_pinned_only_where_they_match(stocked: Connection) -> None:
    prices = {hit.product_id: hit.price for hit in ask(stocked, k=500)}
    dear = next(name for name, price in prices.items() if price and price > 80)
    merchandise.pin(stocked, tenant="acme", product_id=dear)
    assert products(stocked)[0] == dear
    assert dear not in products(stocked, max_price=50)
    assert dear not in products(stocked, tenant="bolt")
    assert dear not in products(stocked, exclude_product_ids=[dear])


@pytest.mark.parametrize("ranking", RANKINGS, ids=str)
def test_hidden_never_stand(stocked: Connection, ranking: dict[str, Any]) -> None:
    plain = products(stocked)
    merchandise.hide(stocked, tenant="acme", product_id=plain[0])
    merchandise.pin(stocked, tenant="acme", product_id=plain[0], query="red shoe")
    assert plain[0] not in products(stocked, **ranking)
    assert plain[0] not in products(stocked, "Red  shoe!", **ranking), "hidden for one reason is hidden"
    assert set(products(stocked, **ranking)) == set(plain[1:])
    assert plain[0] in products(stocked, tenant="acme") or ask(stocked, k=10).matches == len(plain) - 1


def test_for_a_text_and_for_a_category(stocked: Connection) -> None:
    plain = products(stocked, category="shoes")
    merchandise.pin(stocked, tenant="acme", product_id=plain[-1], query="Red, shoe")
    merchandise.pin(stocked, tenant="acme", product_id=plain[-2], category="shoes")
    assert products(stocked, "red shoe")[0] == plain[-1]
    assert products(stocked, "blue shoe")[0] != plain[-1]
    assert products(stocked, category="shoes")[0] == plain[-2]
    assert products(stocked, "red shoe", category="shoes")[:2] == [plain[-1], plain[-2]]
    assert products(stocked, category=["shoes", "hats"])[0] not in plain[-2:]


def test_per_image_one_picture_is_pinned_and_the_others_stay(stocked: Connection) -> None:
    merchandise.pin(stocked, tenant="acme", product_id="many")
    page = ask(stocked, k=5)
    assert (page[0].product_id, page[0].pictures) == ("many", 3)
    everything, after = list[int](), None
    while part := ask(stocked, k=100, per="image", after=after):
        everything += [hit.image_id for hit in part]
        after = part.after
    assert everything[0] == page[0].image_id, "the nearest of its pictures"
    assert len(everything) == len(set(everything))
    assert products(stocked, size=100, per="image").count("many") == 3


def test_pins_stand_however_far_they_look(stocked: Connection) -> None:
    plain = ask(stocked, k=500)
    merchandise.pin(stocked, tenant="acme", product_id=plain[-1].product_id)
    page = ask(stocked, k=10, max_distance=plain[3].distance)
    assert [hit.product_id for hit in page] == [plain[-1].product_id, *(hit.product_id for hit in plain[:4])]
    assert page[0].distance == pytest.approx(plain[-1].distance)


def test_how_many_and_what_is_refused(stocked: Connection) -> None:
    for n in range(25):
        merchandise.pin(stocked, tenant="acme", product_id=f"p{n}", place=25 - n)
    merchandise.pin(stocked, tenant="acme", product_id="p3", place=7)
    with pytest.raises(FilterError, match="there are 25 of them already"):
        merchandise.pin(stocked, tenant="acme", product_id="p25")
    for n in range(200):
        merchandise.hide(stocked, tenant="acme", product_id=f"h{n}")
    with pytest.raises(FilterError, match="there are 200 of them already"):
        merchandise.hide(stocked, tenant="acme", product_id="h200")
    assert len(ask(stocked, k=10)) == 10
    assert len(ask(stocked, k=10, exclude_product_ids=[f"x{n}" for n in range(775)])) == 10
    with pytest.raises(FilterError, match="together at most 1000"):
        ask(stocked, k=10, exclude_product_ids=[f"x{n}" for n in range(1000)])
    for place in (0, 26, -1):
        with pytest.raises(FilterError, match="from 1 to 25"):
            merchandise.pin(stocked, tenant="acme", product_id="p1", query="x", place=place)
    with pytest.raises(UsageError, match=r"have names|is empty"):
        merchandise.hide(stocked, tenant="", product_id="p1")
    assert merchandise.unpin(stocked, tenant="acme", product_id="p3") == 1
    assert merchandise.unpin(stocked, tenant="acme") == 224
    assert merchandise.listed(stocked) == []


def test_the_console(connection: Connection, run: Run) -> None:
    run("merchandise", "pin", "p42", "--tenant", "acme", "--query", "Red shoe", "--place", 3)
    run("merchandise", "hide", "p13", "--tenant", "acme", "--category", "hats")
    listed = merchandise.listed(connection, "acme")
    assert [(one.query, one.category, one.product_id, one.place) for one in listed] == [
        ("", "hats", "p13", None),
        ("red shoe", "", "p42", 3),
    ]
    assert "hidden" in run("merchandise", "list").out
    assert [one["place"] for one in run("merchandise", "list", "--json").document] == [None, 3]
    assert "1 taken back" in run("merchandise", "clear", "--tenant", "acme", "--query", "red shoe").out
    assert len(merchandise.listed(connection)) == 1
    assert run("merchandise", "pin", "p1", "--tenant", "acme", "--place", 99).code == 2
