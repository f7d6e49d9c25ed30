"""What a place that holds objects must be able to do: the seam between the store and its backends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One stored object: its key, its size in bytes and when it was last written (aware, UTC)."""

    key: str
    size: int
    modified: datetime


class Objects(Protocol):
    """Bytes under keys such as `ab/abcd…`.

    Every method raises StoreError (worth trying again), StoreDenied or ObjectMissing, and nothing else.
    """

    def read(self, key: str, max_bytes: int) -> bytes:
        """Return the object; FetchRefused when it is larger than `max_bytes`, ObjectMissing when there is none."""

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write the whole object or nothing; what was there before is replaced.

        `durable`: it must survive a power cut; else it may be gone or torn after one, and is written much faster.
        """

    def stat(self, key: str) -> Entry | None:
        """Return size and time of the object, None when there is none."""

    def renew(self, key: str, data: bytes) -> None:
        """Make the object as young as if it were written now (its bytes are `data`)."""

    def delete(self, key: str) -> None:
        """Delete the object; deleting nothing is fine."""

    def delete_older(self, key: str, before: datetime) -> bool:
        """Delete the object only if it was last written before `before`; return whether it is gone by our hand."""

    def entries(self, under: str = "") -> Iterator[Entry]:
        """Walk all objects, or those in one folder (`owner/`), in no order."""

    def sweep_unfinished(self, before: datetime) -> int:
        """Delete what writes that crashed before `before` left behind; return how many."""
