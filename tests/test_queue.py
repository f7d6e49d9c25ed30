"""The queue of record: leases, fences and the states of a picture."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.sql import SQL

from imgsearch.db import sql
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Claim, Delivery, Failure
from imgsearch.spaces.space import Space, vector_literal
from tests.loops import add_another

Connection = psycopg.Connection[Any]
VECTOR = [1.0] + [0.0] * 47


def insert(connection: Connection, count: int, tenant: str = "acme") -> None:
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) "
        "SELECT %s, n, 'store:' || n, sha256(n::text::bytea) FROM generate_series(1, %s) n",
        (tenant, count),
    )


def claim(connection: Connection, limit: int = 10, worker: str = "w", lease_seconds: float = 15) -> list[Claim]:
    return queue.claim(connection, worker=worker, limit=limit, lease_seconds=lease_seconds)


def deliver(connection: Connection, space: Space, claims: list[Claim]) -> set[queue.Key]:
    made = [Delivery(claim=c, sha256=c.sha256 or b"", embedding=VECTOR) for c in claims]
    return queue.deliver(connection, space.space_id, made)


def violations(connection: Connection) -> list[Any]:
    return connection.execute("SELECT * FROM imgsearch.violations").fetchall()


def test_an_insert_from_anywhere_waits_and_is_claimed_once(connection: Connection, space: Space) -> None:
    insert(connection, 7)
    first, second = claim(connection, 5, "a"), claim(connection, 5, "b")
    assert (len(first), len(second)) == (5, 2)
    assert not {c.key for c in first} & {c.key for c in second}
    assert claim(connection) == []


def test_delivery_makes_a_picture_searchable_and_closes_its_job(connection: Connection, space: Space) -> None:
    insert(connection, 3)
    claims = claim(connection)
    assert deliver(connection, space, claims) == {c.key for c in claims}
    assert connection.execute("SELECT count(*) FROM imgsearch.images").fetchone() == (3,)
    assert connection.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)
    assert violations(connection) == []


def test_a_stale_worker_writes_nothing(connection: Connection, space: Space) -> None:
    insert(connection, 1)
    [late] = claim(connection, lease_seconds=0)
    assert queue.rescue(connection, max_attempts=5) == 1
    [mine] = claim(connection)
    assert mine.attempts == 2
    assert deliver(connection, space, [late]) == set()
    assert queue.fail(connection, [Failure(claim=late, code="x", message="x", permanent=True)], max_attempts=5) == {}
    assert queue.release(connection, [late]) == set()
    assert deliver(connection, space, [mine]) == {mine.key}


def test_a_picture_replaced_meanwhile_stays_pending(connection: Connection, space: Space) -> None:
    insert(connection, 1)
    [old] = claim(connection)
    connection.execute("UPDATE imgsearch.image SET uri = 'store:new', sha256 = sha256('new')")
    assert deliver(connection, space, [old]) == set()
    [new] = claim(connection)
    assert new.sha256 == sha256(b"new").digest()
    assert deliver(connection, space, [new]) == {new.key}
    assert violations(connection) == []


def test_replacing_a_ready_picture_takes_the_old_vector_away_at_once(connection: Connection, space: Space) -> None:
    insert(connection, 1)
    deliver(connection, space, claim(connection))
    connection.execute("UPDATE imgsearch.image SET uri = 'store:new', sha256 = sha256('new')")
    assert connection.execute("SELECT count(*) FROM imgsearch.images").fetchone() == (0,)
    assert connection.execute("SELECT pending FROM imgsearch.status").fetchone() == (1,)
    assert violations(connection) == []


def test_a_price_change_touches_neither_job_nor_vector(connection: Connection, space: Space) -> None:
    insert(connection, 1)
    deliver(connection, space, claim(connection))
    before = connection.execute("SELECT xmin::text FROM imgsearch.embedding_1").fetchone()
    connection.execute("UPDATE imgsearch.image SET price = 5")
    assert connection.execute("SELECT xmin::text FROM imgsearch.embedding_1").fetchone() == before
    assert connection.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)


def test_a_locked_row_is_skipped_and_still_held(settings: Any, connection: Connection, space: Space) -> None:
    from imgsearch import db

    insert(connection, 2)
    claims = claim(connection)
    with db.connect(settings) as shop:
        shop.execute("UPDATE imgsearch.image SET price = 1 WHERE image_id = %s", (claims[0].image_id,))
        assert deliver(connection, space, claims) == {claims[1].key}
        assert queue.held(connection, claims) == {claims[0].key}
        shop.commit()
    assert deliver(connection, space, claims[:1]) == {claims[0].key}


def test_attempts_count_at_the_claim_and_the_last_one_sets_aside(connection: Connection, space: Space) -> None:
    insert(connection, 1)
    for attempt in (1, 2, 3):
        [found] = claim(connection, lease_seconds=0)
        assert found.attempts == attempt
        queue.rescue(connection, max_attempts=3)
    assert claim(connection) == []
    row = connection.execute("SELECT error_code, attempts FROM imgsearch.failures").fetchone()
    assert row == ("worker_lost", 3)
    assert connection.execute("SELECT imgsearch.requeue()").fetchone() == (1,)
    assert claim(connection)[0].attempts == 1


def test_release_does_not_spend_the_attempt(connection: Connection, space: Space) -> None:
    insert(connection, 1)
    queue.release(connection, claim(connection))
    assert claim(connection)[0].attempts == 1


def test_an_error_backs_off_and_a_permanent_one_is_set_aside(connection: Connection, space: Space) -> None:
    insert(connection, 2)
    one, two = claim(connection)
    states = queue.fail(
        connection,
        [
            Failure(claim=one, code="store", message="busy", permanent=False),
            Failure(claim=two, code="corrupt", message="bad", permanent=True),
        ],
        max_attempts=5,
    )
    assert states == {one.key: "pending", two.key: "failed"}
    assert claim(connection) == []
    assert 0 < (queue.next_due(connection, [1]) or 0) <= 2


def test_a_heartbeat_keeps_only_what_is_ours(connection: Connection, space: Space) -> None:
    insert(connection, 2)
    claims = claim(connection, lease_seconds=0)
    assert queue.heartbeat(connection, claims, lease_seconds=15) == {c.key for c in claims}
    assert queue.rescue(connection, max_attempts=5) == 0


@pytest.mark.parametrize("bad", [0.1, 0.0])
def test_a_vector_not_of_length_one_never_reaches_the_table(connection: Connection, space: Space, bad: float) -> None:
    insert(connection, 1)
    with pytest.raises(psycopg.errors.CheckViolation, match="vector_has_length_one"):
        connection.execute(
            "INSERT INTO imgsearch.embedding_1 (tenant_id, image_id, sha256, embedding) "
            "SELECT tenant_id, image_id, sha256, array_fill(%s::real, ARRAY[48])::halfvec(48) FROM imgsearch.image",
            (bad,),
        )


def test_the_net_catches_a_picture_written_without_the_trigger(connection: Connection, space: Space) -> None:
    connection.execute("SET session_replication_role = replica")
    insert(connection, 3)
    connection.execute("RESET session_replication_role")
    assert len(violations(connection)) == 3
    assert queue.enqueue_missing(connection) == 3
    assert violations(connection) == []
    assert len(claim(connection)) == 3


def test_the_same_bytes_are_known_to_their_tenant_only(connection: Connection, space: Space) -> None:
    insert(connection, 1, "acme")
    deliver(connection, space, claim(connection))
    digest = sha256(b"1").digest()
    found = queue.known(connection, space.space_id, [("acme", digest), ("other", digest)])
    assert list(found) == [("acme", digest)]


def test_a_picture_never_changes_its_tenant(connection: Connection, space: Space) -> None:
    insert(connection, 1)
    with pytest.raises(psycopg.Error, match="never changes"):
        connection.execute("UPDATE imgsearch.image SET tenant_id = 'other'")


@pytest.mark.parametrize("analyzed", [False, True], ids=["after a bulk load", "analyzed"])
def test_a_claim_reads_what_it_takes_by_the_index_however_many_wait(
    connection: Connection, space: Space, analyzed: bool
) -> None:
    connection.execute("ALTER TABLE imgsearch.job SET (autovacuum_enabled = false)")
    insert(connection, 20_000)
    if analyzed:
        connection.execute("ANALYZE imgsearch.job")
        connection.execute("ANALYZE imgsearch.image")
    values = {
        "worker": "w",
        "limit": 32,
        "few": 4,
        "lease_seconds": 15,
        "idle": True,
        "lost": queue.LOST,
        "spaces": [space.space_id],
    }
    found = connection.execute(SQL("EXPLAIN (COSTS OFF) ") + sql.statement("queue", "claim"), values)
    plan = "\n".join(row[0] for row in found)
    assert "Index Scan using job_pending on job" in plan, plan
    assert "Seq Scan on job" not in plan, plan
    assert "Seq Scan on image" not in plan, plan


def test_vectors_arrive_as_they_were_whatever_they_are_made_of(connection: Connection, space: Space) -> None:
    insert(connection, 3)
    chance = np.random.default_rng(3).normal(size=(3, space.dimension)).astype(np.float32)
    vectors = chance / np.linalg.norm(chance, axis=1, keepdims=True)
    given: list[Any] = [vectors[0], vectors[1].tolist(), vector_literal(vectors[2])]
    claims = sorted(claim(connection), key=lambda c: c.image_id)
    made = [Delivery(claim=c, sha256=c.sha256 or b"", embedding=v) for c, v in zip(claims, given, strict=True)]
    assert len(queue.deliver(connection, space.space_id, made)) == 3
    found = connection.execute("SELECT embedding::real[] FROM imgsearch.vectors ORDER BY image_id").fetchall()
    np.testing.assert_array_equal(np.array([row[0] for row in found], np.float16), vectors.astype(np.float16))


def test_pictures_that_go_are_looked_up_among_the_questions(connection: Connection, space: Space) -> None:
    """One by one in the key: 4,000 compared with all 60,000 that their tenant was asked take a minute, not a moment."""
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256)"
        " SELECT 'acme', 'p' || n, 'store:' || n, sha256(n::text::bytea) FROM generate_series(1, 4000) n"
    )
    connection.execute(
        "INSERT INTO imgsearch.query_vector (tenant_id, space_id, kind, key, error_code, answered_at)"
        " SELECT 'acme', 1, 'picture', sha256(n::text::bytea) || CASE WHEN n % 2 = 0 THEN '' ELSE 's1,1,9,9' END::bytea"
        ", 'x', now() FROM generate_series(1, 60000) n"
    )
    connection.execute("ANALYZE imgsearch.query_vector")
    connection.execute("SET statement_timeout = '15s'")
    connection.execute("DELETE FROM imgsearch.image")
    assert connection.execute("SELECT count(*) FROM imgsearch.query_vector").fetchone() == (56_000,)


def test_the_sweep_leaves_a_space_that_is_being_filled_to_whoever_fills_it(
    connection: Connection, space: Space
) -> None:
    """He goes at the pace of the workers: a million jobs at once would be in everybody's way."""
    connection.execute("INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'p', 'x:1')")
    other = add_another(connection)
    connection.execute("DELETE FROM imgsearch.job")
    for filled, wanted in ((None, [space.space_id]), ("now", [space.space_id, other])):
        connection.execute("UPDATE imgsearch.space SET filled_at = %s WHERE space_id = %s", (filled, other))
        connection.execute("SELECT imgsearch_internal.enqueue_missing()")
        rows = connection.execute("SELECT space_id FROM imgsearch.job ORDER BY 1").fetchall()
        assert [row[0] for row in rows] == wanted
