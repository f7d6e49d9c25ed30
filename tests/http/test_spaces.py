"""A space beside the active one over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.dev.testing import FakeEncoder
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, named, vector_literal
from tests.answering import answering
from tests.http.conftest import problem, with_key
from tests.shop import embed
from tests.terminal import Run

Connection = psycopg.Connection[Any]


@pytest.fixture
def other(connection: Connection, space: Space, shop: list[int]) -> Space:
    """The shop in a second space, at random."""
    connection.execute(
        "SELECT imgsearch.add_space('other', '', %s, %s, 'x', %s, name => 'other', indexes => true)",
        ("f" * 64, FakeEncoder.dimension, vector_literal([0.0] * FakeEncoder.dimension)),
    )
    made = named(connection, "other")
    rows = connection.execute("SELECT tenant_id, image_id, sha256 FROM imgsearch.image ORDER BY 2").fetchall()
    noise = np.random.default_rng(5).normal(size=(len(rows), FakeEncoder.dimension))
    with connection.cursor() as cursor:
        embed(cursor, made, [(*row, vector) for row, vector in zip(rows, noise, strict=True)])
    connection.execute("SELECT imgsearch_internal.write_engines()")
    return made


def products(client: FlaskClient, **asked: Any) -> list[str]:
    answer = client.post("/v1/search", json=asked)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return [row["product_id"] for row in answer.get_json()["rows"]]


def test_words_pictures_and_examples_are_asked_in_the_space(
    anyone: FlaskClient, settings: Settings, connection: Connection, space: Space, other: Space, shop: list[int]
) -> None:
    with answering(settings, other) as asked:
        there = products(anyone, text="red shoe", space="other", k=30)
        assert [one.query for one in asked] == ["red shoe"]
        assert products(anyone, text="red shoe", space="other", k=30) == there
    here = products(anyone, text="red shoe", k=30)
    assert products(anyone, text="red shoe", space="other", k=30) == there, "what is remembered is the searched space's"
    assert sorted(here) == sorted(there)
    assert here != there
    like = {"more_like": [shop[3]], "k": 30}
    assert products(anyone, **like, space="other") != products(anyone, **like)
    mixed = {"like": [{"image_id": shop[3]}, {"product_id": "p9"}], "unlike": [{"image_id": shop[7]}]}
    assert len(products(anyone, **mixed, space="other", k=30)) >= 27


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"space": "nine"}, 404, "no space"),
        ({"space": "1,other"}, 404, "no space"),
        ({"space": ""}, 400, "space"),
        ({"space": "x" * 300}, 400, "space"),
        ({"space": "other", "strategy": "best"}, 400, "active space"),
    ],
)
def test_what_makes_no_sense(
    anyone: FlaskClient,
    settings: Settings,
    other: Space,
    shop: list[int],
    asked: dict[str, Any],
    status: int,
    said: str,
) -> None:
    with answering(settings, other):
        answer = anyone.post("/v1/search", json={"more_like": [shop[0]], **asked})
    assert answer.status_code == status, answer.get_json()
    assert said in answer.get_data(as_text=True)


def test_the_command_line(run: Run, settings: Settings, connection: Connection, other: Space, shop: list[int]) -> None:
    found = run("search", "--image-id", shop[3], "--space", "other", "--json")
    assert found.code == 0, found.err
    assert run("search", "--like", f"image:{shop[3]}", "--space", "other").code == 2
    refused = run("search", "--image-id", shop[3], "--space", "nine")
    assert (refused.code, "no space 'nine'" in refused.err) == (4, True)


@pytest.mark.parametrize("scope", ["search", "write", "admin"])
def test_names_of_spaces_are_for_those_who_administer(
    client: FlaskClient, space: Space, shop: list[int], key_of: Callable[..., str], scope: str
) -> None:
    body = {"text": "red shoe", "space": "nowhere"}
    answer = client.post("/v1/search", json=body, headers=with_key(key_of("acme", scope)))
    refused = problem(answer, 404, "unknown_space")
    assert "nowhere" in refused["detail"]
    assert (space.name in refused["detail"]) == (scope == "admin")
