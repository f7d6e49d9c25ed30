"""`python -m bench.models`: a model is changed, changed back and changed again under load, while workers are killed.

Servers, workers and clients of its own. Searches, price updates, uploads, replacements and deletions go on all the
time; every verb of `imgsearch space` is run beside them. What must hold: no search fails, no vector is lost or stale,
`imgsearch.violations` is empty after each step, and nobody waits long for a lock.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench.home import fresh_home
from bench.soak import pictures
from imgsearch import db, schema, search
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE, OTHER, OtherEncoder
from imgsearch.errors import SpaceNotFull
from imgsearch.ingest import queue, upload
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces import space

TENANT = "acme"
WAITS = """SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8, count(*)
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE NOT l.granted AND l.locktype = 'relation' AND a.application_name = 'client'"""


@dataclass
class Seen:
    """What the clients met, by step: milliseconds of each statement, and what failed."""

    step: str = "before"
    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    lock_wait: dict[str, float] = field(default_factory=dict)

    def took(self, kind: str, milliseconds: float) -> None:
        self.times.setdefault((self.step, kind), []).append(milliseconds)


class Fleet:
    """Worker processes by queue and space, each started again when it has died."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._environment = os.environ | settings.environment()
        self._log, self._lock = log, threading.Lock()
        self._running: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self.wanted: set[tuple[str, str]] = set()
        self.killed = 0

    def tend(self) -> None:
        with self._lock:
            for kind in list(self._running):
                if kind not in self.wanted or self._running[kind].poll() is not None:
                    gone = self._running.pop(kind)
                    gone.terminate()
                    gone.wait(20)
            for kind in self.wanted - self._running.keys():
                command = [sys.executable, "-m", "imgsearch_workers", "--queue", kind[0], "--space", kind[1]]
                with self._log.open("ab") as log:
                    self._running[kind] = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill_one(self) -> None:
        with self._lock:
            if there := [one for one in self._running.values() if one.poll() is None]:
                random.choice(there).kill()
                self.killed += 1

    def close(self) -> None:
        self.wanted = set()
        self.tend()


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=20, help="searches and price updates per second, each")
    parser.add_argument("--kill-every", type=float, default=5)
    parser.add_argument("--rest", type=float, default=10, help="seconds between two steps")
    given = parser.parse_args()
    print(json.dumps(run(given.pictures, given.rate, given.kill_every, given.rest), indent=1))


def run(many: int, rate: float, kill_every: float, rest: float) -> dict[str, Any]:
    """Run it; return the figures."""
    with fresh_home("models-") as home:
        servers = embedded.start(home)
        settings = load_settings(
            {
                "DATABASE_URL": servers.database_url,
                "HOME": str(home),
                "STORAGE_URL": (home / "pictures").as_uri(),
                "MODEL": f"{FAKE},{OTHER}",
                "LEASE_SECONDS": "5",
                "DECODERS": "1",
                "MAX_ATTEMPTS": "100",
            },
            environ={},
        )
        schema.upgrade(settings)
        fleet, seen, stop = Fleet(settings, home / "workers.log"), Seen(), threading.Event()
        try:
            return _steps(settings, fleet, seen, stop, many, rate, kill_every, rest)
        finally:
            stop.set()
            fleet.close()


def _steps(
    settings: Settings,
    fleet: Fleet,
    seen: Seen,
    stop: threading.Event,
    many: int,
    rate: float,
    kill_every: float,
    rest: float,
) -> dict[str, Any]:
    with db.connect(settings, autocommit=True) as connection:
        fleet.wanted = {("images", ""), ("queries", "")}
        _every(stop, 0.5, fleet.tend)
        store = upload.open_store(settings.storage_url)
        for number in range(many):
            upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant=TENANT, store=store)
        _until(lambda: queue.waiting(connection) == 0 and _held(connection, 1) == many)
        first = space.require(connection).name
        fleet.wanted = {("images", first), ("queries", first)}
        _clients(settings, seen, stop, many, rate)
        _every(stop, kill_every, fleet.kill_one)
        _every(stop, 0.01, lock_watch(settings, seen))
        figures: dict[str, Any] = {"pictures": many, "seconds": {}, "violations": {}}

        def step(name: str, verb: Callable[[], Any]) -> Any:
            seen.step, began = name, time.monotonic()
            done = verb()
            figures["seconds"][name] = round(time.monotonic() - began, 2)
            print(f"{name}: {figures['seconds'][name]} s", file=sys.stderr, flush=True)
            time.sleep(rest)
            figures["violations"][name] = len(connection.execute("SELECT * FROM imgsearch.violations").fetchall())
            return done

        step("nothing", lambda: time.sleep(rest))
        step("add", lambda: lifecycle.add(connection, OtherEncoder().describe(), name="new"))
        fleet.wanted |= {("images", "new"), ("queries", "new")}
        step("fill", lambda: lifecycle.fill(settings, "new"))
        step("activate", lambda: _patiently(lambda: lifecycle.activate(connection, "new")))
        step("rollback", lambda: _patiently(lambda: lifecycle.rollback(connection)))
        step("activate again", lambda: _patiently(lambda: lifecycle.activate(connection, "new")))
        fleet.wanted -= {("images", first), ("queries", first)}
        step("drop", lambda: lifecycle.drop(connection, first))
        seen.step = "after"
        stop.set()
        _until(lambda: queue.waiting(connection) == 0)
        figures["images"] = connection.execute("SELECT count(*) FROM imgsearch.image").fetchone()[0]  # type: ignore[index]
        figures["lost"] = figures["images"] - _held(connection, 2)
        stale = "SELECT count(*) FROM imgsearch.violations"
        figures["stale"] = connection.execute(stale).fetchone()[0]  # type: ignore[index]
        figures["killed"], figures["failed"] = fleet.killed, seen.failed[:20]
        figures["longest lock wait of a client, ms"] = {k: round(1000 * v, 1) for k, v in seen.lock_wait.items()}
        figures["times, ms"] = {
            f"{at}: {kind}": _of(times) for (at, kind), times in seen.times.items() if at not in ("before", "after")
        }
        return figures


def _of(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    spots = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    return (
        {"many": len(ordered)}
        | {k: round(ordered[int(v * (len(ordered) - 1))], 1) for k, v in spots.items()}
        | {"longest": round(ordered[-1], 1)}
    )


def _patiently(verb: Callable[[], Any]) -> Any:
    """Try again what is refused because something was just added and its worker just killed."""
    for _ in range(30):
        try:
            return verb()
        except SpaceNotFull as error:
            print(f"not yet: {error}", file=sys.stderr)
            time.sleep(1)
    return verb()


def _held(connection: psycopg.Connection[Any], space_id: int) -> int:
    found = sql_count(connection, space_id)
    return int(found["embedded"])


def sql_count(connection: psycopg.Connection[Any], space_id: int) -> dict[str, Any]:
    """Return how full a space is."""
    return next((dict(row) for row in lifecycle.listed(connection) if row["space_id"] == space_id), {"embedded": 0})


def _until(check: Callable[[], bool], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError("the queue did not become empty")
        time.sleep(0.3)


def _every(stop: threading.Event, seconds: float, act: Callable[[], Any]) -> None:
    def go_on() -> None:
        while not stop.wait(seconds):
            act()

    threading.Thread(target=go_on, daemon=True).start()


def lock_watch(settings: Settings, seen: Seen) -> Callable[[], None]:
    connection = db.connect(settings, autocommit=True, application_name="watch")

    def look() -> None:
        row = connection.execute(WAITS).fetchone()
        if row and row[1]:
            seen.lock_wait[seen.step] = max(seen.lock_wait.get(seen.step, 0.0), row[0])

    return look


def _clients(settings: Settings, seen: Seen, stop: threading.Event, many: int, rate: float) -> None:
    """Search, change prices, add, replace and delete, each on a connection of its own."""
    store = upload.open_store(settings.storage_url)
    numbers = iter(range(many, 10**9))

    def searched(connection: psycopg.Connection[Any]) -> None:
        began = time.perf_counter()
        hits = search(connection, f"shoe {random.randrange(300)}", tenant=TENANT, timeout=30)
        seen.took("search with its question", (time.perf_counter() - began) * 1000)
        seen.took("search", hits.took_ms)
        if len(hits) != 10:
            seen.failed.append(f"{seen.step}: a page of {len(hits)}")

    def priced(connection: psycopg.Connection[Any]) -> None:
        began = time.perf_counter()
        values = (random.random() * 100, f"p{random.randrange(many)}")
        connection.execute("UPDATE imgsearch.image SET price = %s WHERE product_id = %s", values)
        seen.took("price update", (time.perf_counter() - began) * 1000)

    def added(connection: psycopg.Connection[Any]) -> None:
        number = next(numbers)
        product = f"p{number}" if number % 3 else f"p{random.randrange(many // 2)}"  # every third replaces
        began = time.perf_counter()
        upload.add(connection, pictures.draw(number), product_id=product, tenant=TENANT, store=store)
        seen.took("upload", (time.perf_counter() - began) * 1000)
        if number % 5 == 0:
            connection.execute("DELETE FROM imgsearch.image WHERE product_id = %s", (f"p{number - 4}",))

    def run_client(act: Callable[[psycopg.Connection[Any]], None], per_second: float) -> None:
        connection = db.connect(settings, autocommit=True, application_name="client")
        due = time.monotonic()
        while True:
            due = max(due + random.expovariate(per_second), time.monotonic() - 1)  # a slow answer is caught up with
            if stop.wait(max(due - time.monotonic(), 0)):
                return
            try:
                act(connection)
            except Exception as error:  # noqa: BLE001 - every failure counts
                seen.failed.append(f"{seen.step}: {type(error).__name__}: {error}"[:300])

    for act, per_second in (*[(searched, rate / 4)] * 4, (priced, rate), (added, 2.0)):
        threading.Thread(target=run_client, args=(act, per_second), daemon=True).start()


if __name__ == "__main__":
    main()
