"""The vectors of texts and pictures that this process was told before: of each database, tenant and space its own."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import psycopg

REMEMBERED = 1024  # vectors kept in this process: 768 dimensions as text are 8 kB each

Key = tuple[str, str, bytes, int | None, str]  # database, kind, digest, space if one was named, tenant


@dataclass(frozen=True)
class Kept:
    """A vector in pgvector's text form, its space, and what to say where the model did not read the whole text."""

    space_id: int
    vector: str
    truncated: str | None


_memory: OrderedDict[Key, Kept] = OrderedDict()
_lock = Lock()
_databases: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def database_of(lent: psycopg.Connection[Any]) -> str:
    """Return where a connection leads, as libpq tells it: of all its options, so each connection is asked once."""
    own: Any = lent if isinstance(lent, psycopg.Connection) else lent.asynchronous
    found = _databases.get(own)
    if found is None:
        found = _databases[own] = lent.info.dsn
    return found


def kept(key: Key) -> Kept | None:
    """Return what is kept under a key."""
    with _lock:
        found = _memory.get(key)
        if found is not None:
            _memory.move_to_end(key)
        return found


def keep(key: Key, what: Kept) -> None:
    """Keep a vector; of too many, the one that nobody asked for longest is forgotten."""
    with _lock:
        _memory[key] = what
        _memory.move_to_end(key)
        while len(_memory) > REMEMBERED:
            _memory.popitem(last=False)


def forget_answers() -> None:
    """Forget the vectors kept in this process: for tests that give a text another one."""
    with _lock:
        _memory.clear()
