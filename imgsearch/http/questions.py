"""Texts that were searched for, kept to be suggested to others where the shop wants that; no answer waits for it.

Kept is the text of a first page that found something, of nobody whose key has filters: what stands in a browser would
let anyone write what all others are suggested. What one address asks again within the hour counts once, here.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import AbstractContextManager
from hashlib import blake2b
from threading import Lock
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.errors import ImgsearchError
from imgsearch.http.identity import Identity
from imgsearch.http.search_request import SearchRequest
from imgsearch.http.sessions import Sessions
from imgsearch.retrieval import Hits

log = logging.getLogger("imgsearch.http")
ONCE_IN = 3600.0  # seconds in which the same text from the same address counts once
ASK_AGAIN = 60.0  # seconds until a shop is asked again whether it keeps them
REMEMBERED = 4096
PATIENCE = 0.5  # seconds to wait for a connection that nobody needs; else the text is not kept


class Questions:
    """Which texts are due to be kept."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lock = Lock()
        self._noted: OrderedDict[Hashable, float] = OrderedDict()
        self._silent: OrderedDict[Hashable, float] = OrderedDict()

    def due(self, asked: SearchRequest, hits: Hits, me: Identity, address: str) -> tuple[str, str] | None:
        """Return the tenant and the text that a search leaves to be kept, None where it leaves none."""
        tenant, text = asked.filters.tenant, asked.text
        first = asked.after is None and asked.skip == 0
        alone = asked.examples == 0 and asked.picture_url is None and not asked.like and not asked.unlike
        if tenant is None or not text or not (first and alone) or not hits or hits.doubtful or me.limits is not None:
            return None
        who = blake2b(f"{tenant}\0{address}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            if _within(self._silent, tenant, ASK_AGAIN) or _within(self._noted, who, ONCE_IN):
                return None
            _remember(self._noted, who)
        return tenant, text

    def keep(self, tenant: str, text: str) -> None:
        """Keep a text where its shop does that; where that fails, the log says so and nobody else."""
        try:
            if self._keeps(tenant):
                with self._session(tenant, writes=True) as connection:
                    sql.run(connection, "http", "keep_question", {"words": text, "tenant": tenant})
        except (psycopg.Error, ImgsearchError) as error:
            log.warning("a question was not kept: %s", error)

    def _keeps(self, tenant: str) -> bool:
        with self._session(tenant, writes=False) as connection:
            found = bool(sql.value(connection, "http", "keeps_questions", {"tenant": tenant}))
        if not found:
            with self._lock:
                _remember(self._silent, tenant)
        return found

    def _session(self, tenant: str, *, writes: bool) -> AbstractContextManager[psycopg.Connection[Any]]:
        return self._sessions.session(tenant, writes=writes, patience=PATIENCE)


def _within(seen: OrderedDict[Hashable, float], what: Hashable, seconds: float) -> bool:
    return time.monotonic() - seen.get(what, -math.inf) < seconds


def _remember(seen: OrderedDict[Hashable, float], what: Hashable) -> None:
    seen[what] = time.monotonic()
    seen.move_to_end(what)
    while len(seen) > REMEMBERED:
        seen.popitem(last=False)
