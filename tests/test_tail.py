"""Many new vectors at once wait outside the graph: searched at commit, moved beside searches, never lost or doubled."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from imgsearch_workers.pipeline.merger import Merger

import imgsearch
from imgsearch import db
from imgsearch.dev.testing import embed
from imgsearch.ingest import queue
from imgsearch.settings import Settings

Connection = psycopg.Connection[Any]
MANY = 40
ADD = """INSERT INTO imgsearch.image (tenant_id, product_id, uri, price)
SELECT %s, 'p' || n, 'http://shop.example/' || n, n
FROM generate_series(%s::int, %s::int) n"""


@pytest.fixture
def shop(connection: Connection, space: Any) -> Connection:
    """A shop of MANY pictures, delivered together."""
    connection.execute(ADD, ("acme", 1, MANY))
    assert embed(connection) == MANY
    return connection


def places(connection: Connection) -> tuple[Any, ...]:
    """How many vectors are read, are in the graph, wait outside it."""
    row = connection.execute("""SELECT (SELECT count(*) FROM imgsearch.vectors),
        (SELECT count(*) FROM ONLY imgsearch.embedding_1),
        (SELECT count(*) FROM imgsearch.embedding_1_tail)""").fetchone()
    assert row
    return row


def violations(connection: Connection) -> list[Any]:
    return connection.execute("SELECT * FROM imgsearch.violations").fetchall()


def found(connection: Connection, image: int, **more: Any) -> list[int]:
    return [hit.image_id for hit in imgsearch.search(connection, imgsearch.ImageId(image), k=MANY, **more)]


def test_many_at_once_wait_outside_the_graph_and_are_found_at_once(shop: Connection) -> None:
    assert places(shop) == (MANY, 0, MANY)
    everything = sorted(found(shop, 1, tenant="acme", per="image"))
    assert everything == list(range(1, MANY + 1))
    assert violations(shop) == []


def test_a_few_go_into_the_graph(connection: Connection, space: Any) -> None:
    connection.execute(ADD, ("acme", 1, 15))
    embed(connection)
    assert places(connection) == (15, 15, 0)


def test_without_a_graph_nothing_waits_outside_it(connection: Connection, space: Any) -> None:
    connection.execute("DROP INDEX imgsearch.embedding_1_hnsw")
    connection.execute(ADD, ("acme", 1, MANY))
    embed(connection)
    assert places(connection) == (MANY, MANY, 0)


@pytest.mark.parametrize("merged", [0, 1])
def test_every_statement_reads_both(shop: Connection, merged: int) -> None:
    for _ in range(merged):
        assert queue.merge_tail(shop, 1) == 16
    assert places(shop) == (MANY, 16 * merged, MANY - 16 * merged)
    nearest = "SELECT image_id FROM imgsearch.vectors ORDER BY embedding <=> imgsearch.vec_of(%s) LIMIT 1"
    for image in range(1, MANY + 1):
        assert shop.execute(nearest, (image,)).fetchone() == (image,)
    with shop.transaction():
        shop.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in shop.execute("EXPLAIN " + nearest, (7,)))
    for part in ("Merge Append", "embedding_1_hnsw", "embedding_1_tail"):
        assert part in plan


def test_a_walk_is_merged_with_what_waits(shop: Connection) -> None:
    """A part in the graph: as far as a walk is believed, it names what comparing everything does."""
    queue.merge_tail(shop, 1)
    walked = """SELECT array_agg(w.image_id ORDER BY w.d) FROM imgsearch_internal.hnsw_candidates(
        imgsearch_internal.search_context(imgsearch.vec_of(%(image)s), 5, NULL, NULL), 120, false) w"""
    truth = """SELECT array_agg(x.image_id) FROM (SELECT v.image_id FROM imgsearch.vectors v
        ORDER BY (v.embedding <=> imgsearch.vec_of(%(image)s)) + 0 LIMIT %(many)s) x"""
    mixed = 0
    for image in range(1, MANY + 1):
        [met] = shop.execute(walked, {"image": image}).fetchone() or [()]
        assert shop.execute(truth, {"image": image, "many": len(met)}).fetchone() == (met,)
        mixed += any(one > 16 for one in met)
    assert mixed > MANY / 2


def test_all_are_moved_and_none_twice(shop: Connection) -> None:
    moved = list(iter(lambda: queue.merge_tail(shop, 1), 0))
    assert moved == [16, 16, 8]
    assert places(shop) == (MANY, MANY, 0)
    assert violations(shop) == []


def test_new_bytes_and_deletion_reach_what_waits(shop: Connection) -> None:
    shop.execute("UPDATE imgsearch.image SET uri = 'store:other', sha256 = sha256('other') WHERE image_id = 1")
    shop.execute("DELETE FROM imgsearch.image WHERE image_id = 2")
    assert places(shop) == (MANY - 2, 0, MANY - 2)
    assert violations(shop) == []


def test_a_vector_that_replaces_one_that_waits_stands_once(shop: Connection) -> None:
    shop.execute(
        "INSERT INTO imgsearch.job (tenant_id, image_id, space_id) SELECT tenant_id, image_id, 1 FROM imgsearch.image"
    )
    assert embed(shop) == MANY
    assert places(shop) == (MANY, MANY, 0)
    assert violations(shop) == []


def test_a_tenant_sees_its_own(shop: Connection, settings: Settings) -> None:
    shop.execute(ADD, ("other", 1, MANY))
    embed(shop)
    assert places(shop) == (2 * MANY, 0, 2 * MANY)
    with db.connect(settings) as reader:
        reader.execute(
            "SELECT set_config('imgsearch.tenant', 'acme', true), set_config('role', 'imgsearch_reader', true)"
        )
        assert reader.execute(
            "SELECT count(*), min(tenant_id), max(tenant_id) FROM imgsearch.embedding_1_tail"
        ).fetchone() == (
            MANY,
            "acme",
            "acme",
        )
        assert reader.execute("SELECT count(*) FROM imgsearch.vectors").fetchone() == (MANY,)


def test_a_space_that_is_dropped_takes_its_tail_along(shop: Connection) -> None:
    shop.execute(
        "SELECT imgsearch.add_space('other', '', 'x', 48, '', (SELECT mean FROM imgsearch.space), name => 'other')"
    )
    assert shop.execute("SELECT to_regclass('imgsearch.embedding_2_tail') IS NOT NULL").fetchone() == (True,)
    shop.execute("SELECT imgsearch.drop_space('other')")
    assert shop.execute("SELECT to_regclass('imgsearch.embedding_2_tail')").fetchone() == (None,)


def test_the_worker_moves_them_by_itself(shop: Connection, settings: Settings) -> None:
    merger = Merger(settings)
    merger.lookout.start()
    merger.lookout.wake()
    try:
        deadline = time.monotonic() + 20
        while places(shop) != (MANY, MANY, 0):
            assert time.monotonic() < deadline, places(shop)
            time.sleep(0.05)
    finally:
        merger.lookout.stop()


@contextmanager
def beside(settings: Settings, act: Any) -> Iterator[list[BaseException]]:
    """Run act(connection, number) again and again in a thread of its own."""
    stop, failed = threading.Event(), list[BaseException]()

    def run() -> None:
        with db.connect(settings, autocommit=True) as connection:
            for number in itertools.count():
                if stop.is_set():
                    return
                try:
                    act(connection, number)
                except BaseException as error:  # noqa: BLE001 - the test asserts that there is none
                    failed.append(error)
                    return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failed
    finally:
        stop.set()
        thread.join(20)


def test_nothing_is_lost_doubled_or_stale_while_it_is_moved(shop: Connection, settings: Settings) -> None:
    """Replacements, new vectors for the same bytes, deletions and searches beside two that move."""

    def moves(connection: Connection, _: int) -> None:
        queue.merge_tail(connection, 1)

    def replaces(connection: Connection, number: int) -> None:
        image = 1 + number % (MANY - 5)
        connection.execute("UPDATE imgsearch.image SET uri = uri || '?', sha256 = NULL WHERE image_id = %s", (image,))

    def searches(connection: Connection, number: int) -> None:
        ids = [row[0] for row in connection.execute("SELECT image_id FROM imgsearch.vectors")]
        assert len(ids) == len(set(ids)), "an image stands twice"
        assert {MANY - 1, MANY} <= set(ids), "an image that nobody touched is gone"

    def again(connection: Connection) -> None:
        connection.execute(
            "INSERT INTO imgsearch.job (tenant_id, image_id, space_id) SELECT tenant_id, image_id, 1"
            " FROM imgsearch.image WHERE image_id BETWEEN %s AND %s ON CONFLICT DO NOTHING",
            (MANY - 4, MANY - 2),
        )

    with (
        beside(settings, moves) as a,
        beside(settings, moves) as b,
        beside(settings, replaces) as c,
        beside(settings, searches) as d,
    ):
        for turn in range(20):
            shop.execute(ADD, ("acme", 100 + 20 * turn, 119 + 20 * turn))
            again(shop)
            embed(shop)
            shop.execute("DELETE FROM imgsearch.image WHERE product_id = %s", (f"p{100 + 20 * turn}",))
    assert [*a, *b, *c, *d] == []
    embed(shop)
    assert violations(shop) == []
    while queue.merge_tail(shop, 1):
        pass
    total, graph, waiting = places(shop)
    assert (total, waiting) == (graph, 0)
    assert shop.execute("SELECT count(*) FROM imgsearch.image").fetchone() == (total,)


def test_pictures_that_somebody_holds_do_not_keep_the_others_waiting(shop: Connection, settings: Settings) -> None:
    with db.connect(settings) as holder:
        holder.execute("UPDATE imgsearch.image SET price = 1 WHERE image_id <= 30")
        assert [queue.merge_tail(shop, 1) for _ in range(2)] == [MANY - 30, 0]
        assert places(shop) == (MANY, MANY - 30, 30)
        holder.rollback()
    assert queue.merge_tail(shop, 1) == 16


def test_what_waits_is_among_the_pictures_that_a_search_reckons_with(shop: Connection) -> None:
    shop.execute("SELECT imgsearch.refresh_sample('0', 8)")
    reckoned = "SELECT (parameters #>> '{sample,pictures}')::float FROM imgsearch.space"
    [before] = shop.execute(reckoned).fetchone() or [0]
    while queue.merge_tail(shop, 1):
        pass
    shop.execute("VACUUM ANALYZE imgsearch.embedding_1")
    shop.execute("VACUUM ANALYZE imgsearch.embedding_1_tail")
    shop.execute("SELECT imgsearch.refresh_sample('0', 8)")
    [after] = shop.execute(reckoned).fetchone() or [0]
    assert after == MANY
    assert before >= MANY


def test_a_session_that_wants_no_tail_gets_none(connection: Connection, space: Any) -> None:
    connection.execute("SET imgsearch.tail = off")
    connection.execute(ADD, ("acme", 1, MANY))
    embed(connection)
    assert places(connection) == (MANY, MANY, 0)


def test_one_moves_them_at_a_time(shop: Connection, settings: Settings) -> None:
    """Two would wait for each other's pages of the graph, and nobody gains."""
    with db.connect(settings) as other:
        assert queue.merge_tail(other, 1) == 16
        assert queue.merge_tail(shop, 1) == 0
        other.rollback()
    assert queue.merge_tail(shop, 1) == 16
