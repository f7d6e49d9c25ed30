"""Parts of pictures for shops that ask: which pictures lack them, taking one, and what was found or failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.db.vector_array import vector_array
from imgsearch.ingest.queue import LOST
from imgsearch.picture.region import Region
from imgsearch.spaces.space import Array

Key = tuple[str, int]  # tenant and image
MAX_ATTEMPTS = 5
RETRY_SECONDS = 5.0  # doubled with each attempt
IN_WORK = "in_work"
LONGEST_ERROR = 500  # characters


@dataclass(frozen=True, kw_only=True)
class Looked:
    """A picture that is ours to look at: `word` names the proposer, `most` parts at most; `proposer` is both."""

    tenant_id: str
    image_id: int
    space_id: int
    uri: str
    sha256: bytes
    proposer: str
    word: str
    most: int
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a picture: where, what it is called, how sure the proposer is, its vector of length one."""

    region: Region
    embedding: Array
    label: str | None = None
    score: float | None = None


def wishes(connection: Connection[Any]) -> dict[str, str | None]:
    """Return what tenants ask for (`salient 5`); None: they have parts, and no longer ask."""
    return {row["tenant_id"]: row["wanted"] for row in sql.rows(connection, "regions", "wishes")}


def spaces(connection: Connection[Any]) -> set[int]:
    """Return the spaces there are: one that a worker was started for may be gone."""
    return {row["space_id"] for row in sql.rows(connection, "regions", "spaces")}


def missing(connection: Connection[Any], space_id: int, *, behind: Key = ("", 0), limit: int = 32) -> list[Key]:
    """Return pictures that were not looked at as their shop asks, in order of tenant and image, behind one of them."""
    values = {"space_id": space_id, "tenant": behind[0], "image": behind[1], "limit": limit}
    rows = sql.rows(connection, "regions", "missing", values, space_id=space_id)
    return [(row["tenant_id"], row["image_id"]) for row in rows]


def due(connection: Connection[Any], space_id: int, *, limit: int = 32) -> list[Key]:
    """Return pictures that are to be tried again; set aside those that were tried often enough."""
    values = {"space_id": space_id, "limit": limit, "most": MAX_ATTEMPTS, "lost": LOST}
    return [(row["tenant_id"], row["image_id"]) for row in sql.rows(connection, "regions", "due", values)]


def claim(connection: Connection[Any], space_id: int, key: Key, *, lease_seconds: float) -> Looked | None:
    """Take a picture; None where there is nothing to do, or somebody else does it."""
    values = {
        "space_id": space_id,
        "tenant": key[0],
        "image": key[1],
        "lease_seconds": lease_seconds,
        "in_work": IN_WORK,
    }
    rows = sql.rows(connection, "regions", "claim", values, space_id=space_id)
    return Looked(**rows[0]) if rows else None


def put(connection: Connection[Any], looked: Looked, parts: Sequence[Part], things: Sequence[str] | None) -> bool:
    """Store the parts of a picture in the place of those before; return whether: not of one that was replaced.

    things: what a detector calls them, the attribute picture_things; None where the proposer names nothing.
    """
    boxes = [part.region.numbers for part in parts]
    values = {
        **_names(looked),
        "boxes": len(parts),
        "things": None if things is None else sorted(set(things)),
        "labels": [part.label for part in parts],
        "scores": [part.score for part in parts],
        "dimension": 0,
        "reals": [],
    }
    if parts:
        values |= vector_array(connection, [part.embedding for part in parts])
    values |= {name: [box[n] for box in boxes] for n, name in enumerate(("xs", "ys", "ws", "hs"))}
    return bool(sql.value(connection, "regions", "put", values, space_id=looked.space_id))


def fail(
    connection: Connection[Any],
    looked: Looked,
    code: str,
    message: str,
    *,
    blames: bool = True,
    delay: float = RETRY_SECONDS,
) -> bool:
    """Note that looking failed; return whether it is not tried again. Without `blames` the attempt does not count."""
    said = message.replace("\0", " ")[:LONGEST_ERROR]
    values = {**_names(looked), "code": code, "message": said, "blames": blames, "delay": delay, "most": MAX_ATTEMPTS}
    return bool(sql.value(connection, "regions", "fail", values))


def forget(connection: Connection[Any], tenant: str) -> int:
    """Remove the parts of some pictures of a shop that asks for none any more; return of how many."""
    return int(sql.value(connection, "regions", "forget", {"tenant": tenant}))


def _names(looked: Looked) -> dict[str, Any]:
    return {
        "tenant": looked.tenant_id,
        "image": looked.image_id,
        "space_id": looked.space_id,
        "sha256": looked.sha256,
        "proposer": looked.proposer,
    }
