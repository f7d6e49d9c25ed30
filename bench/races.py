"""Forces the races a queue can lose: a picture is replaced, deleted or taken over while its vector is being written.

    python -m bench.races                  2,000 races, in one of 20 of them a connection is cut off in the middle
    python -m bench.races --count 100      a short look

Two connections meet at a barrier, so that both sides of every race run at the same moment, in either order, and with
either side's transaction still open while the other begins.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console

from imgsearch import db, schema
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.errors import DatabaseUnreachable
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Claim, Delivery
from imgsearch.settings import Settings, load_settings
from imgsearch.spaces import space

Connection = psycopg.Connection[Any]
OLD, NEW = [1.0] + [0.0] * 47, [0.0, 1.0] + [0.0] * 46
GONE = """SELECT EXISTS (SELECT 1 FROM imgsearch.image)
    OR NOT EXISTS (SELECT 1 FROM imgsearch.vectors) AND NOT EXISTS (SELECT 1 FROM imgsearch.job)"""


class Races:
    """Runs races one after the other on one database; `wrong` says what went wrong in which."""

    def __init__(self, settings: Settings, seed: int = 1, broken: float = 0.05) -> None:
        self._settings, self._broken = settings, broken
        self._chance = random.Random(seed)
        self._number = 0
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        with db.connect(settings, autocommit=True) as connection:
            self._space = space.ensure(connection, FakeEncoder().describe()).space_id

    def run(self, count: int) -> None:
        """Run so many races, of every kind in turn."""
        kinds = [self._replaced, self._replaced_slowly, self._delivered_slowly, self._deleted, self._taken_over]
        one, other = self._connect(), self._connect()
        with db.connect(self._settings, autocommit=True) as judge:
            for n in range(count):
                one, other = (c if _lives(c) else self._connect() for c in (one, other))
                self._number = n
                kind = kinds[n % len(kinds)]
                outcome = kind(judge, one, other)
                self.outcomes[f"{kind.__name__[1:]}: {outcome}"] += 1
                if violations := judge.execute("SELECT * FROM imgsearch.violations").fetchall():
                    self.wrong.append(f"race {n}, {kind.__name__}: {violations}")
                judge.execute("DELETE FROM imgsearch.image")

    def _connect(self) -> Connection:
        return db.connect(self._settings, options="-c lock_timeout=5s")

    def _replaced(self, judge: Connection, one: Connection, other: Connection) -> str:
        claim = self._claim(judge)
        delivered = self._race(judge, one, lambda: self._deliver(one, claim), other, lambda: _replace(other))
        return self._must_wait(judge, delivered)

    def _replaced_slowly(self, judge: Connection, one: Connection, other: Connection) -> str:
        """The shop's transaction holds the row while the delivery runs: it must neither wait nor write."""
        claim = self._claim(judge)
        _replace(other, commit=False)
        delivered = self._race(judge, one, lambda: self._deliver(one, claim), other, lambda: _commit(other))
        return self._must_wait(judge, delivered)

    def _delivered_slowly(self, judge: Connection, one: Connection, other: Connection) -> str:
        """The delivery has written and not committed while the shop replaces the picture."""
        claim = self._claim(judge)
        delivered = self._deliver(one, claim, commit=False)
        self._race(judge, one, lambda: _commit(one), other, lambda: _replace(other))
        return self._must_wait(judge, delivered)

    def _deleted(self, judge: Connection, one: Connection, other: Connection) -> str:
        claim = self._claim(judge)

        def delete() -> None:
            other.execute("DELETE FROM imgsearch.image")
            other.commit()

        delivered = self._race(judge, one, lambda: self._deliver(one, claim), other, delete)
        if not _one(judge, GONE):
            self.wrong.append(f"race {self._number}: something of a deleted picture is left")
        return "delivered first" if delivered else "deleted first"

    def _taken_over(self, judge: Connection, one: Connection, other: Connection) -> str:
        """The lease ran out: the late worker and its successor deliver different vectors at once."""
        late = self._claim(judge, lease_seconds=0)
        queue.rescue(judge, max_attempts=9)
        [mine] = queue.claim(judge, worker="successor", limit=1, lease_seconds=60)
        self._race(judge, one, lambda: self._deliver(one, late), other, lambda: self._deliver(other, mine, NEW))
        found = _one(judge, "SELECT embedding::text FROM imgsearch.vectors")
        if found is not None and not found.startswith("[0,1,"):
            self.wrong.append(f"race {self._number}: the late worker's vector was written")
        return "the successor's vector" if found else "cut off"

    def _race(
        self,
        judge: Connection,
        one: Connection,
        left: Callable[[], Any],
        other: Connection,
        right: Callable[[], Any],
    ) -> bool:
        """Run both at once, one a little ahead; perhaps cut a connection off. Answer what `left` answered."""
        barrier = threading.Barrier(2)
        ahead = self._chance.uniform(-0.002, 0.002)
        answers: dict[str, Any] = {}

        def run(name: str, act: Callable[[], Any], delay: float, connection: Connection) -> None:
            barrier.wait(10)
            time.sleep(max(0.0, delay))
            try:
                answers[name] = act()
            except (psycopg.OperationalError, DatabaseUnreachable) as error:
                answers[name] = None
                if not isinstance(error, psycopg.errors.AdminShutdown) and not connection.closed:
                    self.wrong.append(f"race {self._number}: {type(error).__name__}: {error}")
                    connection.rollback()

        threads = [
            threading.Thread(target=run, args=("left", left, ahead, one)),
            threading.Thread(target=run, args=("right", right, -ahead, other)),
        ]
        for thread in threads:
            thread.start()
        if self._chance.random() < self._broken:
            time.sleep(self._chance.uniform(0, 0.003))
            victim = self._chance.choice((one, other))
            judge.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
        for thread in threads:
            thread.join(30)
        return bool(answers.get("left"))

    def _claim(self, judge: Connection, lease_seconds: float = 60) -> Claim:
        judge.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256) VALUES ('t', 'p', 'store:old', %s)",
            (sha256(b"old").digest(),),
        )
        [claim] = queue.claim(judge, worker="w", limit=1, lease_seconds=lease_seconds)
        return claim

    def _deliver(self, connection: Connection, claim: Claim, vector: list[float] = OLD, *, commit: bool = True) -> bool:
        delivery = Delivery(claim=claim, sha256=sha256(b"old").digest(), embedding=vector)
        written = queue.deliver(connection, self._space, [delivery])
        if commit:
            connection.commit()
        return bool(written)

    def _must_wait(self, judge: Connection, delivered: bool) -> str:
        """After a replacement nothing of the old bytes may answer; without one (it was cut off) anything is right."""
        if _one(judge, "SELECT sha256 FROM imgsearch.image") != sha256(b"new").digest():
            return "replacement cut off"
        if _one(judge, "SELECT count(*) FROM imgsearch.vectors"):
            self.wrong.append(f"race {self._number}: the old vector answers for the new picture")
        if _one(judge, "SELECT state || attempts FROM imgsearch.job") != "pending0":
            self.wrong.append(f"race {self._number}: the new picture does not wait")
        return "delivered first" if delivered else "replaced first"


def _replace(connection: Connection, *, commit: bool = True) -> bool:
    connection.execute("UPDATE imgsearch.image SET uri = 'store:new', sha256 = %s", (sha256(b"new").digest(),))
    return _commit(connection) if commit else True


def _commit(connection: Connection) -> bool:
    connection.commit()
    return True


def _one(connection: Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _lives(connection: Connection) -> bool:
    """Return whether a connection still works: one that was cut off while idle learns it only when it is used."""
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.OperationalError:
        connection.close()
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    """Run the races on a server of their own; answer 1 when one was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.races", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broken", type=float, default=0.05, help="share of races in which a connection is cut off")
    given = parser.parse_args(arguments)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="race-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        try:
            settings = load_settings({"DATABASE_URL": embedded.start(home, memory_mb=512).database_url}, environ={})
            schema.upgrade(settings)
            races = Races(settings, given.seed, given.broken)
            began = time.monotonic()
            races.run(given.count)
        finally:
            embedded.stop(home)
    for outcome, count in sorted(races.outcomes.items()):
        console.print(f"{count:>6,}  {outcome}", highlight=False)
    console.print(f"{given.count:,} races in {time.monotonic() - began:.0f} s, {len(races.wrong)} stale or lost")
    for line in races.wrong[:20]:
        console.print(f"[red]{line}[/]")
    return 1 if races.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
