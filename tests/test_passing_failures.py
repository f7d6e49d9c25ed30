"""What may pass by itself is tried again for a day; what will not is set aside; a dead host holds up nobody else."""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from imgsearch_workers.pipeline.hosts import FAILURES, Hosts
from imgsearch_workers.pipeline.in_flight import Group
from imgsearch_workers.pipeline.prefetcher import Failed, Prefetcher

from bench.soak import pictures
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import StoreError
from imgsearch.ingest import queue, upload
from imgsearch.ingest.queue import Claim, Failure
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import FetchPolicy, open_store
from tests import loops
from tests.faulty_http import Asked, local, serving
from tests.processes import eventually

JPEG = pictures.draw(1, 0)
NUL = b"\x00\x01\x02\x03" * 100
ANSWERS: dict[str, tuple[int, str, bytes, tuple[str, bool]]] = {
    "html": (200, "text/html; charset=utf-8", b"<!doctype html><title>Log in</title>", ("text_answered", False)),
    "xml": (200, "application/xml", b'\xef\xbb\xbf<?xml version="1.0"?><Error/>', ("text_answered", False)),
    "json": (200, "application/json", b'{"error": "slow down"}', ("text_answered", False)),
    "untyped page": (200, "image/jpeg", b"\n <html></html>", ("text_answered", False)),
    "junk": (200, "text/html", NUL, ("not_a_picture", True)),
    "nothing": (200, "image/jpeg", b"", ("empty", True)),
    "drawing": (200, "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>', ("format_refused", True)),
    "500": (500, "", b"", ("fetch_failed", False)),
    "429": (429, "", b"", ("fetch_failed", False)),
    "403": (403, "", b"", ("fetch_failed", False)),
    "404": (404, "", b"", ("missing", False)),
    "410": (410, "", b"", ("missing", False)),
    "418": (418, "", b"", ("fetch_refused", True)),
}


def _claim(uri: str) -> Claim:
    return Claim(
        tenant_id="acme",
        image_id=1,
        space_id=1,
        token=uuid4(),
        attempts=1,
        uri=uri,
        sha256=None,
        queued=datetime.now(UTC),
    )


def _read(settings: Settings, policy: FetchPolicy, uri: str) -> Failed:
    prefetcher = Prefetcher(open_store(settings.storage_url), policy, {}, threads=1)
    prefetcher.submit([Group([_claim(uri)])])
    result = prefetcher.ready.get(timeout=30)
    prefetcher.close()
    assert isinstance(result, Failed)
    return result


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_no_picture_gets_its_own_reason(settings: Settings, name: str) -> None:
    status, kind, body, reason = ANSWERS[name]
    with serving(lambda asked: asked.answer(status, {"Content-Type": kind}, body)) as server:
        failed = _read_decoding(settings, local(server.port), f"http://pictures.test:{server.port}/a.jpg")
    assert (failed.code, failed.permanent) == reason
    if reason[0] == "text_answered":
        assert failed.message.startswith(f"The address answered {kind.partition(';')[0]}. ")


def _read_decoding(settings: Settings, policy: FetchPolicy, uri: str) -> Failed:
    from imgsearch_workers.decoding.decoder import DecodePool

    pool = DecodePool(1, FakeEncoder().size)
    try:
        prefetcher = Prefetcher(open_store(settings.storage_url), policy, {1: pool}, threads=1)
        prefetcher.submit([Group([_claim(uri)])])
        result = prefetcher.ready.get(timeout=30)
        prefetcher.close()
    finally:
        pool.close()
    assert isinstance(result, Failed)
    return result


def test_a_picture_whose_host_calls_it_a_page_is_taken(
    settings: Settings, connection: psycopg.Connection[Any], space: Space
) -> None:
    with (
        serving(lambda asked: asked.answer(200, {"Content-Type": "text/html"}, JPEG)) as server,
        loops.images(settings, FakeEncoder(), policy=local(server.port)),
    ):
        upload.add(connection, f"http://pictures.test:{server.port}/a.jpg", product_id="p")
        eventually(lambda: connection.execute("SELECT 1 FROM imgsearch.vectors").fetchone() == (1,), what="it")


def _truncated(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 x\r\nContent-Length: 1000\r\n\r\n" + JPEG[:100])


def test_what_never_arrives_is_a_passing_failure(settings: Settings) -> None:
    with serving(_truncated) as server:
        failed = _read(settings, local(server.port), f"http://pictures.test:{server.port}/a.jpg")
        assert (failed.code, failed.permanent) == ("fetch_failed", False)
        closed = server.port
    failed = _read(settings, local(closed), f"http://pictures.test:{closed}/a.jpg")
    assert (failed.code, failed.permanent) == ("fetch_failed", False)

    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    failed = _read(settings, FetchPolicy(resolve=unknown), "http://pictures.example/a.jpg")
    assert (failed.code, failed.permanent) == ("fetch_failed", False)


@pytest.mark.parametrize("code", [*queue.PASSING, "missing", "internal"])
def test_a_passing_failure_is_tried_for_a_day(connection: psycopg.Connection[Any], space: Space, code: str) -> None:
    """The clock is the column `due`: the sum of all pauses is what a picture waits before it is set aside."""
    upload.add(connection, "http://h.test/a.jpg", product_id="p")
    waited, pauses = 0.0, []
    for _ in range(200):
        connection.execute("UPDATE imgsearch.job SET due = now()")
        [claim] = queue.claim(connection, worker="w", limit=1, lease_seconds=60)
        states = queue.fail(connection, [Failure(claim=claim, code=code, message="x", permanent=False)], max_attempts=5)
        if states[claim.key] == "failed":
            break
        row = connection.execute("SELECT extract(epoch FROM due - now())::float8 FROM imgsearch.job").fetchone()
        assert row is not None
        pauses.append(row[0])
        waited += row[0]
    if code in queue.PASSING:
        assert 18 * 3600 < waited < 36 * 3600
        assert max(pauses) <= 1800
        assert pauses[0] < 2.1 < pauses[5]
    else:
        assert waited < 60


def test_a_worker_that_is_lost_does_not_end_a_day_of_tries(connection: psycopg.Connection[Any], space: Space) -> None:
    upload.add(connection, "http://h.test/a.jpg", product_id="p")
    connection.execute("UPDATE imgsearch.job SET attempts = 40, error_code = 'fetch_failed'")
    [_] = queue.claim(connection, worker="w", limit=1, lease_seconds=60)
    connection.execute("UPDATE imgsearch.job SET lease = now() - interval '1 second'")
    queue.rescue(connection, max_attempts=5)
    assert connection.execute("SELECT state, error_code FROM imgsearch.job").fetchall() == [("pending", queue.LOST)]


def test_a_dead_host_is_left_alone_told_once_and_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    hosts, error = Hosts(), StoreError("It is silent.", retry_after=1000)
    with caplog.at_level(logging.WARNING, "imgsearch.worker"):
        for _ in range(FAILURES - 1):
            hosts.failed("https://dead.test/a.jpg", error)
        assert hosts.resting("https://dead.test/b.jpg") is None, "a picture or two may be the host's only bad ones"
        hosts.failed("https://DEAD.test/b.jpg", error)
        assert hosts.resting("https://dead.test/c.jpg") is error
    assert hosts.resting("https://other.test/a.jpg") is None
    assert hosts.resting("store:aa/bb") is None
    assert len(caplog.records) == 1
    hosts.answered("https://dead.test/a.jpg")
    assert hosts.resting("https://dead.test/c.jpg") is None


def test_after_its_rest_one_picture_asks_for_all() -> None:
    hosts, error = Hosts(), StoreError("It is silent.", retry_after=1e-9)
    for _ in range(FAILURES):
        hosts.failed("https://dead.test/a.jpg", error)
    assert hosts.resting("https://dead.test/a.jpg") is None
    assert hosts.resting("https://dead.test/b.jpg") is error


def test_pictures_of_a_living_host_arrive_beside_many_of_a_dead_one(
    settings: Settings, connection: psycopg.Connection[Any], space: Space
) -> None:
    dead = socket.create_server(("127.0.0.1", 0))
    port = dead.getsockname()[1]
    dead.close()
    with serving(lambda asked: asked.answer(200, {}, pictures.draw(int(asked.path[1:]), 0))) as server:
        allowed = frozenset({f"pictures.test:{server.port}", f"pictures.test:{port}"})
        policy = local(server.port, allow_hosts=allowed)
        for n in range(40):
            upload.add(connection, f"http://pictures.test:{port}/{n}", product_id=f"dead{n}")
        for n in range(5):
            upload.add(connection, f"http://pictures.test:{server.port}/{n}", product_id=f"p{n}")
        with loops.images(settings, FakeEncoder(), policy=policy):
            eventually(
                lambda: connection.execute("SELECT count(*) FROM imgsearch.vectors").fetchone() == (5,), what="five"
            )
    assert connection.execute("SELECT count(*) FROM imgsearch.job WHERE state = 'failed'").fetchone() == (0,)
