"""What a request may wait for: a query worker, and a picture from the web; with bounds, so that nothing else waits.

A thread that waits answers nobody. So at most a half of a server's threads wait for workers and a quarter for the web;
one more is told at once to come again. Searches whose words were asked before wait for nobody and need no turn.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from flask import g, has_request_context, request

from imgsearch.db import sql
from imgsearch.errors import Busy, NoQueryWorker, PictureError, QueryError, QueryTimeout
from imgsearch.http.identity import EVERYBODY, Identity
from imgsearch.http.sessions import Sessions
from imgsearch.query import Resolved
from imgsearch.query.resolution import Question, ask

if TYPE_CHECKING:
    from psycopg import Connection

THREADS = 32  # of `imgsearch serve`: most of them sleep
ASSUMED = 8  # threads of a server that is not ours
TIMEOUTS = 3  # in a row, after which workers count as away
PROBE = 5.0  # seconds between requests that may look whether they are back


class Turns:
    """`most` requests at once, three quarters of them of one asker."""

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self.of_one = max(1, self.most * 3 // 4)
        self._lock = Lock()
        self._of: Counter[str] = Counter()

    @contextmanager
    def turn(self, who: str) -> Iterator[None]:
        """Take a turn for as long as the block runs. Raises Busy."""
        with self._lock:
            if self._of.total() >= self.most or self._of[who] >= self.of_one:
                raise Busy
            self._of[who] += 1
        try:
            yield
        finally:
            with self._lock:
                self._of[who] -= 1
                if not self._of[who]:
                    del self._of[who]


class Breaker:
    """Notices that workers no longer answer; then one request at a time may try, every few seconds."""

    def __init__(self, timeouts: int = TIMEOUTS, probe: float = PROBE) -> None:
        self._timeouts, self._probe = timeouts, probe
        self._lock = Lock()
        self._in_a_row = 0
        self._next_probe = 0.0

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Run a wait for a worker. Raises NoQueryWorker at once where that would be in vain."""
        with self._lock:
            is_probe = self._in_a_row >= self._timeouts
            if is_probe and time.monotonic() < self._next_probe:
                raise NoQueryWorker
            if is_probe:
                self._next_probe = math.inf  # this one alone, until it is done
        in_vain: bool | None = None  # the database failed, say: nothing is known of workers
        try:
            yield
            in_vain = False
        except QueryTimeout:
            in_vain = True
            raise
        except (PictureError, QueryError):
            in_vain = False  # a refusal is an answer, too
            raise
        finally:
            self._ended(is_probe, in_vain)

    def _ended(self, is_probe: bool, in_vain: bool | None) -> None:
        with self._lock:
            if in_vain is not None:
                self._in_a_row = self._in_a_row + 1 if in_vain else 0
            if is_probe or self._in_a_row == self._timeouts:
                self._next_probe = time.monotonic() + self._probe


class Waiting:
    """The waits of one app. `threads`: of its server; `timeout` in seconds for a worker; `notify` wakes one."""

    def __init__(self, threads: int, sessions: Sessions, timeout: float, notify: Callable[[], object]) -> None:
        self.fetches = Turns(threads // 4)
        self.questions = Turns(threads // 2)
        self._breaker = Breaker()
        self._sessions, self._timeout, self._notify = sessions, timeout, notify

    def ask(self, question: Question, timeout: float | None = None) -> Resolved:
        """Have a query worker answer a question. Raises Busy, NoQueryWorker, QueryTimeout, QueryError, PictureError."""
        with self.questions.turn(asker()):
            if not self._sessions.ask(_is_anybody_there):
                raise NoQueryWorker
            with self._breaker.trying():
                return ask(question, self._timeout if timeout is None else timeout, self._notify)


def asker() -> str:
    """Return whom a request counts for: a key or a user, else an address."""
    found = g.get("imgsearch_identity")
    if isinstance(found, Identity) and found != EVERYBODY:
        return f"{found.tenant or ''}/{found.name}"
    return (request.remote_addr or "") if has_request_context() else ""


def _is_anybody_there(connection: Connection[object]) -> bool:
    return bool(sql.rows(connection, "http", "workers")[0]["queries"])
