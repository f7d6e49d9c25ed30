"""Reads stored pictures that questions are about, beside the questions that need no reading: an address may be slow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from imgsearch import picture
from imgsearch.errors import FetchRefused, ObjectMissing, PictureError, StoreError
from imgsearch.query.asking import UNREADABLE
from imgsearch.query.cache import DIGEST, Entry
from imgsearch.storage import FetchPolicy, Store, read

log = logging.getLogger("imgsearch.worker")
READING = 4  # at once
WAITING = 64  # and at most; the others are told to ask again
GONE = "This image is not here any more; ask by another one."
LATER = "The picture cannot be read just now; ask again in a minute."


@dataclass(frozen=True)
class Read:
    """The bytes of the picture that a question is about, or why there are none."""

    space_id: int
    entry: Entry
    found: bytes | PictureError


class StoredPictures:
    """`ready` is called, in another thread, as soon as `take` would give something more."""

    def __init__(self, store: Store, policy: FetchPolicy, ready: Callable[[], object]) -> None:
        self._store, self._policy, self._ready = store, policy, ready
        self._threads = ThreadPoolExecutor(READING, thread_name_prefix="stored")
        self._reading: list[Future[Read]] = []

    def begin(self, space_id: int, entry: Entry, uri: str | None) -> None:
        """Begin to read the picture at `uri`; None: it is gone."""
        if uri is None or len(self._reading) >= WAITING:
            done: Future[Read] = Future()
            error = PictureError("missing", GONE) if uri is None else PictureError(UNREADABLE, LATER)
            done.set_result(Read(space_id, entry, error))
            self._reading.append(done)
            return
        future = self._threads.submit(self._read, space_id, entry, uri)
        self._reading.append(future)
        future.add_done_callback(lambda _: self._ready())

    def take(self, space_id: int) -> list[Read]:
        """Return what has been read since for questions in a space."""
        done = [one for one in self._reading if one.done() and one.result().space_id == space_id]
        self._reading = [one for one in self._reading if one not in done]
        return [one.result() for one in done]

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, space_id: int, entry: Entry, uri: str) -> Read:
        found: bytes | PictureError
        try:
            found = read(uri, self._store, self._policy, picture.DEFAULT_LIMITS.max_bytes).data
            if picture.digest(found) != entry.key[:DIGEST]:
                found = PictureError("changed", picture.CODES["changed"])
        except ObjectMissing:
            found = PictureError("missing", picture.CODES["missing"])
        except FetchRefused:  # whoever asks need not be who gave the address: it is not said
            found = PictureError("fetch_refused", picture.CODES["fetch_refused"])
        except StoreError:
            found = PictureError(UNREADABLE, LATER)
        except Exception:
            log.exception("a bug met the picture of a question")
            found = PictureError(UNREADABLE, LATER)
        return Read(space_id, entry, found)
