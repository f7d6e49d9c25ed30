"""What is stored is found by the same value, at every interface; files are read whole, whoever read of them before."""

from __future__ import annotations

import enum
import io
import json
import tempfile
import unicodedata
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image
from werkzeug.datastructures import FileStorage

from imgsearch import Filters, UsageError, add, change
from imgsearch.settings import Settings
from tests.test_catalogues import matching
from tests.test_cli_add import picture

Connection = psycopg.Connection[Any]
ADDRESS = "https://cdn.example.com/a.jpg"


class Size(enum.Enum):
    LARGE = "L"


class Number(enum.IntEnum):
    THREE = 3


MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
VALUES: list[tuple[Any, Any]] = [
    ("red", "red"),
    ("", ""),
    (unicodedata.normalize("NFD", "Café"), "Café"),
    (np.str_("red"), "red"),
    (True, True),
    (np.bool_(False), False),
    (42, 42),
    (np.int64(42), 42),
    (np.uint8(7), 7),
    (Number.THREE, 3),
    (4.5, 4.5),
    (np.float64(0.1), 0.1),
    (np.float32(4.1), 4.1),
    (Decimal("4.50"), 4.5),
    (Decimal("42"), 42),
    (Decimal("19.99"), 19.99),
    (10**40, 10**40),
    (Size.LARGE, "L"),
    (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    (MOMENT, "2026-01-02T01:04:05+00:00"),
    (MOMENT.astimezone(UTC), "2026-01-02T01:04:05+00:00"),
    (datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),  # noqa: DTZ001 - a local time is kept as it is
    (date(2026, 1, 2), "2026-01-02"),
    (time(9, 30), "09:30:00"),
    (timedelta(minutes=2), 120.0),
    (np.array(5), 5),
]
LISTS: list[tuple[Any, Any]] = [
    ({"red", "blue"}, ["blue", "red"]),
    (frozenset({1}), [1]),
    (("a", Decimal("1.5")), ["a", 1.5]),
    (np.array([1, 2]), [1, 2]),
    ([MOMENT], ["2026-01-02T01:04:05+00:00"]),
]
UNKNOWN: list[Any] = [
    *(float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("Infinity"), np.float32("nan"), 10**200),
    *(b"red", bytearray(b"x"), object(), 1j, lambda: 1, Path("x"), np.datetime64("2026-01-01"), range(3), "a\0b"),
    *("\ud800", Decimal("1.00000000000000000001"), {"a": float("nan")}, [b"x"], {1: 2}, {"": 1}),
    *(SimpleNamespace(a=1), "x" * 20_000, {None: 1}, {"e\u0301": 1, "\xe9": 2}),
]


def _name(value: Any) -> str:
    """Return what a value is called in each process alike: addresses and the order of a set differ."""
    ordered = sorted(value) if isinstance(value, set | frozenset) else value
    return repr(ordered).partition(" at 0x")[0][:40]


def attributes(connection: Connection) -> Any:
    row = connection.execute("SELECT attributes FROM imgsearch.image").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(("value", "stored"), VALUES + LISTS, ids=_name)
def test_what_is_stored_is_found_by_the_same_value(
    connection: Connection, settings: Settings, value: Any, stored: Any
) -> None:
    for write in (
        lambda: add(connection, ADDRESS, product_id="p", attributes={"v": value}, settings=settings),
        lambda: change(connection, product_id="p", attributes={"v": value}),
    ):
        write()
        assert attributes(connection) == {"v": stored}
        if isinstance(stored, list):
            asked: Any = {"is": value}
        else:
            asked = value
            assert matching(connection, attributes={"v": [value]}) == {"p"}
            assert matching(connection, condition={"any": [{"attributes.v": value}]}) == {"p"}
        assert matching(connection, attributes={"v": asked}) == {"p"}
        assert matching(
            connection, attributes=json.loads(json.dumps({"v": stored if asked is value else {"is": stored}}))
        )
        connection.execute("UPDATE imgsearch.image SET attributes = '{}'")


@pytest.mark.parametrize("value", UNKNOWN, ids=_name)
def test_what_json_does_not_know_is_refused_by_name(connection: Connection, settings: Settings, value: Any) -> None:
    add(connection, ADDRESS, product_id="p", settings=settings)
    for ask in (
        lambda: add(connection, ADDRESS, product_id="p", attributes={"weight": value}, settings=settings),
        lambda: change(connection, product_id="p", attributes={"weight": value}),
        lambda: Filters(attributes={"weight": value}).as_json(),
        lambda: Filters(condition={"attributes.weight": value}).as_json(),
    ):
        with pytest.raises(UsageError, match=r"weight|name"):
            ask()
    assert attributes(connection) == {}


# Files.


class CannotSeek(io.RawIOBase):
    """A pipe or a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


def opened(data: bytes) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed with the test
    file.write(data)
    file.flush()
    return file


FILES: dict[str, Callable[[bytes], Any]] = {
    "file": opened,
    "BytesIO": io.BytesIO,
    "spooled": lambda data: _written(tempfile.SpooledTemporaryFile(max_size=10), data),  # noqa: SIM115
    "werkzeug": lambda data: FileStorage(io.BytesIO(data), "a.jpg"),
    "starlette": lambda data: SimpleNamespace(file=io.BytesIO(data)).file,
}


def _written(file: Any, data: bytes) -> Any:
    file.write(data)
    return file


@pytest.fixture
def shot(tmp_path: Path) -> bytes:
    return picture(tmp_path / "a.jpg", (1, 2, 3)).read_bytes()


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("read_before", ["nothing", "some", "all"])
def test_a_file_is_read_from_its_start(
    connection: Connection, settings: Settings, shot: bytes, kind: str, read_before: str
) -> None:
    file = FILES[kind](shot)
    file.seek(0)
    file.read({"nothing": 0, "some": 100, "all": -1}[read_before])
    add(connection, file, product_id="p", settings=settings)
    same = add(connection, shot, product_id="p", settings=settings)
    assert same.outcome == "unchanged"


def test_a_file_that_a_library_has_looked_at_is_read_whole(
    connection: Connection, settings: Settings, shot: bytes, tmp_path: Path
) -> None:
    with (tmp_path / "a.jpg").open("rb") as file:
        Image.open(file).load()
        add(connection, file, product_id="p", settings=settings)
    assert add(connection, shot, product_id="p", settings=settings).outcome == "unchanged"
    add(connection, CannotSeek(shot), product_id="q", settings=settings)
    assert add(connection, shot, product_id="q", settings=settings).outcome == "unchanged"


class AsyncFile:
    """As Starlette's UploadFile."""

    async def read(self, size: int = -1) -> bytes:
        return b""

    async def seek(self, offset: int) -> None:
        return None


def closed() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (AsyncFile(), "await file.read()"),
        (SimpleNamespace(read=lambda: AsyncFile().read()), "await file.read()"),
        (io.StringIO("text"), "binary mode"),
        (closed(), "closed"),
        (None, "NoneType"),
        (5, "int"),
        (Image.new("RGB", (9, 9)), "Image"),
        ("a\0b.jpg", "cannot be read"),
        ("\ud800.jpg", "cannot be read"),
        (Path("/"), "directory"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_what_is_no_file_of_bytes_is_refused_with_the_cure(
    connection: Connection, settings: Settings, file: Any, says: str
) -> None:
    with pytest.raises(UsageError, match=says.replace("(", r"\(").replace(")", r"\)")):
        add(connection, file, product_id="p", settings=settings)
