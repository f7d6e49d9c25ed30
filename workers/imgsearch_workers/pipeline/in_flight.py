"""Which pictures this worker holds, and which of them are the same bytes: those are fed and embedded once.

Entered by the loop that claims, settled by the completer that delivers. A picture leaves only when the database has its
new state, so a lease is renewed for exactly as long as somebody here works on the picture.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from imgsearch.ingest.queue import Claim, Key

# (tenant, sha256); while the digest is unknown (tenant, image, when it was queued): another change, other bytes.
Bytes = tuple[str, bytes] | tuple[str, int, datetime]


@dataclass(eq=False)
class Group:
    """Everybody here who claimed the same bytes, for whichever space: `claims` share one fetch and one decode, and
    those of one space one forward pass.

    Once an answer exists the group is closed: whoever comes later waits until that answer is in the database, and
    finds it there.
    """

    claims: list[Claim]
    open: bool = True
    late: list[Claim] = field(default_factory=list)


class InFlight:
    """The pictures in flight. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Key, Claim] = {}
        self._groups: dict[Bytes, Group] = {}
        self._waiting: list[Claim] = []
        self._shut = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    def holds_suspect(self) -> bool:
        """Return whether a picture is here whose last worker died: nothing may be claimed beside it."""
        with self._lock:
            return any(claim.suspect for claim in self._held.values())

    def spaces(self) -> set[int]:
        """Return the spaces that something is in flight for."""
        with self._lock:
            return {claim.space_id for claim in self._held.values()}

    def all(self) -> list[Claim]:
        """Return every claim in flight."""
        with self._lock:
            return list(self._held.values())

    def enter(self, claims: Iterable[Claim]) -> bool:
        """Note claims as ours, and renew their leases from now on; False: this process ends, give them back."""
        with self._lock:
            if not self._shut:
                self._held |= {claim.key: claim for claim in claims}
            return not self._shut

    def is_shut(self) -> bool:
        """Return whether this process ends and must claim nothing more."""
        return self._shut

    def shut(self) -> list[Claim]:
        """Take nothing more, because this process ends; return every claim in flight."""
        with self._lock:
            self._shut = True
            return list(self._held.values())

    def group(self, claims: Iterable[Claim]) -> list[Group]:
        """Return one new group per distinct picture that nobody here works on yet; the others join or wait."""
        made: dict[int, Group] = {}
        with self._lock:
            for claim in claims:
                group = self._groups.get(_bytes(claim))
                if group is None:
                    self._groups[_bytes(claim)] = group = Group([claim])
                    made[id(group)] = group
                else:
                    (group.claims if group.open else group.late).append(claim)
        return list(made.values())

    def close(self, group: Group) -> list[Claim]:
        """End a group, because its answer is known; return everybody it is for."""
        with self._lock:
            group.open = False
            return list(group.claims)

    def settle(self, claims: Sequence[Claim]) -> None:
        """Forget claims that are no longer ours, and let those who waited for their bytes try again."""
        with self._lock:
            for claim in claims:
                if self._held.get(claim.key) is claim:
                    del self._held[claim.key]
                group = self._groups.get(_bytes(claim))
                if group is not None and not any(self._held.get(c.key) is c for c in group.claims):
                    del self._groups[_bytes(claim)]
                    self._waiting += [late for late in group.late if self._held.get(late.key) is late]

    def take_waiting(self) -> list[Claim]:
        """Take the claims that waited for somebody else's answer; look for it, then group them anew."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            return waiting


def _bytes(claim: Claim) -> Bytes:
    return (claim.tenant_id, claim.sha256) if claim.sha256 else (claim.tenant_id, claim.image_id, claim.queued)
