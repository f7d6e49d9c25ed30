"""No verb of a space makes a search or a price update wait for a lock: what they wait is read from pg_locks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from imgsearch import db, search
from imgsearch.ops import lifecycle, maintenance
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.loops import add_another
from tests.test_space_beside import an_image

Connection = psycopg.Connection[Any]
MANY, MOST = 20_000, 0.2  # images; seconds that a customer may wait for a lock
# How long each of ours waits by now: not the time of a statement, which says more of a busy machine.
WAITS = (
    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8 FROM pg_locks l"
    " JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted AND a.application_name = 'a customer'"
)
IMAGES = (
    "INSERT INTO imgsearch.image (tenant_id, product_id, category, price, uri, sha256)"
    " SELECT 'acme', 'p' || n, 'shoes', mod(n, 90), 'store:' || n, sha256(n::text::bytea) FROM generate_series(1, %s) n"
)
PRICE = "UPDATE imgsearch.image SET price = price + 1 WHERE product_id = 'p7'"


@pytest.fixture
def large(connection: Connection, space: Space, settings: Settings) -> Connection:
    """An active space of 20,000 images, and one beside it that has their vectors and is to be filled."""
    maintenance.drop(settings)  # a graph that grows row by row would take ten seconds here
    connection.execute(IMAGES, (MANY,))
    add_another(connection)
    for one in (b"1", b"2"):
        connection.execute(
            b"INSERT INTO imgsearch.embedding_" + one + b" SELECT i.image_id, i.tenant_id, i.sha256, v.v"
            b" FROM imgsearch.image i, LATERAL ("
            b"SELECT l2_normalize(array_agg(sin(i.image_id * g))::vector)::halfvec AS v"
            b" FROM generate_series(1, 48) g) v"
        )
    connection.execute(
        b"UPDATE imgsearch.image i SET bits_1 = imgsearch_internal.quantized(e.embedding, NULL, one.signs),"
        b" bits_2 = imgsearch_internal.quantized(e.embedding, NULL, two.signs)"
        b" FROM imgsearch.embedding_1 e, imgsearch.space one, imgsearch.space two"
        b" WHERE e.image_id = i.image_id AND one.space_id = 1 AND two.space_id = 2"
    )
    connection.execute(
        "CREATE INDEX embedding_1_hnsw ON imgsearch.embedding_1 USING hnsw (embedding halfvec_cosine_ops)"
        " WITH (m = 4, ef_construction = 8)"
    )
    connection.execute("DROP INDEX imgsearch.image_bits_price_1")  # for a verb to build
    connection.execute("DELETE FROM imgsearch.job")
    connection.execute("SELECT imgsearch.refresh_sample()")
    return connection


@contextmanager
def customers(settings: Settings) -> Iterator[list[float]]:
    """Search and write prices all the while; what it gives is the longest wait for a lock, and how much was done."""
    ended, longest, failed = threading.Event(), [0.0, 0.0, 0.0], []

    def work(place: int, once: Callable[[Connection], Any]) -> None:
        try:
            with db.connect(settings, autocommit=True) as shop:
                shop.execute("SET application_name = 'a customer'")
                while not ended.is_set():
                    once(shop)
                    longest[place] += 1
                    time.sleep(0.002)
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failed.append(error)

    def watch() -> None:
        with db.connect(settings, autocommit=True) as watching:
            while not ended.is_set():
                row = watching.execute(WAITS.encode()).fetchone()
                longest[0] = max(longest[0], row[0] if row else 0)
                time.sleep(0.004)

    with db.connect(settings, autocommit=True) as connection:
        image = an_image(connection)
    threads = [
        threading.Thread(target=work, args=(1, lambda shop: search(shop, image, k=5))),
        threading.Thread(target=work, args=(2, lambda shop: shop.execute(PRICE))),
        threading.Thread(target=watch),
    ]
    for thread in threads:
        thread.start()
    try:
        while not (longest[1] and longest[2]) and not failed:
            time.sleep(0.005)
        yield longest
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_no_verb_makes_a_customer_wait(large: Connection, settings: Settings) -> None:
    verbs: dict[str, Callable[[], Any]] = {
        "add": lambda: add_another(large, "third"),
        "fill": lambda: lifecycle.fill(settings, "other"),
        "index": lambda: maintenance.reindex(settings),
        "activate": lambda: lifecycle.activate(large, "other"),
        "rollback": lambda: lifecycle.rollback(large),
        "drop": lambda: lifecycle.drop(large, "third"),
    }
    waited = {}
    for name, verb in verbs.items():
        with customers(settings) as seen:
            verb()
        waited[name] = seen[0]
        assert min(seen[1:]) > 0, name
    assert {name: seconds for name, seconds in waited.items() if seconds > MOST} == {}, waited


def test_a_wait_is_seen(connection: Connection, space: Space, settings: Settings) -> None:
    connection.execute(IMAGES, (10,))
    connection.execute(
        "INSERT INTO imgsearch.embedding_1 SELECT i.image_id, i.tenant_id, i.sha256, s.mean FROM imgsearch.image i,"
        " (SELECT l2_normalize(array_fill(1, ARRAY[48])::vector)::halfvec AS mean) s"
    )
    with customers(settings) as seen, connection.transaction():
        connection.execute("LOCK TABLE imgsearch.image IN ACCESS EXCLUSIVE MODE")
        connection.execute("SELECT pg_sleep(%s)", (2 * MOST,))
    assert seen[0] > MOST
