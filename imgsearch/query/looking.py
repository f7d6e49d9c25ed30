"""Have a worker look again: ask where writes go, wait for as long as it may take, and never fail because of it.

Like a question (`imgsearch.query.asking`) it is asked on a connection of its own that commits at once, as one tenant.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.db.pooler import is_pooled, suit
from imgsearch.db.session import settle
from imgsearch.db.sqlstate import translated
from imgsearch.errors import DatabaseError, ReadOnlyDatabase
from imgsearch.query import cache
from imgsearch.query.asking import LOOK, LOOK_MOST, NET, may_carry
from imgsearch.settings import process_settings

log = logging.getLogger("imgsearch.query")
Row = dict[str, Any]
LATE = 0.25  # seconds that an asker waits longer than its worker may work: the answer has to arrive


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, and where: the caller's database, or `primary` (None: where this process's settings say)."""

    dsn: str
    password: str = field(repr=False)
    tenant: str = ""
    primary: str | None = None
    own: psycopg.Connection[Any] | None = field(default=None, repr=False, compare=False)

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend a connection to where it is written: the caller's own, where no second one like it can be had."""
        address = process_settings().primary_url if self.primary is None else self.primary
        options: dict[str, Any] = {"password": self.password} if self.password and not address else {}
        try:
            with translated():
                side = psycopg.connect(
                    address or self.dsn, autocommit=True, application_name="imgsearch look", **options
                )
        except DatabaseError:
            if address or not may_carry(self.own):
                raise
            yield self.own
            return
        with side, translated():
            suit(side)
            settle(side)
            yield side


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What came of it: a ticket and an answer, or a code that says why there is none."""

    ticket: str | None = None
    answer: Mapping[str, Any] | None = None
    code: str | None = None


def look(asker: Asker, asked: Mapping[str, Any], picture: bytes | None, seconds: float) -> Looked:
    """Ask for a second look and wait up to `seconds` for it; where it cannot be asked, the answer is a code."""
    try:
        with asker.connected() as side:
            if not sql.rows(side, "http", "workers")[0]["queries"]:
                return Looked(code="no_worker")
            return _waited(side, asker, {"asked": json.dumps(asked), "picture": picture, "seconds": seconds})
    except ReadOnlyDatabase:
        return Looked(code="nowhere")
    except (DatabaseError, psycopg.Error) as error:
        log.warning("a second look could not be asked: %s", str(error).partition("\n")[0])
        return Looked(code="not_asked")


def order_of(asker: Asker, ticket: str) -> Row | None:
    """Return an order that was found before, with its rows; None where it is not kept any more."""
    with asker.connected() as side:
        rows = _as_asker(side, asker, "order", {"ticket": ticket})
    return rows[0] if rows else None


def _waited(side: psycopg.Connection[Any], asker: Asker, values: Mapping[str, Any]) -> Looked:
    deaf, pause = side is asker.own or is_pooled(side), LOOK
    if not deaf:
        side.execute("LISTEN imgsearch_answer")
    deadline = time.monotonic() + values["seconds"] + LATE
    ticket: str | None = _as_asker(side, asker, "ask", values)[0]["ticket"]
    if ticket is None:
        return Looked(code="busy")
    while True:
        rows = _as_asker(side, asker, "look_up", {"ticket": ticket})
        if rows and rows[0]["answered"]:
            return Looked(ticket=ticket, answer=rows[0]["answer"])
        left = deadline - time.monotonic()
        if left <= 0 or not rows:
            return Looked(code="time_over")
        if deaf:
            time.sleep(min(left, pause))
            pause = min(LOOK_MOST, pause * 1.5)
            continue
        for heard in side.notifies(timeout=min(left, NET), stop_after=1):
            if heard.payload == ticket:
                break


def _as_asker(side: psycopg.Connection[Any], asker: Asker, name: str, values: Mapping[str, Any]) -> list[Row]:
    with side.pipeline():  # one trip and one transaction, which the tenant is set for
        cache.speak_for(side, asker.tenant)
        return list(sql.rows(side, "look", name, values))
