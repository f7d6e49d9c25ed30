"""`imgsearch shop set` and `imgsearch suggest`."""

from __future__ import annotations

import pytest

from tests.terminal import Run
from tests.words import Connection, put


@pytest.fixture
def shop(connection: Connection) -> Connection:
    put(connection, {"p1": "Adidas Samba black", "p2": "Adidas Gazelle red"})
    connection.execute("SELECT imgsearch.refresh_vocabulary()")
    return connection


def test_a_shop_is_told_its_language_and_whether_it_keeps_questions(shop: Connection, run: Run) -> None:
    assert run("shop", "set", "--tenant", "acme", "--language", "german").code == 0
    assert run("shop", "set", "--tenant", "acme", "--keep-questions").code == 0
    said = shop.execute("SELECT tenant_id, language, keep_questions FROM imgsearch.shop").fetchall()
    assert said == [("acme", "german", True)]
    assert run("shop", "set", "--tenant", "acme", "--forget-questions").code == 0
    assert shop.execute("SELECT language, keep_questions FROM imgsearch.shop").fetchall() == [("german", False)]


def test_what_is_typed_goes_on(shop: Connection, run: Run) -> None:
    listed = run("suggest", "adidas sa", "--tenant", "acme", "--json").document
    assert {"suggestion": "adidas samba", "kind": "words", "product_id": None} in listed
    assert {"suggestion": "Adidas Samba black", "kind": "title", "product_id": "p1"} in listed
    assert len(run("suggest", "adi", "--tenant", "acme", "-k", 1, "--json").document) == 1
    assert "Adidas Samba black" in run("suggest", "adidas sa", "--tenant", "acme").out
    assert run("suggest", "adi", "--tenant", "bazaar", "--json").document == []
    assert "No words or titles" in run("suggest", "zzz").out


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("suggest", "adi", "--k", 21), "from 1 to 20"),
        (("suggest", "a" * 2001), "the limit is 2000"),
        (("shop", "set", "--tenant", "acme", "--language", "klingon"), 'no language "klingon"'),
        (("shop", "set", "--tenant", "", "--language", "german"), "tenant"),
        (("shop", "set", "--tenant", "acme"), "--language german"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(run: Run, typed: tuple[object, ...], said: str) -> None:
    ran = run(*typed)
    assert ran.code == 2, ran.err
    assert said in ran.err
    assert ran.err.count("\n") <= 2
