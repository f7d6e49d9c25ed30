"""Which attributes the searches of this process ask for, counted here and written down now and then: no search writes.

The database adds up what processes tell and says which attribute should have a column: `imgsearch index attributes`.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from threading import Lock
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.retrieval.filters import Filters

EVERY = 60.0  # seconds between two writes of a process
MOST = 50  # attributes counted between two writes: a stranger may make up names
LONGEST = 100  # characters of a name
_TYPES = {str: "text", bool: "boolean", int: "number", float: "number"}
_BY_COLUMN = {"is", "in", "min", "max", "above", "below"}  # what a column of its own answers

Asked = Counter[tuple[str, str]]  # {(name, type): searches}
_counted: dict[str, Asked] = {}
_written: dict[str, float] = {}
_refused: dict[str, float] = {}  # when a transaction that only reads was met; the next minute nobody asks again
_lock = Lock()


def count(database: str, filters: Filters) -> None:
    """Count the attributes of one search of a database, a column of which would answer it."""
    if not filters.attributes:
        return
    asked = [(name, kind) for name, value in filters.attributes.items() if (kind := type_of(value)) is not None]
    with _lock:
        found = _counted.setdefault(database, Counter())
        _written.setdefault(database, time.monotonic())
        for one in asked:
            if len(one[0]) <= LONGEST and (one in found or len(found) < MOST):
                found[one] += 1


def type_of(value: Any) -> str | None:
    """Return as what an attribute is asked for: text, number or boolean; None where no column would answer."""
    if isinstance(value, Mapping):
        types = {type_of(one) for operator, one in value.items() if operator in _BY_COLUMN}
        return types.pop() if len(types) == 1 else None
    if isinstance(value, list | tuple):
        types = {_TYPES.get(type(one)) for one in value}
        return types.pop() if len(types) == 1 else None
    return _TYPES.get(type(value))


def is_due(database: str) -> bool:
    """Return whether something was counted and the last write is long enough ago."""
    return bool(_counted.get(database)) and time.monotonic() - _written[database] >= EVERY


def take(database: str) -> Asked:
    """Return what was counted, for a write; counting begins anew."""
    with _lock:
        _written[database] = time.monotonic()
        return _counted.pop(database, Counter())


def write(connection: psycopg.Connection[Any], database: str) -> None:
    """Write down what was counted, where the caller's transaction may write; else it is kept, and tried in a minute."""
    if time.monotonic() - _refused.get(database, -EVERY) < EVERY:
        return
    if sql.value(connection, "query", "may_note_attributes"):
        write_rows(connection, database)
    else:
        _refused[database] = time.monotonic()


def write_rows(connection: psycopg.Connection[Any], database: str) -> None:
    """Write down what was counted of a database, as rows of this process's own, for which nobody waits."""
    rows = [{"name": name, "type": kind, "searches": many} for (name, kind), many in take(database).items()]
    sql.run(connection, "query", "note_attributes", {"asked": json.dumps(rows)})
