"""What makes two texts one question: the same in Python and in SQL, whatever a server's locale says."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.query.cache import canonical
from imgsearch.query.letters import CAPITALS, SMALL

Connection = psycopg.Connection[Any]

DIFFERENT = [
    ("size 4.5 shoe", "size 45 shoe"),
    ("1/2 inch", "12 inch"),
    ("3,5", "35"),
    ("24/7", "247"),
    ("10:30", "1030"),
    ("40-42", "4042"),
    ("C++", "C"),
    ("C#", "C"),
    ("C#", "C++"),
    ("A+", "A"),
    ("-50%", "50"),
    ("-50%", "-50"),
    ("50%", "50"),
    ("50 %", "50"),
    ("-5", "5"),
    ("-.5", ".5"),
    (".5 inch", "5 inch"),
    ("#1", "1"),
    ("$5", "5"),
    ("<5", ">5"),
    ("18+", "18"),
    ("ß", "ss"),
]
EQUAL = [
    ("t-shirt", "tshirt"),
    ("T-Shirt", "t-shirt"),
    ("men's shoe", "mens shoe"),
    ('"red shoe"', "red shoe"),
    ("red, blue", "red blue"),
    ("red shoe!", " Red \t shoe "),
    ("red\u00a0shoe", "red shoe"),
    ("3,5", "3.5"),
    ("50 %", "50%"),
    ("Café", "cafe\u0301"),
    ("İSTANBUL", "istanbul"),
    ("I\u0307stanbul", "istanbul"),
    ("ΠΑΠΟΥΤΣΙΣ", "παπουτσις"),
    ("παπουτσισ", "παπουτσις"),
    ("ÄÖÜ", "äöü"),
    ("red - shoe", "red shoe"),
    ("no. 5", "no 5"),
]


def in_sql(connection: Connection, texts: list[str]) -> list[str]:
    rows = connection.execute(
        "SELECT imgsearch_internal.canonical(t) FROM unnest(%s::text[]) WITH ORDINALITY x (t, n) ORDER BY n", (texts,)
    ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_signs_that_carry_meaning_tell_texts_apart(one: str, other: str, connection: Connection) -> None:
    assert canonical(one) != canonical(other)
    assert in_sql(connection, [one, other]) == [canonical(one), canonical(other)]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_spellings_of_one_text_are_one(one: str, other: str, connection: Connection) -> None:
    assert canonical(one) == canonical(other)
    assert in_sql(connection, [one, other]) == [canonical(one)] * 2


def test_python_and_sql_agree_on_every_letter(connection: Connection) -> None:
    letters = [chr(n) for n in range(1, sys.maxunicode + 1) if unicodedata.category(chr(n)) not in {"Cs", "Cn"}]
    texts = [f"x{''.join(letters[at : at + 64])}x" for at in range(0, len(letters), 64)]
    texts += [f"a{sign}{sign}1 {sign}2 3{sign} b{sign}c" for sign in map(chr, range(1, 128))]
    differ = [text for text, other in zip(texts, in_sql(connection, texts), strict=True) if canonical(text) != other]
    assert differ == []


def test_the_table_is_unicodes() -> None:
    assert len(CAPITALS) == len(SMALL)
    beside = {"İ": "i", "ς": "σ"}
    for capital, small in zip(CAPITALS, SMALL, strict=True):
        assert small == beside.get(capital, capital.lower())
    every = {chr(n) for n in range(128, sys.maxunicode + 1) if not 0xD800 <= n <= 0xDFFF and n != 0x130}
    capitals = {one for one in every if one.lower() != one and unicodedata.normalize("NFC", one) == one}
    if unicodedata.unidata_version == "14.0.0":
        assert capitals == set(CAPITALS) - set(beside)
    else:
        assert capitals >= set(CAPITALS) - set(beside)


@settings(max_examples=300)
@given(
    st.text(
        alphabet=st.one_of(st.sampled_from("ab19 .,-+%#$<>/'\"&\t\u00a0İς"), st.characters(exclude_characters="\0"))
    )
)
def test_what_is_canonical_stays_as_it_is(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once


def test_python_and_sql_agree_on_any_text(connection: Connection) -> None:
    import random

    draw = random.Random(7)
    texts = ["".join(draw.choices("ab19 .,-+%#$<>/'\"&@_\t\u00a0İςÄ", k=draw.randrange(1, 12))) for _ in range(5000)]
    differ = [text for text, other in zip(texts, in_sql(connection, texts), strict=True) if canonical(text) != other]
    assert differ == []
