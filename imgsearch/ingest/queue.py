"""The queue of record: claim images, keep the lease, deliver or give them back. Every change is fenced by a token.

Each function is one statement on the caller's connection. A worker's connection is in autocommit, so that no
transaction is open while images are fetched, decoded or embedded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.errors import UndefinedColumn, UndefinedTable

from imgsearch.db import sql
from imgsearch.db.vector_array import vector_array
from imgsearch.errors import SchemaBehind, SpaceGone
from imgsearch.spaces import space
from imgsearch.spaces.space import Array

Key = tuple[str, int, int]  # (tenant_id, image_id, space_id)
LOST = "worker_lost"
"""The error code of a picture whose worker died with it; it is then claimed with few others, or alone."""
PASSING = ("fetch_failed", "store_unavailable", "text_answered")
"""The error codes of what may pass by itself: such a picture is tried again for a day before it is set aside."""
PASSING_ATTEMPTS = 72  # pauses grow to 15 to 30 minutes: about a day


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A picture leased to us for one space: `sha256` is None until an http(s) address has been fetched once.

    `queued`: when the picture was queued, by its last change: what another change queued is another picture.
    `before`: its address is read anew, and these are the bytes whose vector answers meanwhile.
    `suspect`: a worker died while it had this picture; what else is in flight may die with it.
    """

    tenant_id: str
    image_id: int
    space_id: int
    token: UUID
    attempts: int
    uri: str
    sha256: bytes | None
    queued: datetime
    suspect: bool = False
    before: bytes | None = None

    @property
    def key(self) -> Key:
        return self.tenant_id, self.image_id, self.space_id

    def names(self) -> dict[str, Any]:
        """Return what a log line says of this claim, for programs."""
        return {
            "tenant_id": self.tenant_id,
            "image_id": self.image_id,
            "space_id": self.space_id,
            "attempt": self.attempts,
            "token": str(self.token),
        }


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A claimed picture and its vector (`dimension` floats, length one) made from the bytes with digest `sha256`."""

    claim: Claim
    sha256: bytes
    embedding: Sequence[float] | Array | str
    incomplete: bool = False  # the file lacks its last bytes
    pdq: str | None = None  # `Pdq.text`
    quality: int | None = None  # of it


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A claimed picture that could not be embedded. `permanent` ones are not tried again."""

    claim: Claim
    code: str
    message: str
    permanent: bool


@dataclass(frozen=True, kw_only=True)
class Known:
    """The vector a tenant already has for some bytes, in pgvector's text form."""

    embedding: str
    incomplete: bool = False
    pdq: str | None = None
    quality: int | None = None


def claim(
    connection: Connection[Any],
    *,
    worker: str,
    limit: int,
    lease_seconds: float,
    idle: bool = True,
    spaces: Sequence[int] | None = None,
) -> list[Claim]:
    """Lease up to `limit` waiting images to `worker`, for some `spaces` or any: the searched one's first, oldest first.

    Suspects are only leased to a worker that is `idle` (it holds nothing else), an eighth of `limit` at a time after
    the first loss and alone after the next: so a picture that kills its worker takes few others along, and none twice.
    """
    values = {
        "worker": worker,
        "limit": limit,
        "few": max(1, limit // 8),
        "lease_seconds": lease_seconds,
        "idle": idle,
        "spaces": None if spaces is None else list(spaces),
        "lost": LOST,
    }
    columns = {
        "tenants": "tenant_id",
        "images": "image_id",
        "spaces": "space_id",
        "tokens": "token",
        "suspects": "suspect",
    }
    leased = sql.rows(connection, "queue", "claim", values)
    leases = {name: [row[column] for row in leased] for name, column in columns.items()}
    return [Claim(**row) for row in sql.rows(connection, "queue", "claimed", leases)] if leased else []


def heartbeat(connection: Connection[Any], claims: Iterable[Claim], *, lease_seconds: float) -> set[Key]:
    """Extend our leases; return the keys that are still ours."""
    return _keys(sql.rows(connection, "queue", "heartbeat", _fence(claims) | {"lease_seconds": lease_seconds}))


def held(connection: Connection[Any], claims: Iterable[Claim]) -> set[Key]:
    """Return the keys that are still leased to us."""
    return _keys(sql.rows(connection, "queue", "held", _fence(claims)))


def known(
    connection: Connection[Any], space_id: int, digests: Iterable[tuple[str, bytes]]
) -> dict[tuple[str, bytes], Known]:
    """Return the vectors that exist already for (tenant_id, sha256): the same bytes are embedded once per tenant."""
    wanted = list(digests)
    if not wanted:
        return {}
    values = {
        "tenants": [tenant for tenant, _ in wanted],
        "sha256s": [digest for _, digest in wanted],
    }
    found = sql.rows(connection, "queue", "known", values, space_id=space_id)
    return {(row.pop("tenant_id"), row.pop("sha256")): Known(**row) for row in found}


def deliver(connection: Connection[Any], space_id: int, deliveries: Sequence[Delivery]) -> set[Key]:
    """Store vectors of a space and close their jobs; return the keys that were written.

    A key that is missing from the answer was replaced meanwhile, was taken over by another worker, or its row is
    locked right now (`held` tells: ours still means locked). Raises SpaceGone when the space was dropped.
    """
    if not deliveries:
        return set()
    replacing = [d for d in deliveries if d.claim.before not in {None, d.sha256}]
    values = _fence(d.claim for d in deliveries) | {
        "sha256s": [d.sha256 for d in deliveries],
        **vector_array(connection, [d.embedding for d in deliveries]),
        "incomplete": [d.incomplete for d in deliveries],
        "pdqs": [d.pdq for d in deliveries],
        "qualities": [d.quality for d in deliveries],
        "space_id": space_id,
    }
    try:
        with connection.transaction() if replacing else nullcontext():
            if replacing:
                sql.run(connection, "queue", "adopt", _adopted(replacing) | {"space_id": space_id})
            return _keys(sql.rows(connection, "queue", "deliver", values, space_id=space_id))
    except (SchemaBehind, UndefinedColumn) as error:  # its table and its bits are not there
        if space.is_there(connection, space_id):
            raise
        raise SpaceGone from error


def confirm(connection: Connection[Any], space_id: int, claims: Iterable[Claim]) -> set[Key]:
    """Close jobs of a space whose addresses answer the bytes of before; return the keys of those that are ready.

    The others are pending again: their bytes are known, their vectors are not. Raises SpaceGone as `deliver` does.
    """
    values = _fence(claims) | {"space_id": space_id}
    try:
        return _keys(sql.rows(connection, "queue", "confirm", values, space_id=space_id))
    except (SchemaBehind, UndefinedTable) as error:
        if space.is_there(connection, space_id):
            raise
        raise SpaceGone from error


def fail(connection: Connection[Any], failures: Sequence[Failure], *, max_attempts: int) -> dict[Key, str]:
    """Give failed images back; return the state each is in now (`failed` or `pending`)."""
    if not failures:
        return {}
    values = _fence(f.claim for f in failures) | {
        "codes": [f.code for f in failures],
        "messages": [_storable(f.message) for f in failures],
        "permanents": [f.permanent for f in failures],
        "max_attempts": max_attempts,
        "passing": list(PASSING),
        "passing_attempts": PASSING_ATTEMPTS,
    }
    found = sql.rows(connection, "queue", "fail", values)
    return {(row["tenant_id"], row["image_id"], row["space_id"]): row["state"] for row in found}


def release(connection: Connection[Any], claims: Iterable[Claim], *, delay: float = 0) -> set[Key]:
    """Give images back without spending the attempt; they may be claimed again after `delay` seconds."""
    return _keys(sql.rows(connection, "queue", "release", _fence(claims) | {"delay": delay}))


def rescue(connection: Connection[Any], *, max_attempts: int) -> int:
    """Take back the images of workers that went silent; return how many."""
    values = {"max_attempts": max_attempts, "lost": LOST, "passing": list(PASSING)}
    return len(sql.rows(connection, "queue", "rescue", values))


def tails(connection: Connection[Any]) -> list[int]:
    """Return the spaces some of whose vectors wait outside their graph."""
    return [row["space_id"] for row in sql.rows(connection, "queue", "tails")]


def merge_tail(connection: Connection[Any], space_id: int) -> int:
    """Move a few vectors of a space into its graph, in a transaction of 20 to 100 ms; return how many were moved.

    0: none is left, somebody else moves them, or all that were looked at are being written.
    """
    return int(sql.value(connection, "queue", "merge_tail", {"space_id": space_id}))


def enqueue_missing(connection: Connection[Any]) -> int:
    """Queue images that have neither vector nor job in a space, whoever wrote them; return how many."""
    return int(sql.value(connection, "queue", "enqueue_missing"))


def retry_attached(connection: Connection[Any]) -> int:
    """Try rows of attached tables that could not be followed again, some and seldom; return how many are now."""
    return int(sql.value(connection, "queue", "retry_attached"))


def waiting(connection: Connection[Any], space_id: int | None = None) -> int:
    """Return how many images are pending or leased, in a space or in all."""
    return int(sql.value(connection, "queue", "waiting", {"space_id": space_id}))


def is_busy(connection: Connection[Any]) -> bool:
    """Return whether pictures or questions wait for the searched space now."""
    return bool(sql.value(connection, "queue", "is_busy"))


def next_due(connection: Connection[Any], spaces: Sequence[int]) -> float | None:
    """Return in how many seconds the next picture of these spaces may be claimed, or None when none waits."""
    seconds = sql.value(connection, "queue", "next_due", {"spaces": list(spaces)})
    return None if seconds is None else float(seconds)


def _storable(message: str) -> str:
    """Return a text that Postgres takes: a message may quote a hostile file's bytes."""
    return message.replace("\0", "").encode("utf-8", "replace").decode()[:2000]


def _adopted(deliveries: Iterable[Delivery]) -> dict[str, Any]:
    new = list(deliveries)
    return _fence(d.claim for d in new) | {"sha256s": [d.sha256 for d in new]}


def _fence(claims: Iterable[Claim]) -> dict[str, Any]:
    mine = list(claims)
    return {
        "tenants": [c.tenant_id for c in mine],
        "images": [c.image_id for c in mine],
        "tokens": [c.token for c in mine],
    }


def _keys(found: Iterable[dict[str, Any]]) -> set[Key]:
    return {(row["tenant_id"], row["image_id"], row["space_id"]) for row in found}
