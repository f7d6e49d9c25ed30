"""What does nearest(…, regions=1) cost beside search(…, regions => 1)? The server's processor time, in turn."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import sqlalchemy
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from bench import regions_speed
from bench.dataset import Dataset
from bench.filters import Filter
from bench.product import search_sql, selected
from bench.timed import fastest
from imgsearch import Image, nearest

K = 10
PER: dict[str, Any] = {"image": None, "product": [Image.tenant_id, Image.product_id]}


def asked(
    connection: psycopg.Connection[Any], data: Dataset, stored: NDArray[np.float16], questions: int
) -> dict[str, Any]:
    """Return {filter, per, weight: ms of search() and of nearest(), their ratio, and which way each went}."""
    del stored  # recall is the tests' and regions_speed's
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connection,
        poolclass=sqlalchemy.StaticPool,
        isolation_level="AUTOCOMMIT",
    )
    clock, cells = _spent(connection), dict[str, dict[str, list[Any]]]()
    with Session(engine) as session:
        for question in np.random.default_rng(3).choice(len(data.image_queries), questions, replace=False).tolist():
            for name, wanted in regions_speed.filters(data, question).items():
                for per in PER:
                    for weight in regions_speed.WEIGHTS:
                        runs = [
                            _search(connection, data, question, wanted, per, weight),
                            _nearest(session, data, question, wanted, per, weight),
                        ]
                        ways = [run() for run in runs]  # warms caches, too
                        cell = cells.setdefault(f"{name}, per {per}, {weight:g}", {"ms": [], "ways": []})
                        cell["ms"].append(fastest(runs, [clock, clock]))
                        cell["ways"].append(ways)
        join = _joined(session, data, questions, clock)
    return {name: _said(cell) for name, cell in cells.items()} | {"a join, half of the suppliers": join}


def _joined(session: Session, data: Dataset, questions: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Return what parts cost nearest() over a join, which search() has not: ms without, with 1 and with 0.5."""
    weights, times = (0, *regions_speed.WEIGHTS), list[list[float]]()
    for question in np.random.default_rng(4).choice(len(data.image_queries), questions, replace=False).tolist():
        for per in PER:
            runs = [_nearest(session, data, question, Filter(supplier=0), per, weight) for weight in weights]
            ways = {run() for run in runs[1:]}
            times.append(fastest(runs, [clock] * len(runs)))
    return {"ms": [round(statistics.median(one), 2) for one in zip(*times, strict=True)], "last_by": sorted(ways)}


def _said(cell: dict[str, list[Any]]) -> dict[str, Any]:
    theirs, ours = (statistics.median(times) for times in zip(*cell["ms"], strict=True))
    return {
        "search_ms": round(theirs, 2),
        "nearest_ms": round(ours, 2),
        "ratio": round(statistics.geometric_mean(b / a for a, b in cell["ms"]), 2),
        "search_by": dict(Counter(way[0] for way in cell["ways"])),
        "nearest_by": dict(Counter(way[1] for way in cell["ways"])),
    }


def _spent(connection: psycopg.Connection[Any]) -> Callable[[], float]:
    """Return a clock of the processor seconds that the connection's server process has used."""
    told = Path(f"/proc/{connection.info.backend_pid}/schedstat")
    return lambda: int(told.read_text().split()[0]) / 1e9


def _search(
    connection: psycopg.Connection[Any], data: Dataset, question: int, wanted: Filter, per: str, weight: float
) -> Callable[[], str]:
    text, values = search_sql(
        "image_id, distance, strategy", data.image_queries[question], wanted, k=K, per=per, regions=weight
    )
    cursor = connection.cursor(binary=True)

    def run() -> str:
        rows = cursor.execute(text.encode(), values, prepare=True).fetchall()
        return str(rows[0][2]) if rows else "none"

    return run


def _nearest(
    session: Session, data: Dataset, question: int, wanted: Filter, per: str, weight: float
) -> Callable[[], str]:
    statement, vector = selected(wanted), data.image_queries[question].tolist()

    def run() -> str:
        ranked = nearest(statement, vector, limit=K, per=PER[per], regions=weight, boxed=True, explained=True)
        rows = session.execute(ranked).all()
        return str(rows[0].strategy) if rows else "none"

    return run
