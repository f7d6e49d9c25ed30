"""How long does the change of the searched space take at 200,000 pictures, and who waits? `python -m bench.activation`.

Two spaces whose vectors are given, both full and indexed. Two clients search and one changes prices while one space is
activated, set back and activated again; the wall time of each verb, the longest statement of a client while it ran and
in the same time before it, and the longest wait of a client for a lock on a table.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg

from bench.home import fresh_home
from bench.models import Seen, lock_watch
from imgsearch import ImageId, db, schema, search
from imgsearch.dev import embedded
from imgsearch.ingest import vectors
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings, load_settings

DIMENSION = 128
LOT = 5000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200_000)
    given = parser.parse_args()
    with fresh_home("activation-") as home:
        url = embedded.start(home, memory_mb=6144).database_url
        settings = load_settings({"DATABASE_URL": url}, environ={})
        schema.upgrade(settings)
        print(json.dumps(run(settings, given.pictures), indent=1))


def run(settings: Settings, many: int) -> dict[str, Any]:
    """Fill two spaces, change between them; return the figures."""
    with db.connect(settings, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri, price) SELECT 'acme', n, 'x:' || n, n %% 100"
            " FROM generate_series(1, %s) n",
            (many,),
        )
        figures: dict[str, Any] = {"pictures": many, "given per second": {}}
        for name in ("one", "two"):
            lifecycle.add_given(connection, name, DIMENSION)
            connection.execute("DROP INDEX IF EXISTS imgsearch.embedding_1_hnsw, imgsearch.embedding_2_hnsw")
            began = time.perf_counter()
            for first in range(1, many + 1, LOT):
                vectors.give_vectors(connection, name, _lot(name, first, min(LOT, many + 1 - first)))
            figures["given per second"][name] = round(many / (time.perf_counter() - began))
        for name in ("one", "two"):
            lifecycle.fill(settings, name, memory="2GB")
        lifecycle.activate(connection, "one")
        connection.execute("VACUUM ANALYZE imgsearch.image")
    seen, stop = Seen(), threading.Event()
    threads = [threading.Thread(target=_client, args=(settings, seen, stop, act)) for act in _acts(seen, many)]
    threads.append(threading.Thread(target=_watch, args=(settings, seen, stop)))
    for thread in threads:
        thread.start()
    try:
        with db.connect(settings, autocommit=True) as connection:
            verbs: list[tuple[str, Callable[[], Any]]] = [
                ("activate", lambda: lifecycle.activate(connection, "two")),
                ("rollback", lambda: lifecycle.rollback(connection)),
                ("activate again", lambda: lifecycle.activate(connection, "two")),
            ]
            for name, verb in verbs:
                seen.step = f"before {name}"
                time.sleep(5)
                seen.step, began = name, time.perf_counter()
                verb()
                figures[f"{name}, s"] = round(time.perf_counter() - began, 3)
                time.sleep(2)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    figures["longest statement, ms"] = {f"{at}: {kind}": round(max(t), 1) for (at, kind), t in seen.times.items()}
    figures["longest wait for a lock, ms"] = {at: round(1000 * s, 1) for at, s in seen.lock_wait.items()}
    return figures | {"statements": sum(map(len, seen.times.values())), "failed": seen.failed[:10]}


def _lot(name: str, first: int, many: int) -> list[vectors.GivenVector]:
    drawn = np.random.default_rng([len(name), ord(name[0]), first]).standard_normal((many, DIMENSION)).astype("f4")
    return [{"vector": one, "image_id": first + place} for place, one in enumerate(drawn)]


def _acts(seen: Seen, many: int) -> list[Callable[[psycopg.Connection[Any]], None]]:
    def searched(connection: psycopg.Connection[Any]) -> None:
        began = time.perf_counter()
        hits = search(connection, ImageId(random.randint(1, many)), tenant="acme")
        seen.took("search", (time.perf_counter() - began) * 1000)
        if len(hits) != 10:
            seen.failed.append(f"{seen.step}: a page of {len(hits)}")

    def priced(connection: psycopg.Connection[Any]) -> None:
        began = time.perf_counter()
        connection.execute(
            "UPDATE imgsearch.image SET price = price + 1 WHERE image_id = %s", (random.randint(1, many),)
        )
        seen.took("price update", (time.perf_counter() - began) * 1000)

    return [searched, searched, priced]


def _client(
    settings: Settings, seen: Seen, stop: threading.Event, act: Callable[[psycopg.Connection[Any]], None]
) -> None:
    with db.connect(settings, autocommit=True, application_name="client") as connection:
        while not stop.wait(0.02):
            try:
                act(connection)
            except Exception as error:  # noqa: BLE001 - every failure counts
                seen.failed.append(f"{seen.step}: {type(error).__name__}: {error}"[:300])


def _watch(settings: Settings, seen: Seen, stop: threading.Event) -> None:
    look = lock_watch(settings, seen)
    while not stop.wait(0.01):
        look()


if __name__ == "__main__":
    main()
