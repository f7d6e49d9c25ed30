"""Attributes that searches ask for are counted, the doctor says which should have a column, and then no more."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from flask import Flask

import imgsearch
from imgsearch.ops.doctor import examine
from imgsearch.retrieval import asked_attributes
from imgsearch.retrieval.asked_attributes import type_of
from tests.http.conftest import app, key_of, shop, teach, with_key  # noqa: F401  # fixtures
from tests.terminal import Run

Connection = psycopg.Connection[Any]
CHECK = "attribute without column"
CROWD = """INSERT INTO imgsearch.image (tenant_id, product_id, uri, attributes)
SELECT 'acme', 'crowd-' || n, 'store:x', '{"colour": "grey"}' FROM generate_series(1, 5000) n"""


def advice(connection: Connection) -> list[str]:
    """Return what the doctor says of attributes, as a new session sees it."""
    connection.execute("SELECT imgsearch_internal.fold_asked()")
    return [found.fix for found in examine(connection) if found.check_name == CHECK]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process writes its counts down as soon as it has one."""
    monkeypatch.setattr(asked_attributes, "EVERY", 0.0)


def test_real_searches_make_the_advice_and_its_command_ends_it(
    app: Flask,  # noqa: F811
    shop: list[int],  # noqa: F811
    key_of: Callable[..., str],  # noqa: F811
    connection: Connection,
    run: Run,
    often: None,
) -> None:
    connection.execute("SET session_replication_role = replica")
    connection.execute(CROWD)
    connection.execute("RESET session_replication_role")
    connection.execute("SELECT imgsearch.refresh_sample()")
    connection.execute("ANALYZE imgsearch.image")
    client, headers = app.test_client(), with_key(key_of("acme"))
    for _ in range(300):
        asked = {"text": "red shoe", "attributes": {"colour": "red"}, "k": 3}
        with client.post("/v1/search", json=asked, headers=headers) as answer:
            assert answer.get_json()["rows"]
    assert advice(connection) == [], "300 are not often"
    for n in range(250):
        found = imgsearch.search(connection, imgsearch.ImageId(shop[0]), k=3, attributes={"colour": ["red", "blue"]})
        assert found
        imgsearch.search(connection, imgsearch.ImageId(shop[0]), attributes={"made up": n, "size": {"not": 3}})
    [fix] = advice(connection)
    command = fix.split("  --")[0]
    assert command == "imgsearch index promote colour --type text"
    assert "MB" in fix or "kB" in fix
    listed = run("index", "attributes", "--json").document["attributes"]
    assert [(one["name"], one["searches"], one["command"]) for one in listed] == [("colour", 550, command)]
    assert listed[0]["bytes"] > 16 * 5000
    assert command in run("index", "attributes").out
    assert run(*shlex.split(command)[1:]).code == 0
    assert advice(connection) == []
    assert "column attribute_colour" in run("index", "attributes").out


def test_a_transaction_that_reads_keeps_its_counts_for_one_that_writes(
    connection: Connection,
    shop: list[int],  # noqa: F811
    often: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection.execute("SELECT imgsearch.refresh_sample()")
    filters: Any = {"attributes": {"colour": "red"}}
    connection.execute("SET default_transaction_read_only = on")
    for _ in range(3):
        assert imgsearch.search(connection, imgsearch.ImageId(shop[0]), **filters)
    connection.execute("SET default_transaction_read_only = off")
    assert connection.execute("SELECT count(*) FROM imgsearch.asked_attribute").fetchone() == (0,)
    imgsearch.search(connection, imgsearch.ImageId(shop[0]), **filters)
    rows = connection.execute("SELECT name, type, searches FROM imgsearch.asked_attribute").fetchall()
    assert rows == [("colour", "text", 4)]


def test_no_search_writes_before_its_time(connection: Connection, shop: list[int]) -> None:  # noqa: F811
    connection.execute("SELECT imgsearch.refresh_sample()")
    for _ in range(20):
        imgsearch.search(connection, imgsearch.ImageId(shop[0]), attributes={"colour": "red"})
    assert connection.execute("SELECT count(*) FROM imgsearch.asked_attribute").fetchone() == (0,)


def test_days_are_added_up_and_old_ones_go(connection: Connection) -> None:
    connection.execute(
        """INSERT INTO imgsearch.asked_attribute SELECT 'colour', t, current_date - d, 5
           FROM unnest(ARRAY['text', 'number']) t, generate_series(0, 40, 10) d, generate_series(1, 3)"""
    )
    connection.execute("SELECT imgsearch_internal.fold_asked()")
    rows = connection.execute(
        "SELECT current_date - day, searches FROM imgsearch.asked_attribute ORDER BY 1"
    ).fetchall()
    assert rows == [(days, 15) for days in (0, 10, 20, 30) for _ in range(2)]
    row = connection.execute("SELECT name, type, searches FROM imgsearch.asked_attributes").fetchone()
    assert row == ("colour", "number", 30), "of the last 7 days alone"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("red", "text"),
        (True, "boolean"),
        (3.5, "number"),
        ([1, 2], "number"),
        (["a", 1], None),
        ([], None),
        ({"min": 3, "below": 9}, "number"),
        ({"in": ["a"]}, "text"),
        ({"not": "a"}, None),
        ({"exists": True}, None),
        ({"min": 1, "not": 3}, "number"),
        (None, None),
    ],
)
def test_what_a_column_would_answer_is_counted_as_its_type(value: Any, kind: str | None) -> None:
    assert type_of(value) == kind


def test_names_that_strangers_make_up_are_bounded() -> None:
    database = "a database of nobody"
    for n in range(1000):
        asked_attributes.count(database, imgsearch.Filters(attributes={f"name {n}": 1, "x" * 500: 1}))
    assert len(asked_attributes.take(database)) == asked_attributes.MOST
