"""What the soak does to the servers: Redis flushed and killed, Postgres restarted the way a crash does it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from redis import Redis
from redis.exceptions import RedisError

from imgsearch.dev import embedded
from imgsearch.dev.embedded.postmaster import postmaster


class Every:
    """Does something every so many seconds until closed; `done` counts how often it was possible."""

    def __init__(self, seconds: float, act: Callable[[], bool], name: str) -> None:
        self._seconds, self._act = seconds, act
        self._closed = threading.Event()
        self.done = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop, after what is being done."""
        self._closed.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            while not self._closed.is_set():
                if self._act():
                    self.done += 1
                    break
                self._closed.wait(0.1)


class Servers:
    """The two servers of one home, and the harm that comes to them. One thing at a time."""

    def __init__(self, home: Path, memory_mb: int) -> None:
        self._home, self._memory_mb = home, memory_mb
        self._lock = threading.Lock()
        self.outages: list[tuple[float, float]] = []  # of Postgres, in time.monotonic()

    def start(self) -> embedded.Servers:
        """Start what is not running."""
        return embedded.start(self._home, memory_mb=self._memory_mb)

    def kill_redis(self) -> bool:
        """Forget every message, kill -9 the server, start an empty one."""
        with self._lock:
            self.stop_redis()
            self.start()
            return True

    def stop_redis(self) -> None:
        """Flush and kill -9; it stays dead."""
        for process in _processes("redis-server", self._home):
            try:
                with Redis(unix_socket_path=_unix_socket(process), socket_timeout=1) as client:
                    client.flushall()
            except RedisError:
                pass  # then the kill alone must do
            process.kill()
            process.wait(5)

    def restart_postgres(self) -> bool:
        """Stop it as `pg_ctl stop -m immediate` does: no checkpoint, every session cut off; then recover."""
        with self._lock:
            server = postmaster(self._home.absolute() / "postgres")
            if server is None:
                return False
            began = time.monotonic()
            server.send_signal(signal.SIGQUIT)
            server.wait(30)
            self.start()
            self.outages.append((began, time.monotonic()))
            return True


def _processes(name: str, home: Path) -> list[psutil.Process]:
    """Return the servers of this name that live below `home`, and no others."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith(name) and str(home.absolute()) in process.cwd():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _unix_socket(process: psutil.Process) -> str:
    return next(c.laddr for c in process.net_connections("unix") if str(c.laddr).endswith("redis.sock"))
