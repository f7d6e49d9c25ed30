"""What is suggested while somebody types: words that go on, titles, and what others asked where the shop keeps that."""

from __future__ import annotations

import psycopg
import pytest

from tests.words import Connection, put

TITLES = {
    "p1": "Adidas Samba black 44",
    "p2": "Adidas Gazelle red",
    "p3": "Nike Dunk red shoe",
    "p4": "Adidas Samba OG",
}


@pytest.fixture
def shop(connection: Connection) -> Connection:
    put(connection, TITLES)
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    return connection


def suggested(connection: Connection, typed: str, tenant: str | None = "acme", k: int = 8) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT suggestion, kind FROM imgsearch.suggest(%s, %s, %s)", (typed, tenant, k))
    return [(row[0], row[1]) for row in rows]


def test_words_go_on_and_titles_follow(shop: Connection) -> None:
    assert suggested(shop, "adi") == [
        ("adidas", "words"),
        ("Adidas Samba OG", "title"),
        ("Adidas Gazelle red", "title"),
        ("Adidas Samba black 44", "title"),
    ]
    assert suggested(shop, "adidas sa")[0] == ("adidas samba", "words")
    assert [s for s, kind in suggested(shop, "ADIDAS  sa") if kind == "title"] == [
        "Adidas Samba OG",
        "Adidas Samba black 44",
    ]


@pytest.mark.parametrize("typed", ["addid", "addidas", "adiddas", "aiddas"])
def test_what_is_misspelt_is_suggested_right(shop: Connection, typed: str) -> None:
    assert suggested(shop, typed)[0] == ("adidas", "words")


def test_words_before_are_mended(shop: Connection) -> None:
    assert suggested(shop, "addidas sam")[0] == ("adidas samba", "words")


@pytest.mark.parametrize("typed", ["", "  ", "&|!", "красн", "%_", "x" * 2000, "a" * 60, "\\"])
def test_nothing_is_suggested_for_what_says_nothing(shop: Connection, typed: str) -> None:
    assert suggested(shop, typed) == []


def test_what_others_asked_is_suggested_only_where_the_shop_keeps_it(shop: Connection) -> None:
    def ask() -> bool:
        return bool(shop.execute("SELECT imgsearch.keep_question('adidas for kids', 'acme')").fetchone()[0])  # type: ignore[index]

    assert not ask()
    assert shop.execute("SELECT count(*) FROM imgsearch.past_question").fetchone() == (0,)
    shop.execute("SELECT imgsearch.set_shop('acme', keep_questions => true)")
    assert ask()
    assert ask()
    assert ("adidas for kids", "question") not in suggested(shop, "adid"), "once or twice may be one person"
    assert ask()
    assert suggested(shop, "adid")[0] == ("adidas for kids", "question")
    shop.execute("SELECT imgsearch.set_shop('acme', keep_questions => false)")
    assert shop.execute("SELECT count(*) FROM imgsearch.past_question").fetchone() == (0,)


@pytest.mark.parametrize("own", ["jane@doe.example", "0170 123 45 67", "+49 (170) 1234567", "4006381333931", "x"])
def test_what_is_somebodys_own_is_never_kept(shop: Connection, own: str) -> None:
    shop.execute("SELECT imgsearch.set_shop('acme', keep_questions => true)")
    assert shop.execute("SELECT imgsearch.keep_question(%s, 'acme')", [own]).fetchone() == (False,)
    assert shop.execute("SELECT imgsearch.keep_question('samba 44 2024', 'acme')").fetchone() == (True,)


def test_a_shop_sees_its_own_words_alone(shop: Connection) -> None:
    put(shop, {"z": "Adilette zebra"}, tenant="other")
    with shop.transaction():
        shop.execute("SET LOCAL ROLE imgsearch_reader")
        shop.execute("SELECT set_config('imgsearch.tenant', 'other', true)")
        assert suggested(shop, "adi", None) == [("adilette", "words"), ("Adilette zebra", "title")]
        assert suggested(shop, "adi", "other") == suggested(shop, "adi", None)
        assert suggested(shop, "adi", "acme") == []


def test_a_language_is_one_that_postgres_knows(shop: Connection) -> None:
    with pytest.raises(psycopg.Error, match="no language") as refused:
        shop.execute("SELECT imgsearch.set_shop('acme', language => 'klingon')")
    assert refused.value.sqlstate == "IM008"
