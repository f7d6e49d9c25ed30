"""Vectors that are brought along: checked here as far as can be told without the database, stored in one statement.

A space of kind given has no worker: whoever adds a picture brings its vector (docs/models.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypedDict

import numpy as np

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.db.vector_array import vector_array
from imgsearch.errors import UsageError, VectorError
from imgsearch.ingest import columns
from imgsearch.spaces.space import Array

MOST = 4000  # numbers of a vector: halfvec's own limit of dimensions
TOGETHER = 10_000  # vectors of one statement
AT_ONCE = 2_000_000  # numbers of one statement: 16 MB on their way

Vector = Sequence[float] | Array


class GivenVector(TypedDict, total=False):
    """One vector and whose it is: a picture by its image_id, or by its product and position (0 unless given).

    sha256: only while the picture has these bytes.
    """

    vector: Vector
    tenant: str
    product_id: str | int
    position: int
    image_id: int
    sha256: bytes


def numbers(vector: Vector) -> list[float]:
    """Return the numbers of a vector. Raises VectorError for what is none, for NaN, infinity, zero and too many."""
    try:
        found = np.asarray(vector.tolist() if hasattr(vector, "tolist") else vector, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise VectorError("A vector is a list of numbers, all in one row.") from error
    if found.ndim != 1 or not 1 <= found.size <= MOST:
        raise VectorError(f"A vector is a list of 1 to {MOST} numbers; this one has the shape {found.shape}.")
    if not np.isfinite(found).all():
        raise VectorError("The vector holds NaN or infinity; embed the picture again.")
    # Brought to length one here: what is stored has few bits, and a large number would not fit them.
    if not (largest := float(np.abs(found).max())):
        raise VectorError("The vector is zero, it has no direction; embed the picture again.")
    scaled = found / largest
    plain: list[float] = (scaled / np.linalg.norm(scaled)).tolist()
    return plain


def bound(vector: Vector | None, space: str | None) -> dict[str, Any]:
    """Return a vector that comes with a picture as statements bind it. Raises VectorError, UsageError."""
    if vector is None and space is not None:
        raise UsageError("space says of which space the vector is, and there is no vector; give one, or leave it out.")
    return {"vector": None if vector is None else numbers(vector), "space": space}


def give_vectors(connection: Connectable, space: str | None, rows: Iterable[GivenVector | Mapping[str, Any]]) -> int:
    """Store vectors for pictures that are here, many in each statement, in the caller's transaction.

    `space` may be None where one space alone takes vectors. Return how many pictures had another one or none.
    In autocommit what stands before a bad row is stored, in statements of up to 10,000 rows; in a transaction nothing.
    Raises VectorError, UsageError, UnknownImage for a row without a picture, UnknownSpace; each says which row.
    """
    lent, stored, seen = driver(connection), 0, 0
    for part in _parts(rows):
        read = [_row(row, seen + place) for place, row in enumerate(part, 1)]
        try:
            values = vector_array(lent, [row["vector"] for row in read])
        except ValueError as error:
            lengths = sorted({len(row["vector"]) for row in read})
            raise VectorError(f"The vectors have {lengths} numbers; those of one space have as many each.") from error
        columns = {f"{name}s": [row[name] for row in read] for name in _WHICH}
        stored += int(sql.value(lent, "upload", "give_vectors", {"space": space, **columns, **values}))
        seen += len(part)
    return stored


_WHICH = ("tenant", "image_id", "product_id", "position", "sha256")


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """Cut rows into statements by how many numbers the first has."""
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise UsageError(f"rows is a list of mappings, not {type(rows).__name__}.")
    left = iter(rows if not hasattr(rows, "read") else [rows])
    while (first := next(left, None)) is not None:
        if not isinstance(first, Mapping):
            raise UsageError(
                f"A row is a mapping of {', '.join(GivenVector.__annotations__)}, not {type(first).__name__}."
            )
        wide = len(first["vector"]) if hasattr(first.get("vector"), "__len__") else 1
        yield [first, *islice(left, max(min(TOGETHER, AT_ONCE // max(wide, 1)) - 1, 0))]


def _row(row: Mapping[str, Any], place: int) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise UsageError(f"Row {place} is no mapping but {type(row).__name__}.")
    if unknown := set(row) - set(GivenVector.__annotations__):
        raise UsageError(f"Row {place} has {sorted(unknown)[0]!r}; a row has {', '.join(GivenVector.__annotations__)}.")
    image, product = row.get("image_id"), row.get("product_id")
    if (image is None) == (product is None) or "vector" not in row:
        raise UsageError(f"Row {place}: give a vector, and either an image_id or a product_id with its position.")
    try:
        vector = numbers(row["vector"])
    except VectorError as error:
        raise VectorError(f"Row {place}: {error}") from error
    tenant, digest = row.get("tenant", "default" if image is None else None), row.get("sha256")
    if not isinstance(digest, bytes | None):
        raise UsageError(f"Row {place}: sha256 is 32 bytes, not {type(digest).__name__}.")
    position = row.get("position", 0) if image is None else None
    which = columns.chosen("default" if tenant is None else tenant, product, position, image)
    named = {"tenant": None if tenant is None else which.pop("tenant_id")}
    return {name: {**which, **named}.get(name) for name in _WHICH} | {"sha256": digest, "vector": vector}
