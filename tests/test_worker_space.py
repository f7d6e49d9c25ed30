"""A worker writes only to the spaces it was started for, and each picture waits once for each space there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.soak import pictures
from imgsearch import db
from imgsearch.errors import SpaceGone
from imgsearch.ingest import queue, upload
from imgsearch.ingest.queue import Claim, Delivery, Failure
from imgsearch.query import cache
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.loops import Gate, activate_another, add_another, images
from tests.processes import WorkerProcess, eventually

pytestmark = pytest.mark.slow  # all of them together

Connection = psycopg.Connection[Any]
VECTOR = [1.0] + [0.0] * 47


def add(connection: Connection, settings: Settings, number: int) -> int:
    store = upload.open_store(settings.storage_url)
    return upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store).image_id


def jobs(connection: Connection) -> list[Any]:
    return connection.execute(
        "SELECT space_id, state, attempts FROM imgsearch.job ORDER BY image_id, space_id"
    ).fetchall()


def claim(connection: Connection, *spaces: int, limit: int = 9) -> list[Claim]:
    return queue.claim(connection, worker="w", limit=limit, lease_seconds=60, spaces=spaces or None)


def delivery(one: Claim) -> Delivery:
    return Delivery(claim=one, sha256=one.sha256 or b"", embedding=VECTOR)


def held(connection: Connection, space_id: int) -> Any:
    table = {1: "SELECT count(*) FROM imgsearch.embedding_1", 2: "SELECT count(*) FROM imgsearch.embedding_2"}
    return connection.execute(table[space_id]).fetchone()[0]  # type: ignore[index]


def broken(connection: Connection) -> list[Any]:
    return connection.execute("SELECT * FROM imgsearch.violations").fetchall()


def test_a_picture_waits_for_each_space_and_each_is_delivered_alone(
    connection: Connection, space: Space, settings: Settings
) -> None:
    new = add_another(connection)
    add(connection, settings, 1)
    assert jobs(connection) == [(1, "pending", 0), (new, "pending", 0)]
    [one] = claim(connection, 1)
    assert queue.deliver(connection, new, [delivery(one)]) == set(), "a claim of another space closes no job of ours"
    assert queue.deliver(connection, 1, [delivery(one)]) == {one.key}
    assert jobs(connection) == [(new, "pending", 0)]
    [other] = claim(connection, new)
    assert queue.deliver(connection, new, [delivery(other)]) == {other.key}
    assert (held(connection, 1), held(connection, 2), jobs(connection), broken(connection)) == (1, 1, [], [])


def test_a_replaced_picture_leaves_every_space_and_waits_for_each(
    connection: Connection, space: Space, settings: Settings
) -> None:
    add_another(connection)
    image = add(connection, settings, 1)
    for one in claim(connection):
        queue.deliver(connection, one.space_id, [delivery(one)])
    connection.execute(
        "UPDATE imgsearch.image SET sha256 = sha256('new'), uri = 'store:new' WHERE image_id = %s", [image]
    )
    assert (held(connection, 1), held(connection, 2)) == (0, 0)
    assert [state for _, state, _ in jobs(connection)] == ["pending", "pending"]
    assert broken(connection) == []


def test_pictures_of_before_the_first_space_wait_for_it(connection: Connection, settings: Settings) -> None:
    from imgsearch.dev.testing import FakeEncoder
    from imgsearch.spaces.space import ensure

    add(connection, settings, 1)
    assert jobs(connection) == [(0, "pending", 0)]
    assert claim(connection, 1) == []
    ensure(connection, FakeEncoder().describe())
    assert jobs(connection) == [(1, "pending", 0)]


def test_a_transaction_that_began_before_the_space_queues_for_it(
    connection: Connection, space: Space, settings: Settings
) -> None:
    """Its snapshot is older than the space: what stands in the trigger must not come from a table."""
    with db.connect(settings) as shop:
        shop.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        shop.execute("SELECT 1")
        new = add_another(connection)
        shop.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'p', 'store:p')")
        shop.commit()
    assert [space_id for space_id, _, _ in jobs(connection)] == [1, new]


def test_a_failure_in_one_space_leaves_the_other_alone(
    connection: Connection, space: Space, settings: Settings
) -> None:
    new = add_another(connection)
    add(connection, settings, 1)
    [mine] = claim(connection, new)
    late = [Failure(claim=mine, code="not_embeddable", message="no", permanent=True)]
    assert queue.fail(connection, late, max_attempts=5) == {mine.key: "failed"}
    assert jobs(connection) == [(1, "pending", 0), (new, "failed", 1)]
    found = connection.execute("SELECT space, error_code FROM imgsearch.failures").fetchall()
    assert found == [("other", "not_embeddable")]
    assert connection.execute("SELECT failed, pending FROM imgsearch.status").fetchone() == (0, 1)
    assert connection.execute("SELECT imgsearch.requeue(space => 'other')").fetchone() == (1,)


def test_a_worker_of_both_spaces_takes_both_jobs_of_a_picture(
    connection: Connection, space: Space, settings: Settings
) -> None:
    new = add_another(connection)
    for number in (1, 2):
        add(connection, settings, number)
    first = claim(connection, 1, new, limit=1)
    assert len({c.image_id for c in first}) == 1
    assert {c.space_id for c in first} == {1, new}


def test_what_is_searched_is_embedded_first(connection: Connection, space: Space, settings: Settings) -> None:
    new = add_another(connection)
    add(connection, settings, 1)
    connection.execute("UPDATE imgsearch.job SET due = now() - interval '1 hour' WHERE space_id = %s", [new])
    assert [c.space_id for c in claim(connection, limit=1)] == [1]


def test_a_dropped_space_takes_no_vector_and_its_jobs_go(
    connection: Connection, space: Space, settings: Settings
) -> None:
    new = add_another(connection)
    add(connection, settings, 1)
    [mine] = claim(connection, new)
    connection.execute("SELECT imgsearch.drop_space('other')")
    with pytest.raises(SpaceGone, match="imgsearch worker --space"):
        queue.deliver(connection, new, [delivery(mine)])
    add(connection, settings, 2)
    queue.enqueue_missing(connection)
    assert [space_id for space_id, _, _ in jobs(connection)] == [1, 1]
    assert connection.execute("SELECT imgsearch.requeue()").fetchone() == (0,)


def test_questions_are_answered_in_the_space_they_were_asked_in(connection: Connection, space: Space) -> None:
    cache.ask(connection, cache.of_text("red shoe"))
    new = activate_another(connection)
    assert cache.claim(connection, new, 9) == []
    [asked] = cache.claim(connection, space.space_id, 9)
    cache.answer(connection, space.space_id, asked, VECTOR)  # type: ignore[arg-type]
    found = cache.look_up(connection, cache.of_text("red shoe"))
    assert found is not None
    assert (found.space_id, found.answered) == (new, False), "an answer of the space before answers nobody now"


def test_a_running_loop_goes_on_when_another_space_takes_over(
    settings: Settings, connection: Connection, space: Space
) -> None:
    """Its space stands by: it is kept in step, so that going back loses nothing."""
    encoder = Gate()
    encoder.open.clear()
    with images(settings, encoder) as running:
        add(connection, settings, 1)
        assert encoder.waiting.wait(20)
        new = activate_another(connection)
        encoder.open.set()
        eventually(lambda: held(connection, 1) == 1, what="the vector of the space on standby")
        add(connection, settings, 2)
        eventually(lambda: held(connection, 1) == 2, what="the next one")
        assert not running.loop.outdated
    assert jobs(connection) == [(new, "pending", 0)]


def test_a_loop_whose_space_was_dropped_stops(settings: Settings, connection: Connection, space: Space) -> None:
    encoder = Gate()
    encoder.open.clear()
    with images(settings, encoder) as running:
        add(connection, settings, 1)
        assert encoder.waiting.wait(20)
        activate_another(connection)
        connection.execute("SELECT imgsearch.drop_space(%s)", (space.name,))
        encoder.open.set()
        eventually(lambda: running.loop.outdated, what="the loop notices")
        assert running.loop.join(15)


@pytest.mark.parametrize("queue", ["images", "queries"])
def test_a_worker_process_of_a_dropped_space_says_so_and_ends(
    settings: Settings, environment: dict[str, str], connection: Connection, tmp_path: Path, queue: str, space: Space
) -> None:
    log = tmp_path / "worker.log"
    with WorkerProcess(settings, environment, log, queue) as worker:
        activate_another(connection)
        connection.execute("SELECT imgsearch.drop_space(%s)", (space.name,))
        assert worker.process.wait(30) == 75
    assert f"space {space.name} was dropped" in log.read_text()
