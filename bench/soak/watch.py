"""What the soak sees while it runs: how long leases of the dead live on, broken invariants, pictures to replace."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.soak import client, pictures
from bench.soak.fleet import Fleet
from imgsearch import db
from imgsearch.errors import DatabaseError
from imgsearch.ingest import upload
from imgsearch.settings import Settings

Connection = psycopg.Connection[Any]


class Watch:
    """A thread with a connection that comes back whenever the database does."""

    def __init__(self, settings: Settings, look: Callable[[Connection], None], every: float, name: str) -> None:
        self._settings, self._look, self._every = settings, look, every
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with db.connect(self._settings, autocommit=True) as connection:
                    while not self._closed.wait(self._every):
                        self._look(connection)
            except (psycopg.OperationalError, DatabaseError):
                self._closed.wait(0.2)


class Rescues:
    """How many seconds after the death of a worker each of its pictures was free again."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._seen = fleet, 0
        self._open: dict[str, float] = {}
        self.seconds: list[float] = []

    def __call__(self, connection: Connection) -> None:
        deaths = self._fleet.deaths[self._seen :]
        for death in deaths:
            rows = connection.execute(
                "SELECT token::text FROM imgsearch.job WHERE state = 'leased' AND worker = %s", (death.worker,)
            ).fetchall()
            self._open |= {row[0]: death.at for row in rows}
        self._seen += len(deaths)
        if not self._open:
            return
        rows = connection.execute(
            "SELECT token::text FROM imgsearch.job WHERE state = 'leased' AND token = ANY(%s::uuid[])",
            (list(self._open),),
        ).fetchall()
        for token in set(self._open) - {row[0] for row in rows}:
            self.seconds.append(time.monotonic() - self._open.pop(token))


class Violations:
    """Whatever imgsearch.violations ever showed."""

    def __init__(self) -> None:
        self.found: list[tuple[Any, ...]] = []
        self.looks = 0

    def __call__(self, connection: Connection) -> None:
        self.looks += 1
        self.found += connection.execute("SELECT * FROM imgsearch.violations LIMIT 100").fetchall()


class Replacer:
    """Replaces pictures at the moment a worker has them, and notes what was committed, as a client does."""

    def __init__(self, settings: Settings, notes: Path) -> None:
        self._settings, self._notes = settings, notes
        self._store = upload.open_store(settings.storage_url)
        self._done: set[int] = set()
        self.in_flight = 0

    def __call__(self, connection: Connection) -> None:
        rows = connection.execute(
            "SELECT i.product_id FROM imgsearch.job j JOIN imgsearch.image i USING (tenant_id, image_id)"
            " WHERE j.state = 'leased'"
        ).fetchall()
        for number in {int(row[0][1:]) for row in rows} - self._done:
            if pictures.is_replaced(number):
                self._replace(number)
                self.in_flight += 1

    def rest(self, count: int) -> None:
        """Replace the pictures that were never seen in work, so that all 5 % are."""
        for number in range(count):
            if pictures.is_replaced(number) and number not in self._done:
                self._replace(number)

    def _replace(self, number: int) -> None:
        data = pictures.draw(number, 1)
        image_id = client.add(self._settings, self._store, number, data)
        with self._notes.open("a") as file:
            file.write(f"{number} 1 {hashlib.sha256(data).hexdigest()} {image_id}\n")
        self._done.add(number)


@contextmanager
def running(*threads: Any) -> Iterator[None]:
    """Run threads that have `start` and `close` around a block."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.close()
