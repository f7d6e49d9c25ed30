"""The workers of the soak: so many processes, each started again as soon as it is dead."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from imgsearch import db
from imgsearch.errors import DatabaseError
from imgsearch.settings import Settings

ROOT = Path(__file__).parents[2]


@dataclass(eq=False)
class Worker:
    """One process; `works` once it has left a sign of life."""

    process: subprocess.Popen[bytes]
    started: float
    works: bool = False
    asked: bool = False  # told to end by SIGTERM, so its exit is not a death

    @property
    def name(self) -> str:
        return f"images@{socket.gethostname()}:{self.process.pid}"


@dataclass
class Death:
    """A worker that was killed, or was killed by a picture; `held` are the tokens of the leases it left behind."""

    worker: str
    at: float
    held: set[str] = field(default_factory=set)


class Fleet:
    """Keeps `size` workers running; a thread of its own looks after them."""

    def __init__(self, settings: Settings, environment: dict[str, str], log: Path, size: int) -> None:
        self._settings, self._environment, self._log, self._size = settings, environment, log, size
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.workers: list[Worker] = []
        self.deaths: list[Death] = []
        self.started = self.unexpected = 0
        self._thread = threading.Thread(target=self._tend, name="fleet", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End all workers, the patient way."""
        self._closed.set()
        self._thread.join(10)
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            try:
                worker.process.wait(20)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def working(self) -> list[Worker]:
        """Return the workers that have left a sign of life and still run."""
        with self._lock:
            return [w for w in self.workers if w.works and not w.asked and w.process.poll() is None]

    def until_all_work(self, seconds: float = 120) -> None:
        """Wait until every worker works."""
        deadline = time.monotonic() + seconds
        while len(self.working()) < self._size:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a worker has not begun to work within {seconds:g} s")
            time.sleep(0.1)

    def kill_one(self) -> bool:
        """Kill -9 one that works, unless it is the only one; tell whether one was killed.

        On a laden machine a start takes longer than the time between two kills: then nobody would ever work, and
        nothing would be at risk.
        """
        if len(working := self.working()) < min(2, self._size):
            return False
        random.choice(working).process.send_signal(signal.SIGKILL)
        return True

    def _tend(self) -> None:
        while not self._closed.wait(0.05):
            with self._lock:
                for worker in [w for w in self.workers if w.process.poll() is not None]:
                    self.workers.remove(worker)
                    self._bury(worker)
                while len(self.workers) < self._size:
                    self.workers.append(self._spawn())
            self._look()

    def _bury(self, worker: Worker) -> None:
        if worker.process.returncode == -signal.SIGKILL:
            self.deaths.append(Death(worker.name, time.monotonic()))
        elif not worker.asked:
            self.unexpected += 1

    def _spawn(self) -> Worker:
        self.started += 1
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "imgsearch_workers", "--queue", "images", "--log-level", "WARNING"]
            process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, cwd=ROOT)
        return Worker(process, time.monotonic())

    def _look(self) -> None:
        """See who has begun to work."""
        new = [w for w in self.workers if not w.works]
        if not new:
            return
        try:
            with db.connect(self._settings, autocommit=True) as connection:
                seen = {row[0] for row in connection.execute("SELECT name FROM imgsearch.worker").fetchall()}
        except (psycopg.Error, DatabaseError):
            return
        for worker in new:
            worker.works = worker.name in seen


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a worker or client: one core each."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IMGSEARCH_")}
    ours = settings.environment()
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return kept | ours | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
