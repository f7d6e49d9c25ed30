"""Every fence of the queue is needed: with it a late worker changes nothing, without it the same story ends wrong.

Each story is told twice, on real connections: with the statements as they are, and with one fence taken out of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from imgsearch import db
from imgsearch.db import sql
from imgsearch.errors import UsageError
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Claim, Delivery, Failure
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.loops import add_another

Connection = psycopg.Connection[Any]
VECTOR = [1.0] + [0.0] * 47
MAX_ATTEMPTS = 3


def add(connection: Connection, name: str = "a") -> None:
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) VALUES ('acme', %s, %s, sha256(%s))",
        (name, f"store:{name}", name.encode()),
    )


def claim(connection: Connection, seconds: float = 60) -> Claim:
    [found] = queue.claim(connection, worker="w", limit=1, lease_seconds=seconds)
    return found


def deliver(connection: Connection, one: Claim) -> set[queue.Key]:
    return queue.deliver(connection, 1, [Delivery(claim=one, sha256=one.sha256 or b"", embedding=VECTOR)])


def taken_over(connection: Connection) -> tuple[Claim, Claim]:
    """A worker goes silent, its picture is rescued, and another worker has it now."""
    add(connection)
    late = claim(connection, 0)
    queue.rescue(connection, max_attempts=MAX_ATTEMPTS)
    return late, claim(connection)


def job(connection: Connection) -> Any:
    return connection.execute("SELECT state, token, attempts, lease FROM imgsearch.job").fetchone()


Story = Callable[[Connection, Settings], bool]


def a_late_worker_delivers(connection: Connection, settings: Settings) -> bool:
    late, mine = taken_over(connection)
    return deliver(connection, late) == set() and deliver(connection, mine) == {mine.key}


def a_late_worker_fails_the_picture(connection: Connection, settings: Settings) -> bool:
    late, _ = taken_over(connection)
    before = job(connection)
    queue.fail(connection, [Failure(claim=late, code="x", message="x", permanent=True)], max_attempts=MAX_ATTEMPTS)
    return bool(job(connection) == before)


def a_late_worker_gives_back(connection: Connection, settings: Settings) -> bool:
    late, _ = taken_over(connection)
    before = job(connection)
    queue.release(connection, [late])
    return bool(job(connection) == before)


def a_late_worker_renews_its_lease(connection: Connection, settings: Settings) -> bool:
    late, _ = taken_over(connection)
    before = job(connection)
    return queue.heartbeat(connection, [late], lease_seconds=900) == set() and bool(job(connection) == before)


def an_admin_sets_a_picture_aside_while_a_worker_has_it(connection: Connection, settings: Settings) -> bool:
    """By hand, which leaves the token in place."""
    add(connection)
    mine = claim(connection)
    connection.execute("UPDATE imgsearch.job SET state = 'failed', error_code = 'aside', lease = NULL")
    return (
        deliver(connection, mine) == set()
        and queue.heartbeat(connection, [mine], lease_seconds=9) == set()
        and queue.release(connection, [mine]) == set()
        and queue.fail(connection, [Failure(claim=mine, code="x", message="x", permanent=True)], max_attempts=9) == {}
    )


def the_bytes_change_where_no_trigger_sees_it(connection: Connection, settings: Settings) -> bool:
    """Triggers are a convenience: on Citus they carry nothing, and a restore may run without them."""
    add(connection)
    mine = claim(connection)
    connection.execute("SET session_replication_role = replica")
    connection.execute("UPDATE imgsearch.image SET sha256 = %s", (sha256(b"new").digest(),))
    connection.execute("RESET session_replication_role")
    return (
        deliver(connection, mine) == set() and not connection.execute("SELECT * FROM imgsearch.violations").fetchall()
    )


def a_picture_kills_every_worker_that_claims_it(connection: Connection, settings: Settings) -> bool:
    add(connection)
    for _ in range(MAX_ATTEMPTS):
        if not queue.claim(connection, worker="w", limit=1, lease_seconds=0):
            return False
        queue.rescue(connection, max_attempts=MAX_ATTEMPTS)
    return bool(job(connection)[0] == "failed" and job(connection)[2] == MAX_ATTEMPTS)


def a_healthy_worker_has_a_picture_when_the_sweep_comes(connection: Connection, settings: Settings) -> bool:
    add(connection)
    mine = claim(connection)
    return queue.rescue(connection, max_attempts=MAX_ATTEMPTS) == 0 and deliver(connection, mine) == {mine.key}


def a_lease_is_renewed_at_the_moment_of_its_rescue(connection: Connection, settings: Settings) -> bool:
    """The sweep has read the expired lease, and waits for the row that its worker is just renewing."""
    add(connection)
    mine = claim(connection, 0)
    with db.connect(settings) as worker, db.connect(settings, autocommit=True) as sweeper:
        queue.heartbeat(worker, [mine], lease_seconds=60)
        sweep = threading.Thread(target=queue.rescue, args=(sweeper,), kwargs={"max_attempts": MAX_ATTEMPTS})
        sweep.start()
        sweep.join(0.3)
        worker.commit()
        sweep.join(10)
    return deliver(connection, mine) == {mine.key}


def two_workers_claim_at_once(connection: Connection, settings: Settings) -> bool:
    add(connection)
    with db.connect(settings) as one, db.connect(settings, autocommit=True) as other:
        found: list[list[Claim]] = []
        first = queue.claim(one, worker="one", limit=1, lease_seconds=60)
        second = threading.Thread(
            target=lambda: found.append(queue.claim(other, worker="other", limit=1, lease_seconds=60))
        )
        second.start()
        second.join(0.3)
        waited = second.is_alive()
        one.commit()
        second.join(10)
    return len(first) == 1 and found == [[]] and not waited


def the_shop_holds_a_row_for_long(connection: Connection, settings: Settings) -> bool:
    """A delivery must not wait for the shop's transaction: its neighbours would wait along."""
    add(connection)
    mine = claim(connection)
    with (
        db.connect(settings) as shop,
        db.connect(settings, autocommit=True, options="-c lock_timeout=300ms") as completer,
    ):
        shop.execute("UPDATE imgsearch.image SET price = 1")
        try:
            written = deliver(completer, mine)
        except psycopg.errors.LockNotAvailable:
            return False
        shop.commit()
        return written == set() and deliver(completer, mine) == {mine.key}


def a_suspect_waits_beside_others(connection: Connection, settings: Settings) -> bool:
    for name in "ab":
        add(connection, name)
    queue.claim(connection, worker="w", limit=1, lease_seconds=0)
    queue.rescue(connection, max_attempts=MAX_ATTEMPTS)
    first = queue.claim(connection, worker="w", limit=9, lease_seconds=60)
    busy = queue.claim(connection, worker="w", limit=9, lease_seconds=60, idle=False)
    idle = queue.claim(connection, worker="w", limit=9, lease_seconds=60, idle=True)
    return [c.suspect for c in first] == [False] and busy == [] and [c.suspect for c in idle] == [True]


def a_worker_delivers_to_another_space(connection: Connection, settings: Settings) -> bool:
    """The vector of one model must not close the other's job."""
    new = add_another(connection)
    add(connection)
    [mine] = queue.claim(connection, worker="w", limit=1, lease_seconds=60, spaces=[1])
    wrong = queue.deliver(connection, new, [Delivery(claim=mine, sha256=mine.sha256 or b"", embedding=VECTOR)])
    return wrong == set() and deliver(connection, mine) == {mine.key}


def another_space_takes_over_during_a_delivery(connection: Connection, settings: Settings) -> bool:
    """Its activation has seen that nothing would be lost: nothing new may come to the space it follows."""
    new = add_another(connection)
    add(connection)
    connection.execute("DELETE FROM imgsearch.job WHERE space_id = %s", [new])
    mine = claim(connection)
    written: list[set[queue.Key]] = []
    with db.connect(settings) as admin:
        admin.execute("SELECT imgsearch.activate_space('other')")
        late = threading.Thread(target=lambda: written.append(deliver(connection, mine)))
        late.start()
        late.join(0.5)
        waited = late.is_alive()
        admin.commit()
        late.join(10)
    return waited and written == [{mine.key}]


def a_worker_claims_for_its_space(connection: Connection, settings: Settings) -> bool:
    add(connection)
    return queue.claim(connection, worker="w", limit=1, lease_seconds=60, spaces=[2]) == []


STORIES: list[Story] = [
    a_late_worker_delivers,
    a_late_worker_fails_the_picture,
    a_late_worker_gives_back,
    a_late_worker_renews_its_lease,
    an_admin_sets_a_picture_aside_while_a_worker_has_it,
    the_bytes_change_where_no_trigger_sees_it,
    a_picture_kills_every_worker_that_claims_it,
    a_healthy_worker_has_a_picture_when_the_sweep_comes,
    a_lease_is_renewed_at_the_moment_of_its_rescue,
    two_workers_claim_at_once,
    the_shop_holds_a_row_for_long,
    a_suspect_waits_beside_others,
    a_worker_delivers_to_another_space,
    another_space_takes_over_during_a_delivery,
    a_worker_claims_for_its_space,
]

OURS = "s.space_id = ANY (coalesce(%(spaces)s::integer[], ARRAY[s.space_id]))"
TOKEN, LEASED = "AND j.token = {}.token", "AND j.state = 'leased'"
# (statement, the fence, what is left when it is taken out, the story that then ends wrong)
FENCES: list[tuple[str, str, str, Story]] = [
    ("deliver", TOKEN.format("l"), "", a_late_worker_delivers),
    ("deliver", LEASED, "", an_admin_sets_a_picture_aside_while_a_worker_has_it),
    ("deliver", "i.sha256 IS NULL OR i.sha256 = n.sha256", "true", the_bytes_change_where_no_trigger_sees_it),
    ("deliver", "AND j.space_id = %(space_id)s", "", a_worker_delivers_to_another_space),
    ("deliver", "FOR KEY SHARE", "", another_space_takes_over_during_a_delivery),
    ("claim", OURS, "true", a_worker_claims_for_its_space),
    ("deliver", "SKIP LOCKED", "", the_shop_holds_a_row_for_long),
    ("fail", TOKEN.format("n"), "", a_late_worker_fails_the_picture),
    ("fail", LEASED, "", an_admin_sets_a_picture_aside_while_a_worker_has_it),
    ("release", TOKEN.format("mine"), "", a_late_worker_gives_back),
    ("release", LEASED, "", an_admin_sets_a_picture_aside_while_a_worker_has_it),
    ("heartbeat", TOKEN.format("mine"), "", a_late_worker_renews_its_lease),
    ("heartbeat", LEASED, "", an_admin_sets_a_picture_aside_while_a_worker_has_it),
    ("claim", "attempts = j.attempts + 1", "attempts = j.attempts", a_picture_kills_every_worker_that_claims_it),
    ("claim", "SKIP LOCKED", "", two_workers_claim_at_once),
    ("claim", "AND NOT d.suspect", "", a_suspect_waits_beside_others),
    ("claim", "%(idle)s AND", "", a_suspect_waits_beside_others),
    ("rescue", "AND lease < pg_catalog.now()", "", a_healthy_worker_has_a_picture_when_the_sweep_comes),
    ("rescue", "FOR UPDATE SKIP LOCKED", "", a_lease_is_renewed_at_the_moment_of_its_rescue),
    ("rescue", "j.attempts >= %(max_attempts)s", "false", a_picture_kills_every_worker_that_claims_it),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_it_ends_well(story: Story, connection: Connection, space: Space, settings: Settings) -> None:
    assert story(connection, settings)


@pytest.mark.parametrize(("statement", "fence", "left", "story"), FENCES, ids=[f"{s}: {f}" for s, f, _, _ in FENCES])
def test_without_the_fence_it_does_not(
    statement: str,
    fence: str,
    left: str,
    story: Story,
    connection: Connection,
    space: Space,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, whole = sql.statements, sql.statements("queue")
    assert fence in whole[statement], "the fence this test takes out is not there any more"
    broken = {**whole, statement: whole[statement].replace(fence, left)}
    monkeypatch.setattr(sql, "_fixed", sql._fixed.__wrapped__)  # what was put together before knows the fence
    monkeypatch.setattr(sql, "statements", lambda file: broken if file == "queue" else read(file))
    try:
        ended_well = story(connection, settings)
    except (psycopg.Error, UsageError):
        ended_well = False  # a constraint was the last line of defence
    assert not ended_well
