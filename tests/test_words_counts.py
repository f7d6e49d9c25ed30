"""How common a word is may be known badly: that costs time and order, never a row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.words import Connection, found, products, put


def crowd(connection: Connection) -> None:
    """Put in products beside which no word of these tests is a common one that tells nothing."""
    for table, column in (("image", "uri"), ("product", "title")):
        connection.execute(
            f"INSERT INTO imgsearch.{table} (tenant_id, product_id, {column})"  # noqa: S608  # of this list
            " SELECT 'acme', 'x' || n, 'vase' FROM generate_series(1, 12000) n"
        )


def narrow(connection: Connection) -> None:
    """Make one product cheap, the last of them, so that a filter leaves it alone."""
    connection.execute("UPDATE imgsearch.image SET price = CASE WHEN product_id = 'last' THEN 1 ELSE 99 END")


def count(connection: Connection) -> None:
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    connection.execute("ANALYZE imgsearch.product")


def alone(connection: Connection, words: str, *, k: int = 1000, **filters: Any) -> list[str]:
    """Return the products of all pages by words alone."""
    named, got, after = "".join(f", {name} => %({name})s" for name in filters), list[str](), None
    statement = (
        "SELECT product_id, after_this FROM imgsearch.search(%%(words)s, tenant => 'acme', look_weight => 0,"
        " k => %%(k)s, after => %%(after)s%s)"
    )
    for _ in range(20):
        values = {"words": words, "k": k, "after": after, **filters}
        rows = connection.execute((statement % named).encode(), values).fetchall()
        got += [row[0] for row in rows]
        if len(rows) < k:
            return got
        after = rows[-1][1]
    raise AssertionError("no end")


def test_a_word_that_was_rare_when_it_was_counted_is_found_behind_a_filter(connection: Connection) -> None:
    crowd(connection)
    put(connection, {"first": "rareo boot"})
    count(connection)
    put(connection, {**{f"p{n}": "rareo lamp" for n in range(3000)}, "last": "rareo scarf"})
    narrow(connection)
    assert products(found(connection, "rareo", max_price=5)) == ["last"]
    assert alone(connection, "rareo", max_price=5) == ["last"]
    got = alone(connection, "rareo")
    assert len(got) == len(set(got)) == 3002


def test_a_rare_form_of_a_common_word_is_found_behind_a_filter(connection: Connection) -> None:
    connection.execute("SELECT imgsearch.set_shop('acme', language => 'english')")
    crowd(connection)
    put(connection, {**{f"p{n}": "red boot" for n in range(3000)}, "some": "two boots", "last": "a boot"})
    count(connection)
    narrow(connection)
    assert products(found(connection, "boots", max_price=5)) == ["last"]
    got = alone(connection, "boots")
    assert len(got) == len(set(got)) == 3002


@pytest.mark.parametrize("words", ["rareo other", "other rareo"])
def test_two_rare_words_behind_a_filter(connection: Connection, words: str) -> None:
    """Together more than are ranked at once: what has one of them only is found, in whichever order they come."""
    crowd(connection)
    titles = {f"a{n}": "rareo lamp" for n in range(1500)} | {f"b{n}": "other lamp" for n in range(1600)}
    put(connection, {**titles, "both": "rareo other", "last": "other scarf"})
    count(connection)
    narrow(connection)
    assert alone(connection, words, max_price=5) == ["last"]
    assert products(found(connection, words, max_price=5)) == ["last"]
    got = alone(connection, words)
    assert got[0] == "both"
    assert len(got) == len(set(got)) == 3102


def test_pages_stay_whole_while_a_rare_word_becomes_a_common_one(connection: Connection) -> None:
    titles = {f"a{n}": "rareo lamp" for n in range(1900)} | {f"b{n}": "other lamp" for n in range(1950)}
    put(connection, titles)
    count(connection)
    statement = (
        "SELECT product_id, after_this FROM imgsearch.search('rareo other', tenant => 'acme', look_weight => 0,"
        " k => 700, after => %s)"
    )
    got, after, turn = list[str](), None, 0
    while rows := connection.execute(statement, (after,)).fetchall():
        assert turn < 20, "no end"
        got += [row[0] for row in rows]
        after, turn = rows[-1][1], turn + 1
        put(connection, {f"new{turn}-{n}": "rareo vase" for n in range(90)})
        count(connection)
    assert len(got) == len(set(got))
    assert set(got) >= set(titles)
