"""`add()` tells the workers itself: at COMMIT, and not before; a broker that is away costs the caller nothing."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from imgsearch import Settings, add, db
from imgsearch.ingest import wakeup
from imgsearch.ingest.wakeup import QUEUES, notify_workers
from imgsearch.settings import load_settings
from imgsearch.spaces.space import Space
from tests.conftest import with_settings
from tests.processes import eventually
from tests.test_sqlalchemy import PICTURE

QUEUE = QUEUES["images"]


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    """The broker, with nothing in the queue of pictures before and after."""
    path = settings.redis_url.removeprefix("redis+socket://")
    client = redis.Redis(unix_socket_path=path)
    client.delete(QUEUE)
    yield client
    client.delete(QUEUE)


def told(broker: redis.Redis) -> int:
    return int(broker.llen(QUEUE))  # type: ignore[arg-type]


def nothing_comes(broker: redis.Redis) -> bool:
    time.sleep(0.3)
    return told(broker) == 0


def test_a_session_tells_at_commit_once(settings: Settings, space: Space, broker: redis.Redis) -> None:
    with Session(db.engine(settings)) as session:
        with session.begin_nested():
            add(session, PICTURE, product_id=1, settings=settings)
        add(session, PICTURE, product_id=2, settings=settings)
        assert nothing_comes(broker), "before COMMIT a worker would find nothing"
        session.commit()
        eventually(lambda: told(broker) == 1, what="a message")
        session.commit()
        assert told(broker) == 1


def test_a_scoped_session_tells_too(settings: Settings, space: Space, broker: redis.Redis) -> None:
    registry = scoped_session(sessionmaker(db.engine(settings)))
    add(registry, PICTURE, product_id=1, settings=settings)
    registry.commit()
    eventually(lambda: told(broker) == 1, what="a message")
    registry.remove()


def test_what_is_rolled_back_or_unchanged_tells_nobody(settings: Settings, space: Space, broker: redis.Redis) -> None:
    with Session(db.engine(settings)) as session:
        add(session, PICTURE, product_id=1, settings=settings)
        session.rollback()
    assert nothing_comes(broker)
    with db.connect(settings, autocommit=True) as connection:
        add(connection, PICTURE, product_id=1, settings=settings)
        eventually(lambda: told(broker) == 1, what="a message")
        assert add(connection, PICTURE, product_id=1, settings=settings).outcome == "unchanged"
    time.sleep(0.3)
    assert told(broker) == 1


def test_a_psycopg_transaction_is_told_by_notify(settings: Settings, space: Space, broker: redis.Redis) -> None:
    with db.connect(settings, autocommit=True) as listener, db.connect(settings) as caller:
        listener.execute("LISTEN imgsearch_image")
        add(caller, PICTURE, product_id=1, settings=settings)
        assert list(listener.notifies(timeout=0.3, stop_after=1)) == []
        caller.commit()
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
    assert told(broker) == 0


def test_a_broker_that_is_away_costs_the_caller_nothing(settings: Settings, space: Space) -> None:
    away = with_settings(settings, REDIS_URL="redis://127.0.0.1:1/0")
    assert notify_workers(away) is False
    with db.connect(settings, autocommit=True) as connection:
        began = time.monotonic()
        for number in range(10):
            add(connection, PICTURE, product_id=number, settings=away)
        assert time.monotonic() - began < 5
        assert _waiting(connection) == 10


def _waiting(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM imgsearch.job WHERE state = 'pending'").fetchone()
    return int(row[0]) if row else 0


def test_a_process_forked_while_a_message_is_under_way_sends_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server forks its workers whenever it likes; what the parent was doing must not silence the child."""
    going, go_on, sent = threading.Event(), threading.Event(), multiprocessing.get_context("fork").Event()

    def slow(settings: Settings, queue: str = "images") -> bool:
        going.set()
        return go_on.wait(20)

    monkeypatch.setattr(wakeup, "notify_workers", slow)
    wakeup._notify_soon(load_settings({}, environ={}))
    assert going.wait(20)

    def child() -> None:
        monkeypatch.setattr(wakeup, "notify_workers", lambda settings: sent.set())
        wakeup._notify_soon(load_settings({}, environ={}))
        sent.wait(20)

    forked = multiprocessing.get_context("fork").Process(target=child)
    forked.start()
    forked.join(30)
    go_on.set()
    assert sent.is_set()


AT_ONCE = """
import sys, threading, time
from imgsearch.ingest import wakeup
half_way, failed = threading.Event(), []
def slow_import(event, arguments):
    if event == "import" and arguments[0] == "celery.local":
        half_way.set()
        time.sleep(0.3)
sys.addaudithook(slow_import)
def send():
    try:
        wakeup._client("redis://127.0.0.1:1/0")
    except ImportError as error:
        failed.append(error)
first, second = threading.Thread(target=send), threading.Thread(target=send)
first.start()
assert half_way.wait(20)
second.start()
first.join(), second.join()
print(failed)
"""


def test_threads_that_send_their_first_message_at_once_all_find_celery() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
