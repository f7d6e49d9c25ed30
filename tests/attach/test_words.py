"""Words of an attached table: title, words and codes follow its rows as the pictures do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.attach.conftest import MAPPING, Connection, insert

WORDS = ", title => 'name', words => 'brand || '' '' || note', codes => 'ARRAY[''SKU-'' || id, note]'"


@pytest.fixture
def worded(shop: Connection) -> Iterator[Connection]:
    """A shop whose words are attached; whatever a test did, nothing is out of step afterwards."""
    insert(shop, 1, 2)
    shop.execute(f"SELECT imgsearch.attach('shop.product', {MAPPING}{WORDS})".encode())
    yield shop
    assert shop.execute("SELECT * FROM imgsearch.drift('shop.product')").fetchall() == []


def called(connection: Connection) -> list[Any]:
    rows = connection.execute("SELECT product_id, title, words, codes FROM imgsearch.product ORDER BY product_id")
    return rows.fetchall()


def test_words_follow_every_way_of_writing(worded: Connection) -> None:
    assert called(worded) == [("1", "Shoe 1", "Nord", ["SKU-1"]), ("2", "Shoe 2", "Nord", ["SKU-2"])]
    insert(worded, 3)
    worded.execute("UPDATE shop.product SET name = 'Boot', note = 'warm' WHERE id = 1")
    worded.execute("UPDATE shop.product SET photo = 'other.jpg' WHERE id = 2")
    assert called(worded) == [
        ("1", "Boot", "Nord warm", ["SKU-1", "warm"]),
        ("2", "Shoe 2", "Nord", ["SKU-2"]),
        ("3", "Shoe 3", "Nord", ["SKU-3"]),
    ]
    worded.execute("UPDATE shop.product SET id = 9 WHERE id = 1")
    worded.execute("DELETE FROM shop.product WHERE id = 2")
    assert [row[:2] for row in called(worded)] == [("3", "Shoe 3"), ("9", "Boot")]
    worded.execute("UPDATE shop.product SET photo = NULL WHERE id = 3")
    worded.execute("UPDATE shop.product SET name = NULL, brand = NULL WHERE id = 9")
    assert called(worded) == [("9", None, None, ["SKU-9", "warm"])]
    worded.execute("TRUNCATE shop.product")
    assert called(worded) == []


def test_a_change_of_price_writes_no_words(worded: Connection) -> None:
    before = worded.execute("SELECT product_id, xmin::text FROM imgsearch.product ORDER BY 1").fetchall()
    worded.execute("UPDATE shop.product SET price = price + 1")
    assert worded.execute("SELECT product_id, xmin::text FROM imgsearch.product ORDER BY 1").fetchall() == before


def test_a_long_title_never_stops_the_shop(worded: Connection) -> None:
    worded.execute("UPDATE shop.product SET name = repeat('x', 5000), note = repeat('y ', 9000) WHERE id = 1")
    row = worded.execute("SELECT length(title), length(words), codes FROM imgsearch.product WHERE product_id = '1'")
    assert row.fetchone() == (1000, 10000, ["SKU-1"])


def test_what_went_out_of_step_is_told_and_mended(worded: Connection) -> None:
    worded.execute("SET session_replication_role = replica")
    worded.execute("UPDATE shop.product SET name = 'Silent' WHERE id = 1")
    worded.execute("SET session_replication_role = origin")
    assert worded.execute("SELECT problem, product_id FROM imgsearch.drift('shop.product')").fetchall() == [
        ("stale", "1")
    ]
    worded.execute("SELECT imgsearch.repair('shop.product')")
    assert called(worded)[0][1] == "Silent"
    worded.execute("SELECT imgsearch.detach('shop.product')")
    assert called(worded) == []
    worded.execute(f"SELECT imgsearch.attach('shop.product', {MAPPING}{WORDS}, backfill => false)".encode())
    assert called(worded) == []
    worded.execute("CALL imgsearch.backfill('shop.product')")
    assert len(called(worded)) == 2


def test_a_mapping_that_is_no_expression_is_refused(shop: Connection) -> None:
    with pytest.raises(psycopg.Error, match="title") as refused:
        shop.execute(f"SELECT imgsearch.attach('shop.product', {MAPPING}, title => 'headline')".encode())
    assert refused.value.sqlstate == "IM010"
