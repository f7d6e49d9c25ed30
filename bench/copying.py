"""Fast ways into Postgres: rows as bytes of COPY … (FORMAT BINARY), and vectors and bits as its binary parameters."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper
from psycopg.sql import SQL, Composable, Identifier

from bench.rotation import turned

_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_END = struct.pack("!h", -1)
_FLUSH = 1 << 20
FIRST = 1  # the seed of the rotation of a database's first space


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("!i", len(data)) + data


def bigint(value: int) -> bytes:
    return struct.pack("!iq", 8, value)


def integer(value: int) -> bytes:
    return struct.pack("!ii", 4, value)


def double(value: float) -> bytes:
    return struct.pack("!id", 8, value)


def boolean(value: bool) -> bytes:
    return struct.pack("!i?", 1, value)


def raw(value: bytes) -> bytes:
    return struct.pack("!i", len(value)) + value


def jsonb(value: str) -> bytes:
    return raw(b"\1" + value.encode())


def halfvecs(vectors: NDArray[np.float16]) -> list[bytes]:
    """Return each row as a field of type halfvec."""
    head = struct.pack("!iHH", 4 + 2 * vectors.shape[1], vectors.shape[1], 0)
    return [head + row.tobytes() for row in vectors.astype(">f2")]


def signs(vectors: NDArray[np.float16], mean: NDArray[np.float32], rotation: int | None = FIRST) -> NDArray[np.uint8]:
    """Return quantized(vector, mean, …) as the database computes it: packed, (n, ceil(dim / 8))."""
    centred = (vectors.astype(np.float32) - mean).astype(np.float16).astype(np.float32)
    return np.packbits(turned(centred, rotation) > 0, axis=1)


def bits(packed: NDArray[np.uint8], dim: int) -> list[bytes]:
    """Return each row as a field of type bit(dim)."""
    head = struct.pack("!ii", 4 + packed.shape[1], dim)
    return [head + row.tobytes() for row in packed]


def copy(
    connection: psycopg.Connection[Any], table: Composable, columns: Sequence[str], rows: Iterable[Iterable[bytes]]
) -> None:
    """Write rows of fields with one COPY."""
    names = SQL(", ").join(map(Identifier, columns))
    count = struct.pack("!h", len(columns))
    with connection.cursor().copy(SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, names)) as target:
        waiting = bytearray(_HEADER)
        for row in rows:
            waiting += count
            for field in row:
                waiting += field
            if len(waiting) > _FLUSH:
                target.write(bytes(waiting))
                waiting.clear()
        target.write(bytes(waiting + _END))


class Halfvec:
    """A vector parameter, sent as halfvec's binary form; made once, because packing is not what is measured."""

    def __init__(self, vector: NDArray[np.float16]) -> None:
        self.sent = halfvecs(vector[None])[0][4:]


class Bits:
    """A bit-string parameter, sent in binary form."""

    def __init__(self, packed: NDArray[np.uint8], dim: int) -> None:
        self.sent = bits(packed[None], dim)[0][4:]


class _Ready(Dumper):
    format = psycopg.pq.Format.BINARY

    def dump(self, obj: Halfvec | Bits) -> Buffer:
        return obj.sent


def register(connection: psycopg.Connection[Any]) -> None:
    """Teach a connection to send Halfvec and Bits."""
    found = connection.execute("SELECT oid FROM pg_type WHERE typname = 'halfvec'").fetchone()
    assert found is not None
    connection.adapters.register_dumper(Halfvec, type("_Halfvec", (_Ready,), {"oid": found[0]}))
    connection.adapters.register_dumper(Bits, type("_Bits", (_Ready,), {"oid": psycopg.adapters.types["bit"].oid}))
