"""One scenario through every door: the same pictures, the same ids, the same distances, one statement per search."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from imgsearch import picture
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery
from imgsearch.query import ImageId, cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.doors import door_async, door_cli, door_flask, door_psql, door_sqlalchemy
from tests.doors.scenario import WORDS, Door, Item, Place, Question, items

DOORS: dict[str, Door] = {
    "psql": door_psql,
    "SQLAlchemy": door_sqlalchemy,
    "asynchronous SQLAlchemy": door_async,
    "Flask": door_flask,
    "command line": door_cli,
}
PICTURES = 200


@pytest.fixture
def place(settings: Settings, environment: dict[str, str], space: Space, tmp_path: Path) -> Place:
    root = str(Path(__file__).parent.parent.parent)
    return Place(
        settings=settings,
        environment=environment | {"PYTHONPATH": root, "PATH": os.environ["PATH"]},
        folder=tmp_path,
        vector_of=lambda data: FakeEncoder().embed_pictures(pixels(data)[None])[0].tolist(),
    )


def pixels(data: bytes) -> Any:
    import io

    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def work(connection: psycopg.Connection[Any], place: Place, space: Space) -> int:
    """Do what workers do, here: embed what waits, pictures and questions; return how many pictures."""
    store, done = open_store(place.settings.storage_url), 0
    while claims := queue.claim(connection, worker="w", limit=100, lease_seconds=60):
        data = [store.get(claim.uri) for claim in claims]
        made = [
            Delivery(claim=claim, sha256=picture.digest(one), embedding=place.vector_of(one))
            for claim, one in zip(claims, data, strict=True)
        ]
        done += len(queue.deliver(connection, space.space_id, made))
    return done


def teach(connection: psycopg.Connection[Any], place: Place, space: Space, asked: bytes) -> None:
    """Return the questions that the scenario asks by words and by picture."""
    for one in (cache.of_text(WORDS), cache.of_picture(asked)):
        cache.ask(connection, one)
    for one in cache.claim(connection, space.space_id, 10):
        text = one.kind == "text"
        vector = FakeEncoder().embed_texts([WORDS])[0] if text else place.vector_of(one.picture or b"")
        cache.answer(connection, space.space_id, one, vector)  # type: ignore[arg-type]


def all_agree(connection: psycopg.Connection[Any], place: Place, asked: bytes, like: int) -> list[list[int]]:
    """Ask every question at every door; return the ids found, by question."""
    pages = []
    for wanted in (
        Question(WORDS),
        Question(WORDS, {"tenant": "acme", "category": "shoes", "max_price": 50}),
        Question(asked, {"tenant": "bolt"}),
        Question(ImageId(like), {"max_price": 30}),
    ):
        answers = {name: door.ask(place, wanted) for name, door in DOORS.items()}
        first = answers["psql"]
        assert len(first.found) == 10
        assert first.found == sorted(first.found, key=lambda row: (row[1], row[0]))
        for name, answer in answers.items():
            assert [i for i, _ in answer.found] == [i for i, _ in first.found], (name, wanted.filters)
            exact = 1e-6 if name == "command line" else 1e-9  # it shows six digits
            assert [d for _, d in answer.found] == pytest.approx([d for _, d in first.found], abs=exact), name
            assert answer.strategy in {None, first.strategy}, name
            assert answer.statements in {None, 1}, name
        assert first.strategy in {"exact", "bits"}, "a graph is not worth its walk among 200 pictures"
        pages.append([i for i, _ in first.found])
    return pages


@pytest.mark.slow
def test_the_same_answers_at_every_door(connection: psycopg.Connection[Any], space: Space, place: Place) -> None:
    share = PICTURES // len(DOORS)
    for n, door in enumerate(DOORS.values()):
        door.add(place, items(n * share, (n + 1) * share))
    assert work(connection, place, space) == PICTURES
    asked = Item(3, variant=1).picture()
    teach(connection, place, space, asked)
    like = connection.execute("SELECT min(image_id) FROM imgsearch.image").fetchone()[0]  # type: ignore[index]
    before = all_agree(connection, place, asked, like)

    for n, door in enumerate(DOORS.values()):  # each changes what another one added
        mine = ((n + 1) % len(DOORS)) * share
        door.reprice(place, Item(mine + 1), 99.5)
        door.add(place, [Item(mine + 2, variant=1)]) if door is not door_psql else None
        door.remove(place, Item(mine + 3))
    assert work(connection, place, space) == len(DOORS) - 1, "a replaced picture is embedded again, a price is not"
    prices = connection.execute("SELECT count(*) FROM imgsearch.image WHERE price = 99.5").fetchone()
    assert prices == (len(DOORS),)
    assert connection.execute("SELECT count(*) FROM imgsearch.images").fetchone() == (PICTURES - len(DOORS),)
    assert all_agree(connection, place, asked, like) != before
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
