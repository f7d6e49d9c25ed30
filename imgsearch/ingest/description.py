"""What is read from pictures beside their vectors, for shops that ask: colours, and when and where they were taken."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.picture.capture import Capture

Key = tuple[str, int]  # tenant and image


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a shop asks for: attributes of colours and composition (`describe`), time and place (`capture`)."""

    describe: bool
    capture: bool


@dataclass(frozen=True, kw_only=True)
class Description:
    """What was read of one picture's bytes: `attributes` as `palette.describe` makes them."""

    key: Key
    sha256: bytes
    attributes: Mapping[str, Any]
    capture: Capture


@dataclass(frozen=True, kw_only=True)
class Undescribed:
    """A picture that is yet to be read."""

    tenant_id: str
    image_id: int
    uri: str
    sha256: bytes


def wishes(connection: Connection[Any]) -> dict[str, Wish]:
    """Return what each tenant's shop asks for; one that is not listed asks for nothing."""
    return {
        row["tenant_id"]: Wish(describe=row["describe_pictures"], capture=row["keep_captures"])
        for row in sql.rows(connection, "description", "wishes")
    }


def store(connection: Connection[Any], described: Sequence[Description]) -> int:
    """Write what was read; return of how many pictures: not of one that has other bytes by now, or that is locked."""
    values = {
        "tenants": [one.key[0] for one in described],
        "images": [one.key[1] for one in described],
        "sha256s": [one.sha256 for one in described],
        "attributes": [json.dumps(dict(one.attributes)) for one in described],
        "taken": [one.capture.taken_at for one in described],
        "zoned": [one.capture.zoned for one in described],
        "latitudes": [one.capture.latitude for one in described],
        "longitudes": [one.capture.longitude for one in described],
    }
    return int(sql.value(connection, "description", "store", values))


def missing(connection: Connection[Any], *, behind: Key = ("", 0), limit: int = 100) -> list[Undescribed]:
    """Return pictures that are yet to be read, in order of tenant and image, behind one of them."""
    values = {"tenant": behind[0], "image": behind[1], "limit": limit}
    return [Undescribed(**row) for row in sql.rows(connection, "description", "missing", values)]
