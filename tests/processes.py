"""Real worker processes for tests, and waiting for what they do."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from imgsearch import db
from imgsearch.settings import Settings


def eventually(check: Callable[[], Any], seconds: float = 120, what: str = "it") -> Any:
    """Return the first true value of `check`, asked every 20 ms; fail after `seconds`: many, for a busy machine."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return found


class WorkerProcess:
    """`imgsearch worker` as a subprocess; ready when it has left its sign of life."""

    def __init__(
        self, settings: Settings, environment: dict[str, str], log: Path, queue: str = "both", *options: str
    ) -> None:
        self.settings, self.log, self.queue = settings, log, queue
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "imgsearch_workers", "--queue", queue, *options],
                env=environment,
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parent.parent,
            )

    def __enter__(self) -> WorkerProcess:
        self.ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def ready(self, seconds: float = 120) -> None:
        """Wait until the worker works."""
        with db.connect(self.settings, autocommit=True) as connection:

            def seen() -> bool:
                assert self.process.poll() is None, f"the worker ended: {self.log.read_text()[-3000:]}"
                found = connection.execute("SELECT count(*) FROM imgsearch.worker WHERE pid = %s", (self.process.pid,))
                return bool(found.fetchone()[0] >= (2 if self.queue == "both" else 1))  # type: ignore[index]

            eventually(seen, seconds, "the worker's sign of life")

    def end(self, how: int = signal.SIGTERM, seconds: float = 60) -> int:
        """Send a signal and wait; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(seconds)
