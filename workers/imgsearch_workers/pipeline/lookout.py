"""A thread that looks after something while a worker runs: every so often, and when it is woken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import psycopg

from imgsearch.errors import ImgsearchError

log = logging.getLogger("imgsearch.worker")


class Lookout:
    """Calls `look` every `seconds`, and `rest` seconds after a wake; what fails is logged and comes again.

    failing: what the log says then, before the first line of the error. noted: is told of each failure, and with None
    of the first look that succeeds, and of that behind a failure.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], object],
        *,
        seconds: float,
        failing: str,
        rest: float = 0,
        noted: Callable[[Exception | None], object] = lambda _: None,
    ) -> None:
        self._look, self._seconds, self._failing, self._rest, self._noted = look, seconds, failing, rest, noted
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def wake(self) -> None:
        """Look soon; one look does for many wakes."""
        self._woken.set()

    def stop(self) -> None:
        """Look no more; a look that goes on is not waited for, and may ask is_stopping()."""
        self._stopping.set()
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait within a look; return at once, and True, when it is to stop."""
        return self._stopping.wait(seconds)

    def _run(self) -> None:
        failed = True  # or a process before this one did
        while not self._stopping.is_set():
            self._woken.wait(self._seconds)
            if self._stopping.wait(self._rest):
                return
            self._woken.clear()
            failed = self._looked_or_failed(failed)

    def _looked_or_failed(self, before: bool) -> bool:
        try:
            self._look()
        except (psycopg.Error, ImgsearchError) as error:
            log.warning("%s: %s", self._failing, str(error).partition("\n")[0])
            self._noted(error)
        except Exception as error:
            log.exception("%s: a bug", self._failing)
            self._noted(error)
        else:
            if before:
                self._noted(None)
            return False
        return True
