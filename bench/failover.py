"""`python -m bench.failover`: the primary dies under load, its standby is promoted: what is lost, and for how long?

A web process and a worker know both servers (`target_session_attrs=read-write`); the primary waits for its standby at
each commit (`synchronous_standby_names`). Customers search and upload all the time. What was answered must be there
afterwards, and embedded; processes come back by themselves, and what cannot be answered meanwhile is 503, never 500.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench import previous
from bench.home import fresh_home
from bench.rolling_web import Web
from bench.soak import pictures
from bench.standby import NAME, Standby, standby
from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FAKE
from imgsearch.ingest import queue, upload
from imgsearch.settings import Settings, load_settings

KINDS = ("known", "new", "upload")


@dataclass
class Seen:
    """When requests of each kind were answered, what was refused with which status, and which uploads were answered."""

    good: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    refused: Counter[str] = field(default_factory=Counter)
    kept: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the figures; return 1 where something was lost or a process ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15, help="of load before, and again after (default 15)")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--away", type=float, default=3, help="seconds until the standby is promoted (default 3)")
    given = parser.parse_args(arguments)
    figures = run(given.seconds, given.pictures, given.away)
    print(json.dumps(figures, indent=1))
    return int(bool(figures["lost"] or figures["not embedded"] or figures["ended"]))


def run(seconds: float, many: int, away: float, *, durable: bool = True) -> dict[str, Any]:
    """Run it; return the figures."""
    with fresh_home("failover-") as home:
        servers = embedded.start(home, memory_mb=1024, durable=durable)
        values = {"HOME": str(home), "STORAGE_URL": (home / "store").as_uri(), "MODEL": FAKE, "DECODERS": "1"}
        schema.upgrade(load_settings({**values, "DATABASE_URL": servers.database_url}, environ={}))
        with standby(servers.database_url) as second:
            with psycopg.connect(servers.database_url, autocommit=True) as primary:
                primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'".encode())
                primary.execute("SELECT pg_reload_conf()")
            known = {**values, "DATABASE_URL": second.either(servers.database_url)}
            return Run(home, load_settings(known, environ={}), second).play(seconds, many, away)


class Run:
    """One run over two servers of its own."""

    def __init__(self, home: Path, settings: Settings, second: Standby) -> None:
        self._home, self._settings, self._second = home, settings, second
        self._log = home / "failover.log"
        self._seen, self._stop = Seen(), threading.Event()
        self._threads: list[threading.Thread] = []

    def play(self, seconds: float, many: int, away: float) -> dict[str, Any]:
        """Fill, load, kill the primary, promote the standby, load, count."""
        environment = previous.environment(previous.ROOT, self._settings)
        with self._log.open("ab") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "imgsearch_workers", "--queue", "both"],
                cwd=previous.ROOT, env=environment, stdout=output, stderr=output,
            )  # fmt: skip
        web = Web(previous.ROOT, environment, self._log)
        try:
            self._fill(many)
            _until(lambda: web.get("/readyz") == 200, 60, "a web process that is ready")
            self._load(web, many)
            time.sleep(seconds)
            killed = time.monotonic()
            stop_at_once(self._home)
            time.sleep(away)
            self._second.promote()
            promoted = time.monotonic()
            time.sleep(seconds)
            self._stop.set()
            for thread in self._threads:
                thread.join(90)
            ended = [name for name, one in (("worker", worker), ("web", web.process)) if one.poll() is not None]
            return self._figures(killed, promoted) | {"ended": ended}
        finally:
            self._stop.set()
            for process in (web.process, worker):
                process.kill()
                process.wait(20)

    def _fill(self, many: int) -> None:
        store = upload.open_store(self._settings.storage_url)
        with db.connect(self._settings, autocommit=True) as connection:
            for number in range(many):
                upload.add(connection, pictures.draw(number), product_id=f"p{number}", tenant="acme", store=store)
            _until(lambda: queue.waiting(connection) == 0, 300, "an empty queue")

    def _load(self, web: Web, many: int) -> None:
        numbers, lock = iter(range(many, 10**9)), threading.Lock()

        def known() -> None:
            web.post("/v1/search", {"text": "shoe", "tenant": "acme"})

        def new() -> None:
            web.post("/v1/search", {"text": f"shoe {random.random()}", "tenant": "acme"})

        def added() -> None:
            with lock:
                number = next(numbers)
            web.upload(f"n{number}", "acme", pictures.draw(number))
            self._seen.kept.append(f"n{number}")

        for kind, act in zip(KINDS, (known, new, added), strict=True):
            for _ in range(2):
                thread = threading.Thread(target=self._customer, args=(kind, act), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _customer(self, kind: str, act: Callable[[], None]) -> None:
        while not self._stop.wait(0.1):
            try:
                act()
            except RuntimeError as error:  # an answer that is none of success
                status = re.match(r"\d+", str(error))
                code = re.search(r'"code": "(\w+)"', str(error))
                self._seen.refused[f"{status and status[0]} {code and code[1]}"] += 1
            except OSError as error:
                self._seen.refused[type(error).__name__] += 1
            else:
                self._seen.good[kind].append(time.monotonic())

    def _figures(self, killed: float, promoted: float) -> dict[str, Any]:
        with db.connect(self._settings, autocommit=True) as connection:
            _until(lambda: queue.waiting(connection) == 0, 120, "an empty queue")
            there = connection.execute("SELECT product_id FROM imgsearch.image").fetchall()
            ready = connection.execute(
                "SELECT product_id FROM imgsearch.image i JOIN imgsearch.vectors v USING (tenant_id, image_id)"
            ).fetchall()
        kept = set(self._seen.kept)
        back = {kind: [at - promoted for at in times if at > promoted] for kind, times in self._seen.good.items()}
        return {
            "uploads answered": len(kept),
            "lost": len(kept - {row[0] for row in there}),
            "not embedded": len({row[0] for row in there} - {row[0] for row in ready}),
            "answered": {kind: len(times) for kind, times in self._seen.good.items()},
            "refused": dict(self._seen.refused),
            "seconds without a primary": round(promoted - killed, 2),
            "seconds to work again": {kind: round(times[0], 2) if times else None for kind, times in back.items()},
        }


def stop_at_once(home: Path) -> None:
    """End the primary as a crash would: nobody is waited for."""
    from imgsearch.dev.embedded.postmaster import postmaster

    server = postmaster(home.absolute() / "postgres")
    assert server is not None
    server.kill()
    server.wait(30)


def _until(check: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds} s")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
