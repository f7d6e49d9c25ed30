"""A cursor goes on in its own question only, and behind it stands every row that was not shown."""

from __future__ import annotations

import base64
from collections.abc import Callable
from hashlib import md5
from typing import Any

import psycopg
import pytest

from imgsearch.errors import FilterError
from imgsearch.retrieval import search
from imgsearch.spaces.space import Space
from tests.asking import shop
from tests.shop import Row, fill
from tests.test_walls import As, acting

__all__ = ["acting"]

Connection = psycopg.Connection[Any]
QUERY = [1.0] + [0.1] * 47
VECTOR = str(QUERY)
ASKED = {
    "search": f"search('{VECTOR}'::halfvec, k => 5, %s)",
    "boost": f"""search('{VECTOR}'::halfvec, boost => '{{"in_stock": 0.1}}', k => 5, %s)""",
    "words": "search('boot', look_weight => 0, k => 5, %s)",
    "centroid": f"recommend(ARRAY['{VECTOR}'::halfvec], k => 5, %s)",
    "best": f"recommend(ARRAY['{VECTOR}'::halfvec], strategy => 'best', k => 5, %s)",
}
BROWSED = "browse_products(k => 5, %s)"


@pytest.fixture
def stocked(connection: Connection, space: Space) -> Connection:
    """Two tenants with the same products, all of which hold one word."""
    rows = [Row(vector=row.vector, tenant=t, product=f"p{n}") for n, row in enumerate(shop(60, 4)) for t in ("a", "b")]
    fill(connection, space, rows)
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title) SELECT DISTINCT tenant_id, product_id, 'boot'"
        " FROM imgsearch.image"
    )
    return connection


def last(connection: Connection, function: str, argument: str, *values: Any) -> str:
    """Return the cursor of the last row of a page."""
    statement = f"SELECT after_this FROM imgsearch.{function % argument}"  # noqa: S608  # of these lists
    rows = connection.execute(statement.encode(), values).fetchall()
    assert rows
    return str(rows[-1][0])


@pytest.mark.parametrize("way", list(ASKED))
def test_a_cursor_of_another_largest_distance_is_refused(stocked: Connection, way: str) -> None:
    for first, then in ((0.9, 0.8), (None, 1.5), (1.5, None)):
        after = last(stocked, ASKED[way], "max_distance => %s", first)
        assert last(stocked, ASKED[way], "max_distance => %s, after => %s", first, after) != after
        with pytest.raises(psycopg.Error) as refused:
            last(stocked, ASKED[way], "max_distance => %s, after => %s", then, after)
        assert refused.value.sqlstate == "IM008"


@pytest.mark.parametrize("way", [*ASKED, "browse"])
def test_a_cursor_of_another_tenant_is_refused(stocked: Connection, acting: As, way: str) -> None:
    """Also where the tenant is no filter, but what the transaction speaks for."""
    statement = ASKED.get(way, BROWSED)
    one, two = (acting("imgsearch_reader", options=f"-c imgsearch.tenant={tenant}") for tenant in "ab")
    after = last(one, statement, "after => %s", None)
    assert last(one, statement, "after => %s", after) != after
    with pytest.raises(psycopg.Error) as refused:
        last(two, statement, "after => %s", after)
    assert refused.value.sqlstate == "IM008"


def test_python_refuses_a_cursor_of_another_largest_distance(stocked: Connection) -> None:
    page = search(stocked, QUERY, tenant="a", k=5, max_distance=1.5)
    assert len(search(stocked, QUERY, tenant="a", k=5, max_distance=1.5, after=page[-1].after)) == 5
    with pytest.raises(FilterError, match="another question"):
        search(stocked, QUERY, tenant="a", k=5, after=page[-1].after)


def mark(product: str, letters: int) -> str:
    return base64.b64encode(md5(f"a\x01{product}".encode()).digest(), altchars=b"-_").decode()[:letters]  # noqa: S324


def clash(letters: int) -> tuple[str, str]:
    """Return two products of one tenant with the same mark."""
    there: dict[str, str] = {}
    for n in range(1_000_000):
        name = f"twin{n}"
        if (other := there.setdefault(mark(name, letters), name)) != name:
            return other, name
    raise AssertionError


RANKED: list[tuple[str, Callable[[int], dict[str, Any]]]] = [
    ("boost", lambda n: {"boost": {"in_stock": 0.1}}),
    ("diversity", lambda n: {"diversity": 0.4}),
    ("words", lambda n: {"words": "boot"}),
]


@pytest.mark.parametrize(("name", "ranking"), RANKED, ids=[name for name, _ in RANKED])
def test_no_row_is_hidden_by_the_mark_of_another(
    connection: Connection, space: Space, name: str, ranking: Callable[[int], dict[str, Any]]
) -> None:
    twins = clash(4)
    names = [*(f"p{n}" for n in range(60)), *twins]
    fill(
        connection,
        space,
        [Row(vector=r.vector, tenant="a", product=product) for r, product in zip(shop(62, 4), names, strict=True)],
    )
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title) SELECT tenant_id, product_id,"
        " CASE WHEN image_id % 7 = 0 THEN 'boot' ELSE 'lamp' END FROM imgsearch.image"
    )
    got, after = list[str | None](), None
    while page := search(connection, QUERY, tenant="a", k=7, after=after, **ranking(0)):
        got += [hit.product_id for hit in page]
        after = page[-1].after
    assert sorted(map(str, got)) == sorted(names)


def test_marks_are_of_48_bits(connection: Connection) -> None:
    row = connection.execute(
        "SELECT count(DISTINCT m), min(length(m))"
        " FROM generate_series(1, 200000) n, imgsearch_internal.mark_of('a', 'p' || n) m"
    ).fetchone()
    assert row == (200_000, 8)


def test_the_longest_cursor_is_taken(connection: Connection, space: Space) -> None:
    """All of a window of 200 shown, and a hundred that words found beside it."""
    rows = shop(600, 9)
    fill(connection, space, [Row(vector=row.vector, tenant="a", product=f"p{n}") for n, row in enumerate(rows)])
    connection.execute(
        "INSERT INTO imgsearch.product (tenant_id, product_id, title) SELECT tenant_id, product_id,"
        " CASE WHEN image_id % 6 = 0 THEN 'boot' ELSE 'lamp' END FROM imgsearch.image"
    )
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    ranking: dict[str, Any] = {"boost": {"in_stock": 0.1}, "words": "boot"}
    got, after, longest = list[int](), None, 0
    while page := search(connection, QUERY, tenant="a", k=90, after=after, **ranking):
        got += [hit.image_id for hit in page]
        longest = max(longest, *(len(hit.after or "") for hit in page))
        after = page[-1].after
    assert len(got) == len(set(got)) == 600
    assert 2000 < longest <= 4000


def test_explain_expands_a_question_once(stocked: Connection) -> None:
    with stocked.transaction():
        stocked.execute("SET LOCAL track_functions = 'pl'")
        stocked.execute(
            "SELECT * FROM imgsearch.explain_search(%s::halfvec, ranking => imgsearch.ranking_of(%s))",
            (VECTOR, '{"expand": true}'),
        )
        calls = stocked.execute("SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'expanded'").fetchone()
    assert calls == (3,), "twice by the searches that are measured, once by the line that tells of it"
