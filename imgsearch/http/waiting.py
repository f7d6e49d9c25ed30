"""What a request may wait for: a query worker, and a picture from the web; with bounds, so that nothing else waits.

A thread that waits answers nobody. So at most a half of a server's threads wait for workers and a quarter for the web;
one more is told at once to come again. Searches whose words were asked before wait for nobody and need no turn.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from flask import g, has_app_context, has_request_context, request

from imgsearch.db import sql
from imgsearch.errors import Busy, ImgsearchError, NoQueryWorker, PictureError, QueryError, QueryTimeout
from imgsearch.http.identity import EVERYBODY, Identity
from imgsearch.http.limiter import origin
from imgsearch.http.problem import code_of
from imgsearch.http.sessions import Sessions
from imgsearch.http.shares import share
from imgsearch.query import Resolved
from imgsearch.query.looking import Asker, Looked, look
from imgsearch.query.resolution import Question, ask

if TYPE_CHECKING:
    from psycopg import Connection

THREADS = 32  # of `imgsearch serve`: most of them sleep
ASSUMED = 8  # threads of a server that is not ours
TIMEOUTS = 3  # in a row, after which workers count as away
PROBE = 5.0  # seconds between requests that may look whether they are back; who looked last waits twice as long


class Turns:
    """`most` requests at once; of one key three quarters, and of one address behind it three quarters of those."""

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self._lock = Lock()
        self._taken = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def turn(self, who: Sequence[str]) -> Iterator[None]:
        """Take a turn for as long as the block runs; `who`: see `asker`. Raises Busy."""
        with self._lock:
            full = any(self._of[name] >= share(self.most, level) for level, name in enumerate(who, 1))
            if full or self._taken >= self.most:
                raise Busy
            self._taken += 1
            self._of.update(who)
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1
                self._of.subtract(who)
                self._of = +self._of


class Breaker:
    """Notices that workers no longer answer: to one asker, or to several and so to all; then few may try.

    One whose questions nobody can answer is refused alone; a wait in vain beside an answer says nothing of workers.
    """

    def __init__(self, timeouts: int = TIMEOUTS, probe: float = PROBE) -> None:
        self._timeouts, self._probe = timeouts, probe
        self._lock = Lock()
        self._answers = 0
        self._in_a_row = 0
        self._unanswered: set[str] = set()  # who waited in vain since the last answer
        self._next_probe = 0.0
        self._prober = ""

    @contextmanager
    def trying(self, who: str) -> Iterator[None]:
        """Run a wait for a worker. Raises NoQueryWorker at once where that would be in vain."""
        with self._lock:
            self._begin(who)
            answers = self._answers
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
            self._ended(who, answers, in_vain)

    def _begin(self, who: str) -> None:
        several = len(self._unanswered) > 1
        if self._in_a_row < self._timeouts or not (several or who in self._unanswered):
            return
        now = time.monotonic()
        # The next one need not wait until this one is done, and who looked last lets others go first.
        if now < self._next_probe + (self._probe if several and who == self._prober else 0.0):
            raise NoQueryWorker
        self._prober, self._next_probe = who, now + self._probe

    def _ended(self, who: str, answers: int, in_vain: bool | None) -> None:
        with self._lock:
            if in_vain is False:
                self._answers += 1
                self._in_a_row = 0
                self._unanswered.clear()
            elif in_vain and answers == self._answers:
                self._in_a_row += 1
                if self._in_a_row == self._timeouts or who not in self._unanswered:
                    self._next_probe = time.monotonic() + self._probe
                self._unanswered.add(who)


class Waiting:
    """The waits of one app. `threads`: of its server; `timeout` in seconds for a worker; `notify` wakes one.

    `waited` is told how each wait ended, and after how many seconds. `primary`: where questions go beside a replica.
    """

    def __init__(
        self,
        threads: int,
        sessions: Sessions,
        timeout: float,
        notify: Callable[[], object],
        waited: Callable[[str, float], object] = lambda outcome, seconds: None,
        primary: str = "",
    ) -> None:
        self.fetches = Turns(threads // 4)
        self.questions = Turns(threads // 2)
        self._breaker = Breaker()
        self._primary = primary
        self._sessions, self._timeout, self._notify, self._waited = sessions, timeout, notify, waited

    def ask(self, question: Question, timeout: float | None = None) -> Resolved:
        """Have a query worker answer a question. Raises Busy, NoQueryWorker, QueryTimeout, QueryError, PictureError."""
        with self._timed(), self.questions.turn(asker()):
            if not self._sessions.ask(_is_anybody_there):
                raise NoQueryWorker
            with self._breaker.trying(_tenant() or asker()[0]):
                return ask(question, self._timeout if timeout is None else timeout, self._notify, self._primary)

    def look(self, asker_: Asker, asked: Mapping[str, Any], picture: bytes | None, seconds: float) -> Looked:
        """Have a worker look again at the first of an answer. Raises Busy."""
        with self.questions.turn(asker()):
            return look(self.beside(asker_), asked, picture, seconds)

    def beside(self, asker_: Asker) -> Asker:
        """Return the same asker, who asks where questions go."""
        return replace(asker_, primary=self._primary)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began, outcome = time.perf_counter(), "error"
        try:
            yield
            outcome = "answered"
        except ImgsearchError as error:
            outcome = code_of(error)
            raise
        finally:
            self._waited(outcome, time.perf_counter() - began)


def asker() -> tuple[str, ...]:
    """Return whom a request counts for: a key or a user, else an address; "" outside of requests.

    Behind a key that stands in a browser each address counts as well: one visitor must not lock out the others.
    """
    identity = g.get("imgsearch_identity") if has_app_context() else None
    address = origin(request.remote_addr or "") if has_request_context() else ""
    if not isinstance(identity, Identity) or identity == EVERYBODY:
        return (address,)
    name = f"{identity.tenant or ''}/{identity.name}"
    return (name,) if identity.limits is None else (name, f"{name}/{address}")


def _tenant() -> str | None:
    found = g.get("imgsearch_identity")
    return found.tenant if isinstance(found, Identity) else None


def _is_anybody_there(connection: Connection[object]) -> bool:
    return bool(sql.rows(connection, "http", "workers")[0]["queries"])
