"""`python -m bench.rolling`: the release before and this one side by side while the schema goes forward beneath them.

Two web processes and two workers, one of each release, on one database that the release before set up. Customers search
(known and new words), upload, change prices over HTTP, and the shop updates prices by SQL, all the time: while the
schema is upgraded, while both releases serve, and when the old one has gone. What must hold: no request fails, and none
waits long. With --rehearse the upgrade has one step more, over the table of images: a column, a batched backfill, an
index built CONCURRENTLY and a constraint that is validated, as the next release might.

A figure of milliseconds is worth what the machine was at rest; the count of failures is worth the same everywhere.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench import previous
from bench.home import fresh_home
from bench.rolling_web import Web
from bench.soak import pictures
from imgsearch import db
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from imgsearch.ingest import queue
from imgsearch.settings import Settings, load_settings

TENANT = "acme"
# A table of the shop's own, attached; without photos nothing of it is fetched, and its triggers run all the same.
SHOP = """CREATE SCHEMA shop; CREATE TABLE shop.product (id integer PRIMARY KEY, photo text, price double precision);
INSERT INTO shop.product SELECT n, NULL, 1 FROM generate_series(1, 200) n;
SELECT imgsearch.attach('shop.product', key => 'id', image => 'photo', price => 'price', tenant => $$'acme'$$)"""
PHASES = ("before", "upgrade", "both", "after")


@dataclass
class Seen:
    """What customers met: milliseconds of each request by phase and kind, and what failed."""

    phase: str = "warm"
    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def timed(self, kind: str, act: Callable[[], str | None]) -> None:
        """Do it and note how long it took; what it returns, or raises, is a failure."""
        phase, began = self.phase, time.perf_counter()
        try:
            wrong = act()
        except Exception as error:  # noqa: BLE001 - every failure counts
            wrong = f"{type(error).__name__}: {error}"
        self.times.setdefault((phase, kind), []).append((time.perf_counter() - began) * 1000)
        if wrong:
            self.failed.append(f"{phase}: {kind}: {wrong}"[:500])


class Release:
    """A web process and a worker of the code in one folder."""

    def __init__(self, root: Path, settings: Settings, log: Path) -> None:
        environment = previous.environment(root, settings)
        with log.open("ab") as output:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "imgsearch_workers", "--queue", "both"],
                cwd=root,
                env=environment,
                stdout=output,
                stderr=output,
            )
        self.web = Web(root, environment, log)

    def ready(self) -> None:
        """Wait until the worker has left its sign of life and the web process serves."""
        _until(lambda: self.web.get("/readyz") == 200, 60, "a web process that is ready")

    def ended(self) -> bool:
        """Whether one of them has ended by itself."""
        return self._worker.poll() is not None or self.web.process.poll() is not None

    def close(self) -> None:
        for process in (self.web.process, self._worker):
            process.terminate()
        for process in (self.web.process, self._worker):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the figures; return 1 where a request failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.rolling", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="all phases together (default 60)")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument(
        "--rate", type=float, default=5, help="requests of each kind per second and release (default 5)"
    )
    parser.add_argument("--rehearse", action="store_true", help="with a step over the table of images")
    given = parser.parse_args(arguments)
    try:
        figures = run(given.seconds, given.pictures, given.rate, rehearse=given.rehearse)
    except previous.NotThere as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(figures, indent=1))
    return int(figures["failures"] > 0)


def run(seconds: float, many: int, rate: float, *, rehearse: bool = False) -> dict[str, Any]:
    """Run it; return the figures. Raises NotThere without the release before."""
    with tempfile.TemporaryDirectory(prefix="rolling-") as folder, fresh_home("rolling-") as home:
        old_root = previous.checkout(Path(folder))
        servers = embedded.start(home)
        values = {"DATABASE_URL": servers.database_url, "HOME": str(home), "STORAGE_URL": (home / "store").as_uri()}
        settings = load_settings({**values, "MODEL": FAKE, "DECODERS": "1"}, environ={})
        return Run(old_root, settings, home / "rolling.log", many, rate, rehearse).play(seconds / len(PHASES))


class Run:
    """One run over a database of its own."""

    def __init__(self, old: Path, settings: Settings, log: Path, many: int, rate: float, rehearse: bool) -> None:
        self._old, self._settings, self._log = old, settings, log
        self._many, self._rate, self._rehearse = many, rate, rehearse
        self._seen, self._stop = Seen(), threading.Event()
        self._running: list[Release] = []
        self._threads: list[threading.Thread] = []

    def play(self, rest: float) -> dict[str, Any]:
        """Set up by the release before; then load, upgrade, both, the new one alone."""
        previous.command(self._old, self._settings, "db", "upgrade")
        try:
            old = self._start(self._old)
            self._fill(old.web)
            self._load()
            time.sleep(1)
            self._phase("before", rest)
            self._seen.phase, began = "upgrade", time.monotonic()
            said = self._upgrade()
            took = time.monotonic() - began
            time.sleep(max(rest - took, 1))
            self._seen.phase = "both"
            self._start(previous.ROOT)
            time.sleep(rest)
            died = old.ended()
            self._running.remove(old)  # customers are sent to the new one alone
            self._phase("after", 0.5)
            old.close()
            time.sleep(rest)
            self._end_load()
            return self._figures(took, said, died)
        finally:
            self._end_load()
            for release in self._running:
                release.close()

    def _start(self, root: Path) -> Release:
        release = Release(root, self._settings, self._log)
        try:
            release.ready()
        except BaseException:
            release.close()
            raise
        self._running.append(release)
        return release

    def _phase(self, name: str, rest: float) -> None:
        self._seen.phase = name
        time.sleep(rest)

    def _fill(self, web: Web) -> None:
        for number in range(self._many):  # by the release before: this one's statements need its own functions
            web.upload(f"p{number}", TENANT, pictures.draw(number))
        with db.connect(self._settings, autocommit=True) as connection:
            _until(lambda: queue.waiting(connection) == 0, 300, "an empty queue")
            connection.execute(SHOP)

    def _upgrade(self) -> list[str]:
        module = "bench.rolling_upgrade" if self._rehearse else "imgsearch"
        done = subprocess.run(
            [sys.executable, "-m", module, "db", "upgrade"],
            cwd=previous.ROOT,
            env=previous.environment(previous.ROOT, self._settings),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the upgrade failed: {done.stderr[-3000:]}")
        return done.stderr.splitlines()

    def _load(self) -> None:
        numbers, lock = iter(range(self._many, 10**9)), threading.Lock()

        def web() -> Web:
            return random.choice(self._running).web

        def searched() -> str | None:
            known = f"shoe {random.randrange(40)}" if random.random() < 0.8 else f"shoe {random.random()}"
            found = web().post("/v1/search", {"text": known, "tenant": TENANT, "k": 10})
            return None if len(found["rows"]) == 10 else f"a page of {len(found['rows'])}"

        def priced() -> None:
            product = f"p{random.randrange(self._many)}"
            web().patch(f"/v1/products/{product}?tenant={TENANT}", {"price": round(random.random() * 100, 2)})

        def added() -> None:
            with lock:
                number = next(numbers)
            web().upload(f"n{number}", TENANT, pictures.draw(number))

        shop = db.connect(self._settings, autocommit=True, application_name="shop")

        def written() -> None:
            values = (random.random() * 100, f"p{random.randrange(self._many)}")
            shop.execute("UPDATE imgsearch.image SET price = %s WHERE product_id = %s", values)

        own = db.connect(self._settings, autocommit=True, application_name="shop")

        def sold() -> None:
            values = (random.random(), random.randint(1, 200))
            own.execute("UPDATE shop.product SET price = %s WHERE id = %s", values)

        kinds = {"attached table": sold, "search": searched, "price": priced, "upload": added, "price by SQL": written}
        for kind, act in kinds.items():
            for _ in range(4 if kind == "search" else 1):
                rate = self._rate if kind != "upload" else self._rate / 3
                thread = threading.Thread(target=self._customer, args=(kind, act, rate), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _customer(self, kind: str, act: Callable[[], str | None], rate: float) -> None:
        while not self._stop.wait(random.expovariate(rate)):
            self._seen.timed(kind, act)

    def _end_load(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _figures(self, took: float, said: list[str], died: bool) -> dict[str, Any]:
        with db.connect(self._settings, autocommit=True) as connection:
            _until(lambda: queue.waiting(connection) == 0, 120, "an empty queue")
            lost = _count(connection, "SELECT count(*) FROM imgsearch.violations")
            images = _count(connection, "SELECT count(*) FROM imgsearch.image")
            ready = _count(connection, "SELECT count(*) FROM imgsearch.vectors")
        everything = [one for (phase, _), times in self._seen.times.items() if phase in PHASES for one in times]
        return {
            "upgrade, seconds": round(took, 2),
            "upgrade": said,
            "requests": len(everything),
            "failures": len(self._seen.failed) + died,
            "failed": self._seen.failed[:20],
            "longest, ms": round(max(everything), 1),
            "images": images,
            "embedded": ready,
            "violations": lost,
            "ms": {f"{p}: {k}": _of(t) for (p, k), t in sorted(self._seen.times.items()) if p in PHASES},
        }


def _count(connection: psycopg.Connection[Any], query: Any) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _of(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    spots = {"p50": 0.5, "p95": 0.95}
    return (
        {"many": len(ordered)}
        | {name: round(ordered[int(at * (len(ordered) - 1))], 1) for name, at in spots.items()}
        | {"longest": round(ordered[-1], 1)}
    )


def _until(check: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds} s")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
