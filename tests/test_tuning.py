"""Recall is measured against exact answers on the stored pictures, and tune repairs a badly tuned space."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import UsageError
from imgsearch.ops import tuning
from imgsearch.query import cache
from imgsearch.spaces.space import Space
from tests.crowd import crowd
from tests.terminal import Run

Connection = psycopg.Connection[Any]
BAD = """UPDATE imgsearch.space SET parameters = parameters || '{"search": {"ef": 1, "pool": 1}}'"""


@pytest.fixture
def shop(connection: Connection, space: Space) -> Connection:
    crowd(connection, space, 2500, spread=2.0)
    texts = ["red shoe", "blue bag", "a lamp"]
    for text in texts:
        cache.ask(connection, cache.of_text(text))
    for asked in cache.claim(connection, space.space_id, 9):
        cache.answer(connection, space.space_id, asked, FakeEncoder().embed_texts([asked.query or ""])[0])
    return connection


def kept(connection: Connection) -> dict[str, Any]:
    row = connection.execute("SELECT parameters -> 'search' FROM imgsearch.space").fetchone()
    assert row is not None
    return row[0] or {}


@pytest.mark.slow
def test_tune_repairs_a_badly_tuned_space(shop: Connection) -> None:
    shop.execute(BAD)
    bad = {shape.shape: shape for shape in tuning.measure(shop, seconds=20)}
    assert {"no filter", "tenant", "its category", "another category", "price, 2%", "in stock"} <= set(bad)
    assert {"attribute colour", "attribute size", "tenant, category, price"} <= set(bad)
    assert min(shape.recall for shape in bad.values()) < 0.9
    chosen = tuning.tune(shop, target=0.95, seconds=60)
    assert chosen.reached, chosen
    assert min(shape.recall for shape in chosen.before) < 0.9
    assert (kept(shop)["ef"], kept(shop)["pool"]) == (chosen.ef, chosen.pool)
    # Other questions than those it was chosen on.
    assert min(shape.recall for shape in tuning.measure(shop, seconds=20, seed=7)) > 0.9
    assert shop.execute("SELECT stale FROM imgsearch.tuning").fetchone() == (None,)


def test_measuring_writes_nothing_and_leaves_no_setting_behind(shop: Connection) -> None:
    before = kept(shop)
    tuning.tune(shop, target=0.9, seconds=3, keep=False)
    assert kept(shop) == before
    row = shop.execute(
        "SELECT current_setting('imgsearch.search', true), current_setting('statement_timeout'), "
        "current_setting('transaction_read_only')"
    ).fetchone()
    assert row in {("", "0", "off"), (None, "0", "off")}


def test_drift_makes_the_parameters_stale(shop: Connection, space: Space, run: Run) -> None:
    said = run("index", "tune", "--seconds", 4, "--target", 0.9, "--json").document
    assert said["kept"]
    assert {"ef", "pool", "recall", "before", "after"} <= set(said)
    assert "tuned on" in run("index", "recall", "--seconds", 2).out
    crowd(shop, space, 3500, seed=2, first=10000)
    assert "Stale: there were" in run("index", "recall", "--seconds", 2).err
    assert shop.execute("SELECT check_name FROM imgsearch.doctor_tuning").fetchall() == [("tuning stale",)]
    assert "ef" in run("index", "recall", "--seconds", 2, "--json").document["parameters"]


def test_what_cannot_be_measured_is_refused(connection: Connection, space: Space) -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        tuning.measure(connection)
    with pytest.raises(UsageError, match="target"):
        tuning.tune(connection, target=1.5)


def test_bad_parameters_never_make_a_page_short(shop: Connection) -> None:
    shop.execute(BAD)
    row = shop.execute(
        "SELECT count(*) FROM imgsearch.images i, imgsearch.search(i.embedding, category => 'lamps', k => 50) "
        "WHERE i.image_id = (SELECT min(image_id) FROM imgsearch.image)"
    ).fetchone()
    assert row == (50,)
