"""Recall is measured against exact answers on the stored pictures, and tune repairs a badly tuned space."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
import pytest
from imgsearch_workers.pipeline.tuner import Tuner
from psycopg.types.json import Jsonb

from imgsearch import db
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import SpaceChanged, UsageError
from imgsearch.ingest import queue
from imgsearch.ops import tuning
from imgsearch.ops.tuning.recall import Measured
from imgsearch.ops.tuning.tune import Walk, _walk_of, parameters_of, reaches, surely
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import bouncer
from tests.conftest import with_settings
from tests.crowd import crowd
from tests.loops import activate_another
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


@pytest.fixture
def poor_graph(shop: Connection) -> Iterator[None]:
    """A graph that reaches little and is believed whole, in a shop that takes itself for a large one and so walks."""
    row = shop.execute("SELECT pg_get_indexdef('imgsearch.embedding_1_hnsw'::regclass)").fetchone()
    assert row is not None
    drop = b"DROP INDEX imgsearch.embedding_1_hnsw"
    shop.execute(drop)
    shop.execute(
        "CREATE INDEX embedding_1_hnsw ON imgsearch.embedding_1 USING hnsw (embedding halfvec_cosine_ops)"
        " WITH (m = 2, ef_construction = 4)"
    )
    before = shop.execute("SELECT parameters FROM imgsearch.space").fetchone()
    shop.execute(
        """UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '50000000')
           || '{"search": {"ef": 1, "spread": 1, "pool": 1}}'"""
    )
    yield
    assert before is not None
    shop.execute("UPDATE imgsearch.space SET parameters = %s", [Jsonb(before[0])])
    shop.execute(drop)
    shop.execute(row[0].encode())


@pytest.mark.slow
@pytest.mark.usefixtures("poor_graph")
def test_tune_repairs_a_badly_tuned_space(shop: Connection) -> None:
    bad = {shape.shape: shape for shape in tuning.measure(shop, seconds=20)}
    assert {"no filter", "tenant", "its category", "another category", "price, 2%", "in stock"} <= set(bad)
    assert {"not its category", "other categories, 30%"} <= set(bad), "against the neighbourhood"
    assert {"attribute colour", "attribute size", "tenant, category, price"} <= set(bad)
    assert min(shape.recall for shape in bad.values()) < 0.5
    chosen = tuning.tune(shop, target=0.95, seconds=60)
    assert chosen.reached, chosen
    assert min(shape.recall for shape in chosen.before) < 0.5
    assert (kept(shop).get("ef"), kept(shop).get("pool")) == (chosen.ef, chosen.pool)
    assert chosen.pool is None or chosen.pool >= 160, "a smaller one grows by itself, and reads everything again"
    assert kept(shop)["text"] == (asdict(chosen.walks["text"]) if "text" in chosen.walks else {})
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


def found(missed: int, questions: int = 400) -> list[Measured]:
    told = {"questions": questions, "rows": 10 * questions, "recall": 1 - missed / questions / 10}
    return [Measured(shape="a", missed=missed, worst=0.0, p50_ms=1.0, ways={}, **told)]


@pytest.mark.parametrize(
    ("missed", "chosen"),
    [
        ({None: 5, 40: 15, 80: 9, 100: 5}, Walk(ef=80, spread=2)),  # 15 of 4,000, and 30 more would be too many
        ({None: 5, 40: 15}, None),  # nothing bolder is sure: as it comes
        ({None: 40, 200: 40, 400: 10}, Walk(ef=400, spread=6)),
        ({None: 99, 200: 60, 0: 0}, Walk(ef=0, spread=6)),  # no walk reaches it, bits do
        ({None: 99, 200: 60, 0: 70}, Walk(ef=1000, spread=6)),  # neither does: the better one
        ({}, None),  # no time
    ],
)
def test_the_cheapest_walk_that_surely_reaches_the_target_is_chosen(
    missed: dict[int | None, int], chosen: Walk | None
) -> None:
    def tried(walk: Walk | None) -> list[Measured] | None:
        if walk is None or walk.ef == 0:
            return found(missed[walk and walk.ef]) if missed else None
        return found([many for ef, many in missed.items() if ef and ef <= walk.ef][-1])

    assert _walk_of(tried, 0.99) == chosen


def test_three_rows_that_were_missed_condemn_no_shape() -> None:
    assert reaches([*found(3, 5), *found(0, 85)], 0.99)
    assert not reaches([*found(4, 5), *found(0, 85)], 0.99)
    assert not reaches(found(1, 4), 0.99), "one of 40: all together miss too much"
    assert not surely(found(0, 200), 0.99)
    assert surely(found(0, 300), 0.99)


def test_what_is_tuned_for_texts_leaves_pictures_alone(shop: Connection) -> None:
    shop.execute("SELECT imgsearch.refresh_sample()")
    shop.execute("""UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,radius}', '0.0001')""")

    def walk(vector: str, parameters: dict[str, Any]) -> tuple[Any, ...] | None:
        shop.execute("SELECT set_config('imgsearch.search', %s, false)", [json.dumps(parameters) if parameters else ""])
        return shop.execute(
            f"SELECT (c).ef, (c).trust_divisor FROM imgsearch_internal.search_context({vector}, 10, NULL, NULL) c"  # noqa: S608
        ).fetchone()

    text, picture = "imgsearch.vec_of(1)", "(SELECT mean FROM imgsearch.space)"  # all lie beyond such a radius
    both = parameters_of({"picture": Walk(ef=80, spread=4), "text": Walk(ef=300, spread=6)}, 320)
    assert (walk(picture, both), walk(text, both)) == ((80, 4), (300, 6))
    pictures = parameters_of({"picture": Walk(ef=80, spread=4)}, 320)
    assert (walk(picture, pictures), walk(text, pictures)) == ((80, 4), (200, 2)), "texts were not measured"
    assert (walk(picture, {}), walk(text, {})) == ((280, 3), (200, 2))
    assert walk(text, {"ef": 100}) == (75, 2), "as it was stored before kinds were told apart"


def test_among_a_million_walks_are_wider_and_less_of_them_is_believed(shop: Connection) -> None:
    shop.execute("SELECT imgsearch.refresh_sample()")
    shop.execute(
        """UPDATE imgsearch.space SET parameters = jsonb_set(jsonb_set(parameters, '{sample,radius}', '0.0001'),
           '{sample,pictures}', '1000000')"""
    )
    walk = """SELECT c.ef, c.trust_divisor
              FROM (VALUES ((SELECT mean FROM imgsearch.space)), (imgsearch.vec_of(1))) v (q),
              imgsearch_internal.search_context(v.q, 10, NULL, NULL) c"""
    assert shop.execute(walk.encode()).fetchall() == [(387, 8), (276, 4)]


def test_without_a_walk_bits_answer(shop: Connection) -> None:
    shop.execute("SELECT imgsearch.refresh_sample()")
    shop.execute("UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '1000000')")
    ask = """SELECT (f.answer).strategy, (f.plan).reason
             FROM imgsearch_internal.find(imgsearch.vec_of(1), NULL, imgsearch_internal.page_of(10)) f"""
    assert shop.execute(ask).fetchone() == ("hnsw", None)
    shop.execute("SELECT set_config('imgsearch.search', %s, false)", [json.dumps({"ef": 0})])
    assert shop.execute(ask).fetchone() == ("bits", "vain")


def test_an_idle_worker_tunes_once_and_leaves_what_was_written_by_hand(shop: Connection, settings: Settings) -> None:
    shop.execute("DELETE FROM imgsearch.job")
    shop.execute("SELECT imgsearch.refresh_sample()")
    shop.execute("VACUUM ANALYZE")
    assert not Tuner(settings, fewest=5_000).tune(seconds=5), "too few pictures"
    tuner = Tuner(settings, fewest=1_000)
    assert tuner.tune(seconds=8)
    assert kept(shop)["by"] == "worker"
    assert not tuner.tune(seconds=5), "nothing changed since"
    shop.execute(BAD)
    assert not tuner.tune(seconds=5)
    shop.execute("UPDATE imgsearch.space SET parameters = parameters - 'search'")
    shop.execute(
        "INSERT INTO imgsearch.job (tenant_id, image_id, space_id)"
        " SELECT tenant_id, image_id, 1 FROM imgsearch.image LIMIT 1"
    )
    assert not tuner.tune(seconds=5), "a picture waits for a worker"
    shop.execute("DELETE FROM imgsearch.job")
    shop.execute(
        "WITH gone AS (DELETE FROM ONLY imgsearch.embedding_1 WHERE image_id % 25 = 1 RETURNING *)"
        " INSERT INTO imgsearch.embedding_1_tail SELECT * FROM gone"
    )
    assert not tuner.tune(seconds=5), "one in 25 is not in the graph yet"
    while queue.merge_tail(shop, 1):
        pass
    shop.execute("VACUUM imgsearch.embedding_1_tail")
    assert tuner.tune(seconds=5)


def test_a_worker_that_is_told_not_to_never_tunes(settings: Settings) -> None:
    tuner = Tuner(settings.model_copy(update={"tuning": "off"}))
    tuner.start()
    assert not tuner.lookout.is_running()
    tuner.lookout.stop()


def test_while_it_is_measured_nobody_waits_and_another_space_gets_nothing_of_it(
    shop: Connection, settings: Settings
) -> None:
    """A worker measures for half an hour: that is no time in which tables cannot be changed."""
    shop.execute("SELECT imgsearch.refresh_sample()")
    rests = 0

    def rest(_: float) -> None:
        nonlocal rests
        rests += 1
        with db.connect(settings, autocommit=True) as other:
            locks = "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype IN ('relation', 'object')"
            assert other.execute(locks, (shop.info.backend_pid,)).fetchone() == (0,)
            if rests == 3:
                activate_another(other)

    with pytest.raises(SpaceChanged):
        tuning.tune(shop, target=0.9, seconds=2, rest=rest)
    assert rests > 3
    assert shop.execute("SELECT count(*) FROM imgsearch.space WHERE parameters ? 'search'").fetchone() == (0,)


@bouncer.needed
def test_workers_tune_one_at_a_time_also_through_a_pooler(shop: Connection, settings: Settings, folder: Path) -> None:
    for statement in ("DELETE FROM imgsearch.job", "SELECT imgsearch.refresh_sample()", "VACUUM ANALYZE"):
        shop.execute(statement)
    with bouncer.before(settings.database_url, folder) as url:
        pooled = with_settings(settings, DATABASE_URL=url)
        other = Tuner(pooled, fewest=1_000)

        class Asked(Tuner):
            def _rest(self, took: float) -> None:
                assert not other.tune(seconds=1), "two at once"

        assert Asked(pooled, fewest=1_000).tune(seconds=2)
        left = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
        left += " (SELECT oid FROM pg_database WHERE datname = current_database())"
        assert shop.execute(left).fetchone() == (0,)
