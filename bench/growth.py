"""How cost grows with a catalogue: the same kinds of question over databases of several sizes, asked in turn.

    python -m bench.growth                                25,000, 50,000, 100,000 and 200,000 pictures x 768
    python -m bench.growth --rows 50000,200000 --queries 30 --cells 'tenant|none'

Prints recall and the processor time of the backend per cell and size, the exponent of its growth (1: linear, 0: none),
bytes per picture, and how long the graph took; writes bench/out/growth.json.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bench import load
from bench.cells import Ask, Cell, cells
from bench.dataset import OUT, Dataset, dataset
from bench.methods import Sessions
from bench.product import SearchSql
from bench.truth import Judge, Truth

CELLS = (
    r"^(unfiltered|price 50% unc|price 50% anti|price 1% unc|category 10% unc|tenant 30% unc|tenant 1% unc|"
    r"stock 15% unc|attribute 10% unc)$"
)
TRIES = 3  # the fastest counts: other work weighs on no size more than on another
_BYTES = """
    SELECT c.relname, pg_total_relation_size(c.oid) AS all_, pg_indexes_size(c.oid) AS indexes FROM pg_class c
    WHERE c.relnamespace = 'imgsearch'::regnamespace AND c.relkind = 'r'
"""


@dataclass
class Place:
    """One size: its data, its server, and what was measured there."""

    data: Dataset
    url: str
    kept: bool
    asked: SearchSql
    judge: Judge
    by_name: dict[tuple[str, str], Cell] = field(default_factory=dict)

    def close(self) -> None:
        """End the connections, and the server unless it ran before."""
        self.asked.close()
        if not self.kept:
            load.stop(self.data)


def place(rows: int, dim: int) -> Place:
    """Return a size with its database loaded."""
    data = dataset(rows, dim)
    kept, began = load.running(data), time.perf_counter()
    url = load.ready(data)
    print(f"{rows:,} pictures ready after {time.perf_counter() - began:.0f} s", flush=True)
    made = Place(data, url, kept, SearchSql(data, Sessions(url, {})), Judge(data))
    named = ((cell.name.removeprefix(f"{cell.kind} "), cell) for cell in cells(data) if not cell.walled)
    made.by_name = {(cell.kind, name): cell for name, cell in named}
    return made


def measured(places: Sequence[Place], name: tuple[str, str], queries: int, k: int) -> list[dict[str, Any]]:
    """Return a cell's figures per size; the nth question of each size is asked in turn."""
    cells_ = [one.by_name[name] for one in places]
    asks = [cell.asks(queries, seed=1) for cell in cells_]
    truths = [one.judge.truth(cell, made) for one, cell, made in zip(places, cells_, asks, strict=True)]
    found = [dict[str, Any](times=[], recall=[], ways=Counter[str]()) for _ in places]
    for number in range(min(map(len, asks))):
        for one, cell, made, truth, kept in zip(places, cells_, asks, truths, found, strict=True):
            _ask(one, cell, made[number], truth, number, k, kept)
    return [
        {
            "cell": " ".join(name),
            "rows": one.data.rows,
            "questions": len(kept["times"]),
            "recall": round(statistics.fmean(kept["recall"]), 4),
            "cpu_ms": round(statistics.median(kept["times"]), 2),
            "strategies": dict(kept["ways"]),
        }
        for one, kept in zip(places, found, strict=True)
    ]


def _ask(one: Place, cell: Cell, ask: Ask, truth: Truth, number: int, k: int, kept: dict[str, Any]) -> None:
    run = one.asked.ready(cell, ask, k)
    answer, best = run(), math.inf
    for _ in range(TRIES):
        before = one.asked.spent(cell)
        run()
        best = min(best, (one.asked.spent(cell) - before) * 1000)
    kept["times"].append(best)
    kept["recall"].append(one.judge.recall(cell, ask, truth, number, answer.ids, k))
    kept["ways"][answer.strategy] += 1


def sizes(one: Place) -> dict[str, float]:
    """Return bytes per picture: of all tables, of the rows and bits, and of the vectors with their graph."""
    with psycopg.connect(one.url) as connection:
        tables = {name: (int(all_), int(indexes)) for name, all_, indexes in connection.execute(_BYTES).fetchall()}
    vectors = next(found for name, found in tables.items() if re.fullmatch(r"embedding_\d+", name))
    return {
        "all": round(sum(all_ for all_, _ in tables.values()) / one.data.rows),
        "images": round(tables["image"][0] / one.data.rows),
        "vectors": round((vectors[0] - vectors[1]) / one.data.rows),
        "graph": round(vectors[1] / one.data.rows),
    }


def exponent(figures: Sequence[dict[str, Any]]) -> float:
    """Return e of cost = c * rows ** e, by least squares over the logarithms."""
    x, y = ([math.log(one[name]) for one in figures] for name in ("rows", "cpu_ms"))
    return round(statistics.linear_regression(x, y).slope, 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="25000,50000,100000,200000")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--cells", default=CELLS, metavar="REGEX")
    parser.add_argument("--json", type=Path, default=OUT / "growth.json")
    given = parser.parse_args(arguments)
    rows = [int(one) for one in given.rows.split(",")]
    places, found = list[Place](), list[dict[str, Any]]()
    try:
        places += [place(many, given.dim) for many in rows]
        names = [name for name in places[0].by_name if all(name in one.by_name for one in places)]
        print(f"\n| cell | {' | '.join(f'{many:,}' for many in rows)} | grows by |\n|-|{'-|' * len(rows)}-|")
        for name in (one for one in names if re.search(given.cells, one[1])):
            figures = measured(places, name, given.queries, given.k)
            found += figures
            told = " | ".join(f"{one['cpu_ms']:.1f} ms ({one['recall']:.3f})" for one in figures)
            print(f"| {' '.join(name)} | {told} | n^{exponent(figures)} |", flush=True)
        bytes_ = {one.data.rows: sizes(one) for one in places}
        print(json.dumps(bytes_, indent=1))
    finally:
        for one in places:
            one.close()
    given.json.write_text(json.dumps({"cells": found, "bytes": bytes_}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
