"""The hostile values: of every type, size, encoding, normal form, time and number that people really send."""

from __future__ import annotations

import enum
import io
import math
import unicodedata
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

E_ACUTE = unicodedata.normalize("NFD", "Caf\xe9")


class AsyncFile:
    """As FastAPI's UploadFile."""

    async def read(self, size: int = -1) -> bytes:
        return b""

    async def seek(self, offset: int) -> None:
        return None


class Colour(enum.Enum):
    RED = "red"


class Broken:
    """A value whose own methods fail."""

    def __float__(self) -> float:
        raise ValueError("no number")

    def __index__(self) -> int:
        raise TypeError("no number")


def closed() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


TEXTS: dict[str, str] = {
    "empty": "",
    "blank": "   ",
    "null character": "a\0b",
    "lone surrogate": "a\ud800",
    "escape": "\x1b[31mred",
    "C1": "a\x9bb",
    "newline": "a\nb",
    "bidi override": "a\u202eb",
    "NFD": E_ACUTE,
    "emoji": "👟" * 3,
    "12 kB": "x" * 12_000,
    "1 MB": "y" * 1_000_000,
    "quote": "'; DROP TABLE imgsearch.image; --",
    "percent": "%s %(x)s {x} $1",
    "backslash": "\\u0000",
    "number": "42",
    "not a number": "NaN",
    "date": "2026-01-31",
    "JSON": '{"a": NaN}',
    "cursor": "1e999,5",
    "null": "null",
    "star": "*",
}

JSONS: dict[str, Any] = {
    **TEXTS,
    "None": None,
    "True": True,
    "zero": 0,
    "minus one": -1,
    "fraction": 2.7,
    "whole fraction": 2.0,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "tiny": 5e-324,
    "huge": 1e308,
    "2**31": 2**31,
    "2**40": 2**40,
    "2**63": 2**63,
    "10**400": 10**400,
    "empty list": [],
    "list of None": [None],
    "list of texts": ["a", "b"],
    "list of NaN": [math.nan],
    "list of lists": [["a"]],
    "long list": list(range(2000)),
    "empty object": {},
    "object": {"a": 1},
    "object of NaN": {"a": math.nan},
    "object with a bad name": {"a\0": 1},
    "object of a surrogate": {"a": "\udfff"},
    "nested": nested(40),
    "nested far": nested(900),
}

VALUES: dict[str, Callable[[], Any]] = {
    **{name: lambda value=value: value for name, value in JSONS.items()},
    "Decimal": lambda: Decimal("4.5"),
    "Decimal NaN": lambda: Decimal("NaN"),
    "Decimal sNaN": lambda: Decimal("sNaN"),
    "long Decimal": lambda: Decimal("1.00000000000000000000001"),
    "huge Decimal": lambda: Decimal("1e999999"),
    "numpy int": lambda: np.int64(3),
    "numpy float": lambda: np.float32(0.5),
    "numpy bool": lambda: np.bool_(True),
    "numpy NaN": lambda: np.float64("nan"),
    "numpy text": lambda: np.str_("x"),
    "numpy time": lambda: np.datetime64("2026-01-01"),
    "numpy array": lambda: np.array([1.0, 2.0]),
    "numpy matrix": lambda: np.zeros((2, 2)),
    "numpy objects": lambda: np.array([object()], dtype=object),
    "complex": lambda: 1j,
    "bytes": lambda: b"red",
    "no picture": lambda: b"\xff\xd8\xff" + b"x" * 100,
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"x"),
    "set": lambda: {"a", 1},
    "tuple": lambda: ("a", 1),
    "pair": lambda: [("a", math.nan)],
    "generator": lambda: (n for n in (1, math.nan)),
    "range": lambda: range(3),
    "naive time": lambda: datetime(2026, 1, 2),  # noqa: DTZ001
    "time": lambda: datetime(2026, 1, 2, tzinfo=UTC),
    "first time": lambda: datetime.min.replace(tzinfo=UTC),
    "last time": lambda: datetime.max.replace(tzinfo=timezone(timedelta(hours=-3))),
    "date": lambda: date(2026, 1, 2),
    "timedelta": lambda: timedelta(days=1),
    "UUID": lambda: uuid.UUID(int=1),
    "Enum": lambda: Colour.RED,
    "class": lambda: Colour,
    "function": lambda: print,
    "object itself": object,
    "namespace": lambda: SimpleNamespace(a=1),
    "Broken": Broken,
    "async file": AsyncFile,
    "StringIO": lambda: io.StringIO("x"),
    "BytesIO": lambda: io.BytesIO(b"x"),
    "closed file": closed,
    "opened picture": lambda: Image.new("RGB", (9, 9)),
    "folder": lambda: Path("/"),
    "no file": lambda: Path("/nonexistent/a.jpg"),
    "path with a null character": lambda: Path("a\0.jpg"),
    "exception": lambda: ValueError("x"),
}
