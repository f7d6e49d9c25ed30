"""A space whose recall was measured below the target says so, is searched the safe way, and claims nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

import imgsearch
from bench import given
from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.ops import tuning
from imgsearch.retrieval import nearest
from imgsearch.settings import Settings
from imgsearch.sqlalchemy.models import Image
from tests.shop import database
from tests.terminal import Run

Connection = psycopg.Connection[Any]
SPARSE = given.drawn("sparse", 3000, 30, seed=3)
SEARCH = "SELECT image_id, strategy, complete FROM imgsearch.search(%s::real[]::halfvec, per => '{}')"
WHOLE = "UPDATE imgsearch.space SET parameters = parameters - 'search'"


@pytest.fixture(scope="module")
def settings(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """4,000 pictures whose vectors are sparse and skewed, in a space from before: their bits are not turned."""
    with database(servers, template) as made:
        given.load(made, SPARSE, turned=False)
        yield made


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        yield opened
        opened.execute(WHOLE)


@pytest.fixture
def short(connection: Connection, run: Run) -> Connection:
    connection.execute("""UPDATE imgsearch.space SET parameters = parameters || '{"search": {"target": 0.999}}'""")
    said = run("index", "recall", "--seconds", 8)
    assert "below the target of 99.9%" in said.err, said.out
    return connection


def cells(connection: Connection) -> list[given.Cell]:
    return given.measure(connection, SPARSE)


def test_without_a_rotation_rows_are_missed_and_pages_say_complete(connection: Connection) -> None:
    assert min(cell.recall for cell in cells(connection)) < 0.95
    assert sum(cell.false for cell in cells(connection)) > 0


def test_measured_short_it_misses_nothing_and_claims_nothing(short: Connection) -> None:
    assert min(cell.recall for cell in cells(short)) == 1
    assert {way for cell in cells(short) for way in cell.ways} == {"exact"}
    row = short.execute("SELECT check_name, detail FROM imgsearch.doctor_tuning").fetchall()
    assert [name for name, _ in row] == ["recall below target"]


@pytest.mark.parametrize("per", ["image", "product"])
def test_where_more_match_than_are_compared_no_page_is_complete(
    short: Connection, monkeypatch: pytest.MonkeyPatch, per: str
) -> None:
    """As if the largest pool were of 1,000: bits rule the rest out, and what they rule out nobody knows."""
    short.execute("SELECT 1")
    body = short.execute("SELECT pg_get_functiondef('imgsearch_internal.policy()'::regprocedure)").fetchone()
    assert body is not None
    try:
        short.execute(body[0].replace("largest_pool := 20000", "largest_pool := 1000").encode())
        question = SPARSE.questions[0].astype(np.float32).tolist()
        rows = short.execute(SEARCH.format(per).encode(), [question]).fetchall()
        assert {row[1] for row in rows} <= {"bits", "exact"}
        assert {row[2] for row in rows} == {rows[0][1] == "exact"}
    finally:
        short.execute(body[0].encode())


def test_every_door_reads_the_same(settings: Settings, short: Connection) -> None:
    question = SPARSE.questions[1].astype(np.float64).tolist()
    hits = imgsearch.search(short, question)
    (found,) = short.execute(
        "SELECT array_agg(product_id) FROM imgsearch.search(%s::real[]::halfvec)", [question]
    ).fetchall()
    assert [hit.product_id for hit in hits] == found[0]
    engine = create_engine("postgresql+psycopg://", creator=lambda: db.connect(settings, autocommit=True).__enter__())
    with Session(engine) as session:
        rows = session.execute(nearest(select(Image.product_id), question, limit=10, explained=True)).all()
    engine.dispose()
    assert {(row.strategy, row.complete) for row in rows} == {("exact", True)} == {(hits.strategy, hits.complete)}


def test_tuning_that_falls_short_is_the_same_and_a_target_that_is_reached_mends(connection: Connection) -> None:
    chosen = tuning.tune(connection, seconds=20, target=0.999)
    assert not chosen.reached, "or this drawing is too easy"
    assert connection.execute("SELECT imgsearch_internal.misses()").fetchone() == (True,)
    assert min(cell.recall for cell in cells(connection)) == 1
    chosen = tuning.tune(connection, seconds=20, target=0.5)
    assert chosen.reached
    assert connection.execute("SELECT imgsearch_internal.misses()").fetchone() == (False,)


def test_an_idle_worker_tunes_what_was_measured_short(short: Connection) -> None:
    due = "SELECT NOT t.reached AND t.tuned_at IS NULL FROM imgsearch.tuning t"
    assert short.execute(due).fetchone() == (True,)
