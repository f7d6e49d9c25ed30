"""Reads colours, time and place of pictures for shops that ask, beside the embedding and never in its way.

Pictures that are embedded are described from the pixels that were decoded for the model. Those of before are decoded
for it while the worker has nothing else to do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from typing import Any

import psycopg

from imgsearch.errors import ImgsearchError
from imgsearch.ingest import description
from imgsearch.ingest.description import Description, Key, Undescribed, Wish
from imgsearch.picture import DEFAULT_LIMITS, digest, palette
from imgsearch.settings import Settings
from imgsearch.storage import FetchPolicy, Store, read
from imgsearch_workers.decoding.decoder import Decoded, DecodePool
from imgsearch_workers.process.connect import connect

log = logging.getLogger("imgsearch.worker")
LOOK_SECONDS = 10.0  # after which a shop's wish is known
AGAIN_SECONDS = 600.0  # until pictures that could not be read are tried again
SOON_SECONDS = 60.0  # until those are that somebody held
MOST_WAITING = 256  # pictures whose pixels are held; of more the colours are read later
AT_ONCE = 32
_BEGIN: Key = ("", 0)


class Describer:
    """A thread with a connection of its own; where nobody asks, all it does is to look for wishes."""

    def __init__(self, settings: Settings, store: Store, policy: FetchPolicy, pool: DecodePool) -> None:
        self._settings, self._store, self._policy, self._pool = settings, store, policy, pool
        self._busy: Callable[[], bool] = bool
        self._wishes: Mapping[str, Wish] = {}
        self._inbox: Queue[tuple[Key, bytes, Decoded]] = Queue(MOST_WAITING)
        self._stopping = threading.Event()
        self._behind, self._rest_until, self._left = _BEGIN, 0.0, False
        self._thread = threading.Thread(target=self._run, name="describer", daemon=True)

    def start(self, busy: Callable[[], bool]) -> None:
        """Begin; while `busy` only what is embedded anyway is described."""
        self._busy = busy
        self._thread.start()

    def stop(self) -> None:
        """End after what is being written; what is left is read another time."""
        self._stopping.set()

    def wants(self, tenant: str) -> bool:
        """Return whether anything of a picture of this tenant is asked for."""
        return tenant in self._wishes

    def put(self, key: Key, sha256: bytes, decoded: Decoded) -> None:
        """Have a picture described that was just decoded; one too many is left for later."""
        if self.wants(key[0]):
            try:
                self._inbox.put_nowait((key, sha256, decoded))
            except Full:
                self._left = True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with connect(self._settings, "imgsearch describer") as connection:
                    while not self._stopping.is_set():
                        self._turn(connection)
            except (psycopg.Error, ImgsearchError) as error:
                log.warning("describing pictures comes again: %s", str(error).partition("\n")[0])
                self._stopping.wait(LOOK_SECONDS)
            except Exception:
                log.exception("a bug met the description of pictures")
                self._stopping.wait(LOOK_SECONDS)

    def _turn(self, connection: psycopg.Connection[Any]) -> None:
        before = self._wishes
        self._wishes = description.wishes(connection)
        if self._wishes != before:
            self._behind, self._rest_until = _BEGIN, 0.0
        deadline = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < deadline and not self._stopping.is_set():
            if made := self._decoded_ones():
                self._keep(connection, made)
            elif not self._wishes or self._busy() or not self._some_of_before(connection):
                self._stopping.wait(0.2 if self._wishes else LOOK_SECONDS)

    def _decoded_ones(self) -> list[Description]:
        made: list[Description] = []
        while len(made) < AT_ONCE:
            try:
                one = _described(*self._inbox.get_nowait())
            except Empty:
                break
            if one is not None:
                made.append(one)
        return made

    def _some_of_before(self, connection: psycopg.Connection[Any]) -> bool:
        """Describe a few pictures that were there before; return whether there may be more now."""
        if self._left:
            self._rest_until = min(self._rest_until, time.monotonic() + SOON_SECONDS)
        if time.monotonic() < self._rest_until:
            return False
        found = description.missing(connection, behind=self._behind, limit=AT_ONCE)
        if not found:
            rest, self._left = SOON_SECONDS if self._left else AGAIN_SECONDS, False
            self._behind, self._rest_until = _BEGIN, time.monotonic() + rest
            return False
        made = []
        for one in found:
            if self._stopping.is_set() or self._busy():
                break
            self._behind = (one.tenant_id, one.image_id)
            decoded = self._decode(one)
            if decoded is not None and (described := _described(self._behind, one.sha256, decoded)) is not None:
                made.append(described)
        if made:
            self._keep(connection, made)
        return True

    def _keep(self, connection: psycopg.Connection[Any], made: list[Description]) -> None:
        if description.store(connection, made) < len(made):  # replaced, or held by somebody just now
            self._left = True

    def _decode(self, one: Undescribed) -> Decoded | None:
        """Return the pixels of a picture in the store; None where they cannot be had: it has a vector all the same."""
        try:
            data = read(one.uri, self._store, self._policy, DEFAULT_LIMITS.max_bytes).data
            if digest(data) != one.sha256:
                return None
            return self._pool.decode(data)
        except ImgsearchError as error:
            log.info("image %s cannot be described: %s", one.image_id, error)
            return None


def _described(key: Key, sha256: bytes, decoded: Decoded) -> Description | None:
    """Return what is read of a picture; None where that meets a bug: its neighbours are described all the same."""
    try:
        attributes = palette.describe(decoded.pixels, decoded.width, decoded.height)
    except Exception:
        log.exception("a bug met the description of image %s of %s", key[1], key[0])
        return None
    return Description(key=key, sha256=sha256, attributes=attributes, capture=decoded.capture)
