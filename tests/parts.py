"""Pictures with regions whose vectors are known, and what a search by parts finds among them, in plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from imgsearch.spaces.space import Space, vector_literal
from tests.shop import digest

Connection = psycopg.Connection[Any]
Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A region of a picture that is stored."""

    vector: Sequence[float]
    box: tuple[float, float, float, float] = (0.25, 0.25, 0.5, 0.5)
    label: str | None = None


def store(connection: Connection, space: Space, parts: Mapping[tuple[str, int], Sequence[Part]]) -> None:
    """Store the regions of pictures, by (tenant, image)."""
    rows = [
        (tenant, image, place, digest(image), *one.box, one.label, 0.9, vector_literal(one.vector))
        for (tenant, image), several in parts.items()
        for place, one in enumerate(several, 1)
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            SQL(
                "INSERT INTO {} (tenant_id, image_id, position, sha256, x, y, w, h, label, score, embedding)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, l2_normalize(%s::halfvec))"
            ).format(Identifier("imgsearch", f"region_{space.space_id}")),
            rows,
        )


def unit(vector: Sequence[float]) -> Vector:
    """Return a vector as the database holds it: of length one, in half precision."""
    given = np.array(vector, dtype=np.float64)
    found: Vector = (given / np.linalg.norm(given)).astype(np.float16).astype(np.float64)
    return found / np.linalg.norm(found)


def near(query: Sequence[float], whole: Sequence[float], parts: Sequence[Part], weight: float) -> float:
    """Return how near a picture lies to a query: as a whole, and by its nearest part where that is nearer."""
    away = apart(query, whole)
    return (1 - weight) * away + weight * min([away, *(apart(query, one.vector) for one in parts)])


def apart(query: Sequence[float], vector: Sequence[float]) -> float:
    """Return the cosine distance of two vectors as the database holds them."""
    return 1 - float(unit(query) @ unit(vector))
