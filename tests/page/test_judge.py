"""Two spaces side by side: blind, by turns, votes kept and counted; what was marked becomes a file of judgements."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from flask.testing import FlaskClient

from imgsearch.dev.testing import FakeEncoder
from imgsearch.evaluation import judged, votes
from imgsearch.evaluation.places import chosen
from imgsearch.evaluation.votes import Tally
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space, vector_literal
from tests.http.conftest import with_key
from tests.shop import embed
from tests.terminal import Run

Connection = psycopg.Connection[Any]
PAGE = "/judge?space=1&space=2"


@pytest.fixture
def two(connection: Connection, space: Space, shop: list[int]) -> tuple[Space, Space]:
    """The shop in two spaces; the second knows nothing."""
    row = connection.execute(
        "SELECT imgsearch.add_space('other', '', %s, %s, 'x', %s)",
        ("f" * 64, FakeEncoder.dimension, vector_literal([0.0] * FakeEncoder.dimension)),
    ).fetchone()
    assert row is not None
    [other] = chosen(connection, [str(row[0])])
    shas = connection.execute("SELECT tenant_id, image_id, sha256 FROM imgsearch.image").fetchall()
    noise = np.random.default_rng(5).normal(size=(len(shas), FakeEncoder.dimension))
    with connection.cursor() as cursor:
        embed(cursor, other, [(*one, n) for one, n in zip(shas, noise, strict=True)])
    return space, other


def question_in(html: str) -> str:
    found = re.search(r'name="question" value="([^"]+)"', html)
    assert found is not None, html
    return found[1]


def sides_of(html: str) -> list[list[str]]:
    """Return the products on the left and on the right."""
    return [re.findall(r'name="shown" value="([^"]+)"', part) for part in html.split("<section")[1:]]


def voted(client: FlaskClient, html: str, better: str, fits: tuple[str, ...] = ()) -> str:
    shown = [name for side in sides_of(html) for name in side]
    data = {"question": question_in(html), "better": better, "shown": shown, "fits": list(fits)}
    answer = client.post(PAGE, data=data, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return client.get(answer.location).get_data(as_text=True)


def test_a_vote_for_a_side_is_a_vote_for_the_space_that_stood_there(
    connection: Connection, two: tuple[Space, Space], anyone: FlaskClient
) -> None:
    html, seen, turned = anyone.get(PAGE).get_data(as_text=True), set(), 0
    for _ in range(12):
        question = votes.question_of(question_in(html))
        assert question_in(html) not in seen, "asked twice"
        seen.add(question_in(html))
        is_turned = votes.is_turned(question, *two)
        turned += is_turned
        html = voted(anyone, html, "right" if is_turned else "left")  # whoever knows always says: the first
    assert votes.tally(connection, *two) == Tally(first=12, second=0, same=0, questions=12)
    assert 1 <= turned <= 11, "the first space does not always stand on one side"
    assert "12 votes so far" in html


def test_the_page_does_not_say_which_space_is_which(
    connection: Connection, two: tuple[Space, Space], anyone: FlaskClient
) -> None:
    html = anyone.get(PAGE).get_data(as_text=True)
    inside = html[html.index("<main") : html.index("</main")]
    assert "FakeEncoder" not in inside
    assert "other" not in inside.lower().replace("another", "")


def test_what_was_marked_is_a_file_that_evaluate_reads(
    connection: Connection,
    two: tuple[Space, Space],
    anyone: FlaskClient,
    settings: Settings,
    run: Run,
    tmp_path: Path,
) -> None:
    html = anyone.get(PAGE).get_data(as_text=True)
    marked, question = sides_of(html)[0][0], question_in(html)
    voted(anyone, voted(anyone, html, "same", fits=(marked,)), "left")
    path = tmp_path / "judged.csv"
    said = run("judge", "1", "2", "--export", path)
    assert said.code == 0, said.err
    assert "no difference" in said.out
    [one] = judged.read(path).questions
    assert votes.key_of(one) == question
    assert {name for name, grade in one.grades.items() if grade} == {marked}
    assert run("evaluate", path, "--space", "1", "--space", "2", "--k", "5").code == 0
    found = run("judge", "1", "2", "--json").document
    assert (found["same"], found["questions"]) == (1, 2)


def test_who_may_vote(
    connection: Connection, two: tuple[Space, Space], client: FlaskClient, key_of: Callable[..., str]
) -> None:
    assert client.get(PAGE).status_code == 401
    assert client.get(PAGE, headers=with_key(key_of("acme", "write"))).status_code == 403
    own = client.get(PAGE, headers=with_key(key_of("acme", "admin"))).get_data(as_text=True)
    theirs = connection.execute("SELECT product_id FROM imgsearch.image WHERE tenant_id <> 'acme'").fetchall()
    assert sides_of(own)[0]
    assert not {row[0] for row in theirs} & {name for side in sides_of(own) for name in side}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"question": "text:x", "better": "up"}, "left, right or same"),
        ({"question": "image:abc", "better": "left"}, "no question"),
        ({"question": "", "better": "left"}, "no question"),
        ({"question": "text:x", "better": "left", "shown": ["a"], "fits": ["b"]}, "was not shown"),
    ],
)
def test_a_vote_that_makes_no_sense(
    two: tuple[Space, Space], anyone: FlaskClient, connection: Connection, data: dict[str, Any], said: str
) -> None:
    answer = anyone.post(PAGE, data=data, headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, said in answer.get_data(as_text=True)) == (400, True)
    assert votes.tally(connection, *two).questions == 0


@pytest.mark.parametrize("asked", ["/judge", "/judge?space=1", "/judge?space=1&space=1"])
def test_spaces_that_are_not_two(two: tuple[Space, Space], anyone: FlaskClient, asked: str) -> None:
    assert anyone.get(asked).status_code == 400


def test_a_space_that_is_not_there(two: tuple[Space, Space], anyone: FlaskClient) -> None:
    assert anyone.get("/judge?space=1&space=77").status_code == 404


def test_texts_of_the_shop_are_asked_too(connection: Connection, two: tuple[Space, Space], anyone: FlaskClient) -> None:
    connection.execute("INSERT INTO imgsearch.past_question (tenant_id, words, asked) VALUES ('acme', 'red shoe', 3)")
    asked = votes.questions(connection, *two, tenant=None)
    assert [votes.key_of(one) for one in asked[:1]] == ["text:red shoe"]
    assert len(asked) > 10


def test_the_sign_test() -> None:
    assert Tally(first=10, second=0, same=3, questions=13).p == pytest.approx(2 / 2**10)
    assert Tally(first=5, second=5, same=0, questions=10).p == 1
    assert Tally(first=0, second=0, same=4, questions=4).p == 1
    assert Tally(first=2, second=8, same=0, questions=10).p == pytest.approx(0.109375)
