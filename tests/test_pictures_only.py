"""A space whose model sees pictures only: a text asked there is one typed error with its cure, at each door."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import db
from imgsearch.db.sqlstate import translated
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import TextsNotUnderstood
from imgsearch.flask import create_app
from imgsearch.query import ImageId, resolve
from imgsearch.retrieval import nearest, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from imgsearch.sqlalchemy.models import Image
from tests.shop import Row, fill
from tests.terminal import Run

Connection = psycopg.Connection[Any]
SEES = replace(FakeEncoder().describe(), texts=False)


@pytest.fixture
def ids(connection: Connection) -> list[int]:
    space = ensure(connection, SEES)
    assert not space.reads_texts
    return fill(connection, space, [Row(vector=[1.0] * 48), Row(vector=[1.0] * 24 + [-1.0] * 24)])


DOORS: dict[str, Callable[[Connection], object]] = {
    "resolve": lambda connection: resolve(connection, "a red shoe"),
    "search": lambda connection: search(connection, "a red shoe"),
    "several examples": lambda connection: search(connection, [("a red shoe", 1), (ImageId(1), 1)]),
    "vec": lambda connection: connection.execute("SELECT imgsearch.vec('a red shoe')"),
    "search in SQL": lambda connection: connection.execute("SELECT * FROM imgsearch.search('a red shoe')"),
    "embed": lambda connection: connection.execute("CALL imgsearch.embed('a red shoe')"),
    "distance": lambda connection: connection.execute(
        "SELECT imgsearch.distance(embedding, 'a red shoe') FROM imgsearch.vectors"
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_text_is_refused_at_once_and_says_what_to_do(connection: Connection, ids: list[int], door: str) -> None:
    began = time.monotonic()
    with pytest.raises(TextsNotUnderstood, match=r"sees pictures only.*by words alone"), translated():
        DOORS[door](connection)
    assert time.monotonic() - began < 8, "nobody waits for a worker"
    assert connection.execute("SELECT count(*) AS n FROM imgsearch.query_vector").fetchall() in ([(0,)], [{"n": 0}])


def test_pictures_and_words_alone_still_find(connection: Connection, ids: list[int]) -> None:
    assert ids[1] in [hit.image_id for hit in search(connection, ImageId(ids[0]))]
    assert search(connection, [1.0] * 48)[0].image_id == ids[0]


def test_a_space_that_reads_says_so(connection: Connection) -> None:
    assert ensure(connection, FakeEncoder().describe()).reads_texts


def test_the_door_of_sqlalchemy(settings: Settings, ids: list[int]) -> None:
    engine = db.engine(settings)
    with Session(engine) as session, pytest.raises(TextsNotUnderstood), translated():
        session.execute(nearest(select(Image), resolve(session, "a red shoe")))
    engine.dispose()


def test_the_command_line(run: Run, ids: list[int]) -> None:
    ran = run("search", "a red shoe")
    assert ran.code == TextsNotUnderstood.exit_code
    assert "sees pictures only; ask with a picture" in ran.err


@pytest.fixture
def browser(settings: Settings, ids: list[int]) -> Iterator[FlaskClient]:
    app = create_app(settings.environment(), allow_anonymous=True)
    yield app.test_client()
    app.extensions["imgsearch"].close()


def test_http_answers_400_with_the_cure(browser: FlaskClient) -> None:
    refused = browser.post("/v1/search", json={"text": "a red shoe"})
    assert refused.status_code == 400
    assert "ask with a picture" in refused.get_json()["detail"]
    assert refused.get_json()["type"].endswith("texts_not_understood")
    assert browser.post("/v1/search", json={"vector": [1.0] * 48}).status_code == 200


def test_the_page_says_it_too(browser: FlaskClient) -> None:
    shown = browser.get("/?q=red+shoe")
    assert shown.status_code == 400
    assert "sees pictures only" in shown.get_data(as_text=True)
