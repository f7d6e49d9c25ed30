"""A worker writes only to the space that is searched: beside it another one becomes active, and nothing is lost.

A worker that went on would take the new space's jobs, write the old model's vectors and delete the jobs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from imgsearch_workers.pipeline.completer import Completer

from bench.soak import pictures
from imgsearch.ingest import queue, upload
from imgsearch.ingest.queue import Delivery, Failure
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.loops import Gate, activate_another, images
from tests.processes import WorkerProcess, eventually

Connection = psycopg.Connection[Any]
VECTOR = [1.0] + [0.0] * 47


def add(connection: Connection, settings: Settings, number: int) -> int:
    store = upload.open_store(settings.storage_url)
    return upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store).image_id


def jobs(connection: Connection) -> list[Any]:
    return connection.execute("SELECT state, attempts FROM imgsearch.job ORDER BY image_id").fetchall()


def test_a_vector_of_the_old_space_closes_no_job(connection: Connection, space: Space, settings: Settings) -> None:
    add(connection, settings, 1)
    [claim] = queue.claim(connection, worker="w", limit=1, lease_seconds=60)
    new = activate_another(connection)
    late = Delivery(claim=claim, sha256=claim.sha256 or b"", embedding=VECTOR)
    assert queue.deliver(connection, space.space_id, [late]) == set()
    assert jobs(connection) == [("leased", 1)]
    assert queue.deliver(connection, new, [late]) == {claim.key}


def test_what_the_old_model_could_not_embed_is_not_set_aside(
    connection: Connection, space: Space, settings: Settings
) -> None:
    add(connection, settings, 1)
    [claim] = queue.claim(connection, worker="w", limit=1, lease_seconds=60)
    new = activate_another(connection)
    late = [Failure(claim=claim, code="not_embeddable", message="no", permanent=True)]
    assert queue.fail(connection, late, max_attempts=5, space_id=space.space_id) == {}
    assert jobs(connection) == [("leased", 1)]
    completer = Completer(settings, space.space_id, lambda claims: None)
    completer._fail(connection, late)
    assert jobs(connection) == [("pending", 0)]
    [again] = queue.claim(connection, worker="w", limit=1, lease_seconds=60)
    mine = [Failure(claim=again, code="not_embeddable", message="no", permanent=True)]
    assert queue.fail(connection, mine, max_attempts=5, space_id=new) == {claim.key: "failed"}


def test_a_worker_of_the_old_space_is_given_nothing(connection: Connection, space: Space, settings: Settings) -> None:
    add(connection, settings, 1)
    [claim] = queue.claim(connection, worker="w", limit=1, lease_seconds=60)
    assert claim.sha256
    digest = [("acme", claim.sha256)]
    queue.deliver(connection, space.space_id, [Delivery(claim=claim, sha256=claim.sha256, embedding=VECTOR)])
    assert queue.known(connection, space.space_id, digest)
    cache.ask(connection, cache.of_text("red shoe"))
    add(connection, settings, 2)
    new = activate_another(connection)
    assert queue.claim(connection, worker="w", limit=1, lease_seconds=60, space_id=space.space_id) == []
    assert queue.known(connection, space.space_id, digest) == {}
    assert cache.claim(connection, space.space_id, 9) == []
    assert len(queue.claim(connection, worker="w", limit=1, lease_seconds=60, space_id=new)) == 1


def test_an_answer_of_the_old_space_answers_nobody(connection: Connection, space: Space) -> None:
    cache.ask(connection, cache.of_text("red shoe"))
    [asked] = cache.claim(connection, space.space_id, 9)
    activate_another(connection)
    cache.answer(connection, space.space_id, asked, VECTOR)  # type: ignore[arg-type]
    assert connection.execute(
        "SELECT count(*) FROM imgsearch.query_vector WHERE answered_at IS NOT NULL"
    ).fetchone() == (0,)


def test_a_running_loop_gives_back_what_it_has_and_stops(
    settings: Settings, connection: Connection, space: Space
) -> None:
    encoder = Gate()
    encoder.open.clear()
    with images(settings, encoder) as running:
        add(connection, settings, 1)
        assert encoder.waiting.wait(20)
        activate_another(connection)
        encoder.open.set()
        eventually(lambda: running.loop.outdated, what="the loop notices")
        eventually(lambda: jobs(connection) == [("pending", 0)], what="the picture given back unspent")
        add(connection, settings, 2)
        assert running.loop.join(15)
    assert jobs(connection) == [("pending", 0)] * 2
    assert connection.execute("SELECT count(*) FROM imgsearch.embedding_1").fetchone() == (0,)


@pytest.mark.parametrize("queue", ["images", "queries"])
def test_a_worker_process_says_so_and_ends(
    settings: Settings, environment: dict[str, str], connection: Connection, tmp_path: Path, queue: str, space: Space
) -> None:
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, environment, log, queue) as worker:
        new = activate_another(connection)
        add(connection, settings, 1)
        assert worker.process.wait(30) == 75
    assert f"space {new} is searched now" in log.read_text()
    assert jobs(connection) == [("pending", 0)]
