"""Finds the parts of pictures for shops that ask, and embeds them, beside the pictures and never in their way.

A picture is looked at when it has its vector: soon after that was delivered here, or when nobody has come to it yet.
One picture at a time is taken; a process that is killed with it loses nothing, and it is looked at again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg

from imgsearch.errors import ImgsearchError
from imgsearch.ingest import queue, regions
from imgsearch.ingest.regions import Key
from imgsearch.settings import Settings
from imgsearch_workers.pipeline.batch import DeviceLost
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.pipeline.parts import CannotLook, Looker
from imgsearch_workers.pipeline.throttle import Throttle
from imgsearch_workers.process.connect import connect

log = logging.getLogger("imgsearch.worker")
LOOK_SECONDS = 5.0  # after which a shop's wish is known
AGAIN_SECONDS = 600.0  # until pictures that nobody told us of are looked for from the first
BUSY_SHARE = 0.1  # of its time while pictures or questions wait
LEASES = 2.0  # a picture is ours for so many leases of the queue: it may wait for a detector
AT_ONCE = 32
MOST_FRESH = 10_000  # pictures just delivered; of more the rest is found from the first
_BEGIN: Key = ("", 0)


class RegionFiller:
    """A thread with a connection of its own; where no shop asks, all it does is to look for wishes."""

    def __init__(
        self, settings: Settings, looker: Looker, embedders: Sequence[Embedder], on_device_lost: Callable[[], None]
    ) -> None:
        self._settings, self._looker, self._embedders = settings, looker, embedders
        self._on_device_lost = on_device_lost
        self._held: Callable[[], bool] = bool
        self._wishes: Mapping[str, str | None] = {}
        self._fresh: dict[int, deque[Key]] = {one.space_id: deque(maxlen=MOST_FRESH) for one in embedders}
        self._behind = {one.space_id: (_BEGIN, 0.0) for one in embedders}  # and when to begin again
        self._throttle = Throttle(time.monotonic(), BUSY_SHARE)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="regions", daemon=True)

    def start(self, busy: Callable[[], bool]) -> None:
        """Begin; while `busy`, or while questions wait, only a small part of the time is used."""
        self._held = busy
        self._thread.start()

    def stop(self) -> None:
        """End after the picture that is being looked at; what is left is looked at another time."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait until it has ended."""
        self._thread.join(seconds)

    def note(self, delivered: Iterable[queue.Key]) -> None:
        """Look soon at pictures that have just got their vector."""
        for tenant, image, space_id in delivered:
            if self._wishes.get(tenant) and space_id in self._fresh:
                self._fresh[space_id].append((tenant, image))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with connect(self._settings, "imgsearch regions") as connection:
                    while not self._stopping.is_set():
                        self._turn(connection)
            except DeviceLost as error:
                log.critical("the device is lost to this process: %s", error)
                self._on_device_lost()
                return
            except (psycopg.Error, ImgsearchError) as error:
                log.warning("parts of pictures come again: %s", str(error).partition("\n")[0])
                self._begin_again()
            except Exception:
                log.exception("a bug met the parts of pictures")
                self._begin_again()
        self._looker.close()

    def _begin_again(self) -> None:
        self._behind = dict.fromkeys(self._behind, (_BEGIN, 0.0))
        self._stopping.wait(LOOK_SECONDS)

    def _turn(self, connection: psycopg.Connection[Any]) -> None:
        before, self._wishes = self._wishes, regions.wishes(connection)
        if self._wishes != before:
            self._behind = dict.fromkeys(self._behind, (_BEGIN, 0.0))
        for tenant in (tenant for tenant, wanted in self._wishes.items() if not wanted):
            while self._may_work(connection) and regions.forget(connection, tenant):
                pass
        deadline = time.monotonic() + LOOK_SECONDS
        wanted, there = any(self._wishes.values()), regions.spaces(connection)
        while time.monotonic() < deadline and not self._stopping.is_set():
            done = wanted and [
                self._some(connection, one, deadline) for one in self._embedders if one.space_id in there
            ]
            if not done or not any(done):
                self._stopping.wait(0.2 if wanted else LOOK_SECONDS)

    def _some(self, connection: psycopg.Connection[Any], embedder: Embedder, deadline: float) -> bool:
        """Look at some pictures for one space; return whether there may be more at once."""
        keys = self._next(connection, embedder.space_id)
        while keys and self._may_work(connection):
            if time.monotonic() > deadline + LOOK_SECONDS:  # a wish may have changed
                self._fresh[embedder.space_id].extendleft(reversed(keys))
                break
            key = keys.pop(0)
            began = time.monotonic()
            self._throttle.note(began, working=False)
            try:
                self._one(connection, embedder, key)
            finally:
                self._throttle.note(time.monotonic(), working=True)
        return bool(keys) or bool(self._fresh[embedder.space_id])

    def _next(self, connection: psycopg.Connection[Any], space_id: int) -> list[Key]:
        """Return pictures to look at: delivered just now, due again, or not looked at yet."""
        fresh = self._fresh[space_id]
        if fresh:
            return [fresh.popleft() for _ in range(min(AT_ONCE, len(fresh)))]
        if found := regions.due(connection, space_id, limit=AT_ONCE):
            return found
        behind, not_before = self._behind[space_id]
        if time.monotonic() < not_before:
            return []
        found = regions.missing(connection, space_id, behind=behind, limit=AT_ONCE)
        self._behind[space_id] = (found[-1], 0.0) if found else (_BEGIN, time.monotonic() + AGAIN_SECONDS)
        return found

    def _may_work(self, connection: psycopg.Connection[Any]) -> bool:
        """Wait until a picture may be looked at; return False when there is no time left for it."""
        while not self._stopping.is_set():
            now = time.monotonic()
            self._throttle.note(now, working=False)
            if self._throttle.may(now, busy=True) or not (self._held() or queue.is_busy(connection)):
                return True
            self._stopping.wait(0.05)
        return False

    def _one(self, connection: psycopg.Connection[Any], embedder: Embedder, key: Key) -> None:
        lease = LEASES * self._settings.lease_seconds
        looked = regions.claim(connection, embedder.space_id, key, lease_seconds=lease)
        if looked is None:
            return
        try:
            parts, things = self._looker.look(looked, embedder)
            regions.put(connection, looked, parts, things)
        except (psycopg.Error, DeviceLost):
            raise
        except CannotLook as error:
            message, blames, delay = str(error), error.blames, error.delay
            if regions.fail(connection, looked, error.code, message, blames=blames, delay=delay):
                log.warning("image %s of %s has no parts: %s %s", key[1], key[0], error.code, error)
            else:
                log.info("image %s of %s has no parts yet: %s %s", key[1], key[0], error.code, error)
        except Exception as error:
            log.exception("a bug met the parts of image %s of %s", key[1], key[0])
            regions.fail(connection, looked, "internal", f"{type(error).__name__}: {error}")
