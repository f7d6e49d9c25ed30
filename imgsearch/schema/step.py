"""A step of the tables, its parts, and what each of them locks: stated in `tables/locks.toml`, compared by a test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from imgsearch.errors import UsageError

_BEGINS = re.compile(r"^-- part\b.*\n", re.MULTILINE)
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+) ON (imgsearch\w*\.\w+)")
HOWS = ("brief", "index", "batches", "validate")


@dataclass(frozen=True)
class Part:
    """What one part of a step does to whoever works meanwhile.

    how: brief (one transaction whose strong locks are asked for again and again, 80 ms at a time), index
    (CONCURRENTLY), batches (a statement repeated until it changes nothing, each time its own transaction), validate
    (reads every row, stops nobody). locks: table → the strongest mode it takes there. table: whose rows its
    time and room are reckoned from.
    """

    how: str = "brief"
    locks: Mapping[str, str] | None = None
    table: str | None = None
    seconds_per_million: float = 0.0
    bytes_per_row: float = 0.0


def part(stated: Mapping[str, Any]) -> Part:
    """Return the part that a table of `locks.toml` states. Raises UsageError for what is none."""
    if stated.get("how") not in HOWS:
        raise UsageError(f"how = {stated.get('how')!r} in locks.toml; write one of {', '.join(HOWS)}.")
    return Part(**stated)


@dataclass(frozen=True)
class Step:
    """One change of the tables: a file of `tables/`, run once, never changed after a release.

    online: the functions and the code of the release before work on it, and each part says what it locks; a step that
    is not is applied with all others in one transaction, while nobody searches or writes.
    """

    name: str
    text: str
    parts: tuple[Part, ...] = (Part(),)
    online: bool = False

    @property
    def digest(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each part: lines `-- part …` stand between them."""
        first, *others = _BEGINS.split(self.text)
        texts = (first, *others) if not others or _says_something(first) else tuple(others)
        if len(texts) != len(self.parts):
            raise UsageError(f"{self.name} has {len(texts)} parts and locks.toml states {len(self.parts)}; state each.")
        return tuple(texts)


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.startswith("--") for line in text.splitlines())


def index_of(text: str) -> tuple[str, str]:
    """Return (index, table) of a part that builds one. Raises UsageError where it is not written so."""
    found = _INDEX.search(text)
    if found is None:
        raise UsageError(
            "A part that builds an index is: CREATE INDEX CONCURRENTLY IF NOT EXISTS name ON schema.table …"
        )
    return found[1], found[2]


def in_transaction(text: str) -> str:
    """Return a part's text as it runs inside a transaction that is not its own, where nothing is concurrent."""
    return text.replace(" CONCURRENTLY", "")
