"""Have a query worker answer a question: ask where writes go, wait for the answer.

It is asked on a connection of its own, which commits at once. NOTIFY wakes whoever waits; through a pooler it reaches
nobody, and the answer is looked for. Whose question it is holds for one transaction at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeGuard

import psycopg

from imgsearch.db.pooler import is_pooled, suit
from imgsearch.db.session import settle
from imgsearch.db.sqlstate import translated
from imgsearch.errors import (
    DatabaseRights,
    DatabaseUnreachable,
    ImgsearchError,
    NoSpace,
    PictureError,
    QueryError,
    QueryTimeout,
    RegionError,
    SpaceChanged,
    StoreError,
)
from imgsearch.query import cache
from imgsearch.query.cache import Cached, Entry
from imgsearch.settings import process_settings
from imgsearch.spaces import space as spaces

NET = 0.5  # seconds after which an answer is looked for that nobody told of
UNREADABLE = "store_unavailable"  # what a worker answers that could not read a stored picture
LOOK, LOOK_MOST = 0.02, 0.2  # seconds between looks through a pooler: more and more

SECOND = (
    "A new question goes over a second connection, made from the address and password of yours, and that one failed. "
    "Set IMGSEARCH_PRIMARY_URL to an address that new connections can use, or ask on a connection in autocommit."
)

Notify = Callable[[], Any] | None


def answer(
    entry: Entry,
    dsn: str,
    password: str,
    *,
    tenant: str,
    space: int | None,
    searched: int,
    timeout: float,
    notify: Notify,
    primary: str | None,
    own: psycopg.Connection[Any] | None = None,
) -> Cached:
    """Return what a worker answered. `dsn`: the asker's database, where space number `searched` is searched.

    `primary`: where questions go instead; None: where this process's settings say, "" nowhere else. `own`: the asker's
    connection, which carries the question itself where no second one like it can be had and it is in autocommit.
    Raises QueryTimeout, QueryError, PictureError, NoSpace, SpaceChanged, ReadOnlyDatabase, DatabaseUnreachable,
    DatabaseRights.
    """
    address = process_settings().primary_url if primary is None else primary
    options: dict[str, Any] = {"password": password} if password and not address else {}
    end = time.monotonic() + timeout
    try:
        with (
            translated("IMGSEARCH_PRIMARY_URL" if address else "IMGSEARCH_DATABASE_URL"),
            psycopg.connect(address or dsn, autocommit=True, application_name="imgsearch query", **options) as side,
        ):
            suit(side)
            settle(side)
            found = _Wait(side, entry, tenant, space, notify).until(end, timeout)
    except (DatabaseUnreachable, DatabaseRights) as error:
        if address:
            raise
        if not may_carry(own):
            raise type(error)(f"{SECOND} {error}") from error
        with translated():
            found = _Wait(own, entry, tenant, space, notify, deaf=True).until(end, timeout)
    if found.embedding is None:
        raise _refusal(entry, found)
    if address and space is None and found.space_id != searched:
        raise SpaceChanged("The replica does not search the space yet that the primary does; ask again in a moment.")
    return found


def may_carry(own: psycopg.Connection[Any] | None) -> TypeGuard[psycopg.Connection[Any]]:
    """Return whether a question may be committed on the asker's connection: in autocommit, and in no transaction."""
    idle = psycopg.pq.TransactionStatus.IDLE
    return isinstance(own, psycopg.Connection) and own.autocommit and own.info.transaction_status == idle


class _Wait:
    """One question on one connection."""

    def __init__(
        self,
        side: psycopg.Connection[Any],
        entry: Entry,
        tenant: str,
        space: int | None,
        notify: Notify,
        *,
        deaf: bool = False,
    ) -> None:
        self.side, self.entry, self.tenant, self.space, self.notify = side, entry, tenant, space, notify
        self.deaf = deaf or is_pooled(side)  # it would hear what is its owner's, too
        self.pause = LOOK

    def until(self, deadline: float, timeout: float) -> Cached:
        if not self.deaf:
            self.side.execute("LISTEN imgsearch_answer")
        self._put()
        while True:
            found = self._look()
            if found is None:
                raise NoSpace
            if found.answered:
                return found
            if found.ticket is None:  # forgotten with an image of these bytes, or another space is searched now
                self._put()
            left = deadline - time.monotonic()
            if left <= 0:
                here = "" if self.space is None else f" --space {spaces.named(self.side, self.space).name}"
                raise QueryTimeout(
                    f"No worker embedded the query within {timeout:g} s. Is a query worker running? "
                    f"See `imgsearch status`; start one with `imgsearch worker --queue queries{here}`."
                )
            self._sleep(left, found.ticket)

    def _put(self) -> None:
        with self.side.pipeline():  # one trip and one transaction, which the tenant is set for
            cache.speak_for(self.side, self.tenant)
            self.entry = cache.ask(self.side, self.entry, self.space)
        if self.notify is not None:
            self.notify()

    def _look(self) -> Cached | None:
        with self.side.pipeline():
            cache.speak_for(self.side, self.tenant)
            return cache.look_up(self.side, self.entry, space=self.space)

    def _sleep(self, left: float, ticket: str | None) -> None:
        if self.deaf:
            time.sleep(min(left, self.pause))
            self.pause = min(LOOK_MOST, self.pause * 1.5)
            return
        for heard in self.side.notifies(timeout=min(left, NET), stop_after=1):
            if heard.payload == ticket:
                break


def _refusal(asked: Entry, found: Cached) -> ImgsearchError:
    message = found.error or "The query could not be embedded; try again in a minute."
    if found.error_code == "bad_region":
        return RegionError(message)
    if found.error_code == UNREADABLE:
        return StoreError(message)
    if asked.kind == "picture" and found.error_code:
        return PictureError(found.error_code, message)
    return QueryError(message)
