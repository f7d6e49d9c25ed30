"""Words alone: look_weight => 0 asks for no vector, so neither a worker nor a model has to be there."""

from __future__ import annotations

import psycopg
import pytest

from imgsearch.errors import QueryError
from imgsearch.query import ImageId
from imgsearch.retrieval import explain, search
from tests.words import Connection, put

TITLES = {
    "p1": "Adidas Samba black 44",
    "p2": "Adidas Gazelle red",
    "p3": "Nike Dunk red shoe",
    "p4": "Puma Suede black shoe",
}


@pytest.fixture
def shop(connection: Connection) -> Connection:
    put(connection, TITLES)
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    return connection


def asked(connection: Connection, words: str, **arguments: object) -> list[tuple[str, str | None]]:
    named = "".join(f", {name} => %s" for name in arguments)
    rows = connection.execute(
        f"SELECT product_id, strategy, after_this FROM imgsearch.search(%s, look_weight => 0, tenant => 'acme'{named})",  # noqa: S608
        (words, *arguments.values()),
    ).fetchall()
    assert all(row[1] == "words" for row in rows)
    return [(row[0], row[2]) for row in rows]


def test_a_shop_without_worker_and_model_is_searched_by_words(shop: Connection) -> None:
    assert shop.execute("SELECT count(*) FROM imgsearch.space").fetchone() == (0,)
    assert [p for p, _ in asked(shop, "adidas samba 44")] == ["p1", "p2"]
    assert [p for p, _ in asked(shop, "addidas red", max_price=1)] == []


def test_a_picture_with_words_is_searched_by_the_words(shop: Connection) -> None:
    rows = shop.execute(
        "SELECT product_id FROM imgsearch.search('[1,0]'::halfvec, words => 'samba', look_weight => 0)"
    ).fetchall()
    assert rows == [("p1",)]
    with pytest.raises(psycopg.Error, match="no words to search by"):
        shop.execute("SELECT * FROM imgsearch.search('[1,0]'::halfvec, look_weight => 0)")


def test_pages_are_full_and_repeat_nothing_while_others_write(connection: Connection) -> None:
    brands = {f"b{n}": f"Rareo {'red' if n % 2 else 'blue'} shoe {n}" for n in range(40)}
    common = {f"c{n}": "red premium shoe" if n % 3 else "premium hat" for n in range(6000)}
    put(connection, {**brands, **common})
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    all_titles = {**brands, **common}
    wanted = {product for product, title in all_titles.items() if {"rareo", "red"} & set(title.lower().split())}
    found: list[str] = []
    after = None
    for turn in range(100):
        page = asked(connection, "rareo premium red", k=1000 if turn else 30, after=after)
        found += [product for product, _ in page]
        if len(page) < 1000 and turn:
            break
        after = page[-1][1]
        put(connection, {f"new{turn}": "rareo premium red"})
        connection.execute("SELECT imgsearch.refresh_vocabulary()")
    assert len(found) == len(set(found))
    assert wanted - set(found) == set(), "what has the rarest of the common words is found, to the end"
    assert all(product.startswith("b") for product in found[:30])


def test_a_page_per_picture_has_every_picture_of_what_fits(shop: Connection) -> None:
    shop.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, position, uri) VALUES ('acme', 'p1', 1, 'store:y')"
    )
    assert [p for p, _ in asked(shop, "samba")] == ["p1"]
    assert [p for p, _ in asked(shop, "samba", per="image")] == ["p1", "p1"]
    row = shop.execute(
        "SELECT pictures, others FROM imgsearch.search('samba', tenant => 'acme', look_weight => 0)"
    ).fetchone()
    assert row is not None
    assert row[0] == 2
    assert len(row[1]) == 1


def test_a_cursor_of_another_kind_is_refused(shop: Connection) -> None:
    after = asked(shop, "black", k=1)[0][1]
    assert after is not None
    assert len(asked(shop, "black", k=1, after=after)) == 1
    with pytest.raises(psycopg.Error) as refused:
        asked(shop, "red", k=1, after=after)
    assert refused.value.sqlstate == "IM008"
    with pytest.raises(psycopg.Error) as refused:
        asked(shop, "black", k=1, after=after.rsplit(",", 1)[0] + ",wx.y")
    assert refused.value.sqlstate == "IM008"


@pytest.mark.parametrize(("words", "state"), [("", "IM003"), ("?!", "IM003"), ("x" * 2001, "IM003")])
def test_what_is_no_question_is_refused(shop: Connection, words: str, state: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        asked(shop, words)
    assert refused.value.sqlstate == state


def test_behind_the_wall_words_find_the_same(shop: Connection) -> None:
    put(shop, {"z": "Adidas Samba zebra"}, tenant="other")
    with shop.transaction():
        shop.execute("SET LOCAL ROLE imgsearch_reader")
        shop.execute("SELECT set_config('imgsearch.tenant', 'acme', true)")
        rows = shop.execute("SELECT product_id FROM imgsearch.search('addidas samba', look_weight => 0)").fetchall()
        assert rows == [("p1",), ("p2",)]
        assert asked(shop, "zebra") == []
        assert (
            shop.execute("SELECT * FROM imgsearch.search('samba', tenant => 'other', look_weight => 0)").fetchall()
            == []
        )


def test_python_asks_nobody_for_words_alone(shop: Connection) -> None:
    hits = search(shop, "addidas samba", tenant="acme", look_weight=0, timeout=0)
    assert [(hit.product_id, hit.title) for hit in hits] == [
        ("p1", "Adidas Samba black 44"),
        ("p2", "Adidas Gazelle red"),
    ]
    assert (hits.strategy, hits.matches, hits.more, hits.complete) == ("words", 2, False, True)
    assert [hit.product_id for hit in search(shop, b"", words="gazelle", look_weight=0, tenant="acme")] == ["p2"]
    assert hits[0].after is not None
    assert [
        hit.product_id for hit in search(shop, "addidas samba", tenant="acme", look_weight=0, after=hits[0].after)
    ] == ["p2"]
    with pytest.raises(QueryError, match="no words"):
        search(shop, ImageId(1), look_weight=0)
    with pytest.raises(QueryError):
        search(shop, "x" * 2001, look_weight=0)
    assert "words" in explain(shop, "samba", tenant="acme", look_weight=0)[0]


@pytest.mark.parametrize("more", ["cutoff => 'auto'", "min_match => 0.5", "cutoff => 'auto', sort => 'price'"])
def test_words_alone_are_not_cut_by_looks(connection: Connection, more: str) -> None:
    statement = f"SELECT * FROM imgsearch.search('boot', look_weight => 0, {more})"  # noqa: S608  # of this list
    with pytest.raises(psycopg.Error, match="look_weight is 0"):
        connection.execute(statement.encode())
