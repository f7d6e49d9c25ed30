"""Which databases keep pictures in a store: each leaves a mark, so that no clean-up takes what another one needs.

A mark is a small object `owner/<id of the database>`, written before the database's first picture. A database that
finds pictures and no mark leaves a second one, `owner/unknown`: whose they are, only a person can say.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from imgsearch.errors import ObjectMissing, StoreDenied
from imgsearch.storage.keys import digest_of
from imgsearch.storage.objects import Objects

MARKS = "owner/"
UNKNOWN = "unknown"
CURE = (
    "Give each database a place of its own in IMGSEARCH_STORAGE_URL (`imgsearch store copy` fills it). Where the other "
    "one is gone for good: `imgsearch store take-over`."
)
RENEWED = 600.0  # seconds; a mark that somebody took away is back long before a sweep may take the next picture
_marked: WeakKeyDictionary[Objects, dict[str, float]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Owner:
    """A database as a store knows it: its id and its name; where it stood and since when are for people."""

    id: str
    database: str
    server: str = ""
    since: str = ""

    def __str__(self) -> str:
        if self.id == UNKNOWN:
            return "a database that left no mark"
        return f"the database {self.database}{f' at {self.server}' if self.server else ''} (since {self.since[:10]})"


def mark(objects: Objects, owner: Owner) -> None:
    """Leave this database's mark unless it is there; looked for at most every ten minutes."""
    marked = _marked.setdefault(objects, {})
    if time.monotonic() - marked.get(owner.id, -RENEWED) < RENEWED:
        return
    try:
        if objects.stat(MARKS + owner.id) is None:
            _write_beside(objects, owner)
    except StoreDenied:  # rights to write without rights to look are usual in S3
        _write(objects, owner)
    marked[owner.id] = time.monotonic()


def others(objects: Objects, owner: Owner) -> list[Owner]:
    """Return who else keeps pictures here, as far as marks say; an unknown one where there are pictures and no mark."""
    here = _marks(objects)
    if not here and _holds_pictures(objects):
        return [Owner(UNKNOWN, "")]
    return [_read(objects, owner_id) for owner_id in here if owner_id != owner.id]


def take_over(objects: Objects, owner: Owner) -> list[Owner]:
    """Take the marks of all others away, and leave this database's; return whose were taken away."""
    gone = others(objects, owner)
    _write(objects, owner)
    for other in gone:
        objects.delete(MARKS + other.id)
    return gone


def refused(others: list[Owner]) -> StoreDenied:
    """Return why nothing may be deleted from a store that others keep pictures in, and the cure."""
    return StoreDenied(f"Nothing is deleted from the picture store: {others[0]} keeps pictures in it as well. {CURE}")


def copy_marks(source: Objects, target: Objects) -> None:
    """Let a copy of a store be known as its owners'."""
    for owner_id in _marks(source):
        target.write(MARKS + owner_id, source.read(MARKS + owner_id, 10_000))


def _write_beside(objects: Objects, owner: Owner) -> None:
    # Pictures are looked for first: who writes its first one at this moment has left a mark before it.
    if _holds_pictures(objects) and not _marks(objects):
        _write(objects, Owner(UNKNOWN, ""))
    _write(objects, owner)


def _write(objects: Objects, owner: Owner) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"database": owner.database, "server": owner.server, "since": since})
    objects.write(MARKS + owner.id, text.encode())


def _marks(objects: Objects) -> list[str]:
    return sorted(entry.key.removeprefix(MARKS) for entry in objects.entries(MARKS))


def _read(objects: Objects, owner_id: str) -> Owner:
    try:
        text = json.loads(objects.read(MARKS + owner_id, 10_000))
        return Owner(owner_id, str(text["database"]), str(text["server"]), str(text["since"]))
    except (ObjectMissing, ValueError, LookupError, TypeError):
        return Owner(owner_id, owner_id)


def _holds_pictures(objects: Objects) -> bool:
    return any(digest_of(entry.key) for entry in objects.entries())
