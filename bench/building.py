"""What nearest() costs before anything is sent, as it is and with get_final_froms() as before, in turn; no database.
A SELECT of pictures alone never asked for it, so it is not here.

python -m bench.building                       CPU time per statement, each shape 400 times
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from unittest import mock

from rich.console import Console
from rich.table import Table
from sqlalchemy import BigInteger, Select, select
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from imgsearch import Image, ImageId, nearest
from imgsearch.retrieval import by_select


class Base(DeclarativeBase):
    """A shop's table, never made."""


class Shoe(Base):
    __tablename__ = "shoe"
    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(BigInteger)


_NOW = by_select._froms  # noqa: SLF001  # what is measured


def _subquery(n: int) -> Select[Any]:
    held = select(Image.tenant_id, Image.image_id).where(Image.price < n).subquery()
    return select(held)


SHAPES: dict[str, Callable[[int], Select[Any]]] = {
    "joined": lambda n: select(Shoe, Image).join(Image, Image.image_id == Shoe.image_id).where(Shoe.id < n),
    "comma": lambda n: select(Shoe.__table__, Image).where(Shoe.image_id == Image.image_id, Shoe.id < n),
    "subquery": _subquery,
}


def built(shape: Callable[[int], Select[Any]], n: int, old: bool) -> float:
    """Return the ms of CPU that building one statement takes."""
    statement = shape(n)
    with mock.patch.object(by_select, "_froms", Select.get_final_froms if old else _NOW):
        began = time.thread_time()
        nearest(statement, ImageId(n))
        return (time.thread_time() - began) * 1000


def looked_up(shape: Callable[[int], Select[Any]], rounds: int) -> tuple[float, int]:
    """Return the ms of CPU that SQLAlchemy takes to know a statement again, and how many it compiled."""
    cache: dict[Any, Any] = {}
    dialect, took = psycopg.dialect(), []
    for n in range(rounds):
        statement = nearest(shape(n), ImageId(n))
        began = time.thread_time()
        statement._compile_w_cache(dialect, compiled_cache=cache, column_keys=[])  # noqa: SLF001
        took.append((time.thread_time() - began) * 1000)
    return median(took), len(cache)


def main() -> None:
    """Print a row per shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    table = Table("shape", "built before, ms", "built, ms", "×", "known again, ms", "compiled")
    for name, shape in SHAPES.items():
        pairs = [(built(shape, n, True), built(shape, n, False)) for n in range(rounds)]
        before, now = (median(side) for side in zip(*pairs, strict=True))
        known, compiled = looked_up(shape, rounds)
        row = (f"{before:.2f}", f"{now:.2f}", f"{now / before:.2f}", f"{known:.2f}", f"{compiled}/{rounds}")
        table.add_row(name, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
