"""How wide to walk, how much of a walk to believe: every rule is replayed on the same walks, for recall and cost.

python -m bench.walks                          every cell that keeps 2 %, 100 questions each
python -m bench.walks --rows 5000 --dim 64 --queries 5
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import filters, load
from bench.cells import Cell, cells
from bench.copying import Halfvec, register
from bench.dataset import Dataset, dataset
from bench.truth import Judge

EFS = (80, 100, 120, 150, 200, 250, 300, 400, 600, 800, 1000)
K = 10
LEAST = 0.02  # share of the pictures that a cell's filter keeps: below, nobody walks
BITS = 0.998  # recall of the way taken where no walk is believed


@dataclass(frozen=True)
class Rule:
    """base: the least ef; part: 1 / the part that is believed; wide, wider: the factors of the two walks."""

    base: int
    part: int
    wide: float
    wider: float | None


@dataclass(frozen=True)
class Asked:
    """A question: how many match, what the sample says; per ef, places of the first k + 1 that match, and recall."""

    matches: int
    share: float
    nearby: float
    places: dict[int, NDArray[np.int64]] = field(repr=False)
    recall: dict[int, float] = field(repr=False)


def walking(ef: float) -> float:
    """Return the ms of a walk: imgsearch_internal.walk_cost_ms()."""
    return 0.75 + 0.0155 * ef


def ranking(cell: str, matches: int, rows: int) -> float:
    """Return the ms of ranking by bits: what find() reckons."""
    if any(word in cell for word in ("attribute", "one-of", "colour", "everything")):
        return 2 + 0.0009 * matches
    if "range" in cell or "negation" in cell:
        return 2 + 0.0004 * rows + 0.0002 * matches
    return 2 + (0.0025 if "join" in cell else 0.00015) * matches


def replay(rule: Rule, cell: str, asked: Asked, rows: int) -> tuple[float, float]:
    """Return what a question would have cost by a rule, in ms, and its recall."""
    bits, cost = ranking(cell, asked.matches, rows), 0.4
    share, nearby = asked.share, asked.nearby
    if 0 < share < 0.95:
        tied = abs(nearby - share) > 2 * np.sqrt(share * (1 - share) / 32)
        nearby = min(1.0, nearby * nearby / share) if tied else (nearby + share) / 2
    needed = rule.part * K / nearby if nearby else np.inf
    ef = min(1000.0, max(rule.base, rule.wide * needed))
    tries = 0
    while needed <= 1000 and walking(ef) < 0.8 * bits:
        walked = next(step for step in EFS if step >= ef)
        cost += walking(walked)
        places, believed = asked.places[walked], walked // rule.part
        if len(places) > K and places[K] < believed:
            return cost, asked.recall[walked]
        if rule.wider is None or tries or walked >= EFS[-1]:
            break
        wider = max(1.5 * walked, rule.wider * walked * (K + 1) / max((places < believed).sum(), 0.5))
        if wider > 1600:
            break
        ef, tries = min(1000.0, wider), tries + 1
    return cost + bits, BITS


def questions(data: Dataset, url: str, judge: Judge, cell: Cell, many: int) -> list[Asked]:
    """Walk for every question of a cell, at every ef; for none where the filter keeps too few."""
    asks = cell.asks(many, 1)
    if not asks or filters.mask(asks[0].filter, judge.columns).sum() < LEAST * data.rows:
        return []
    truth = judge.truth(cell, asks)
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        register(connection)
        connection.execute("SELECT '[1]'::halfvec")
        sample = _sample(connection)
        for name, value in (("enable_sort", "off"), ("hnsw.iterative_scan", "off")):
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        for place, ask in enumerate(asks):
            vector = Halfvec(data.queries(cell.kind)[ask.query])
            kept = filters.mask(ask.filter, judge.columns)
            near = _near(connection, vector)
            places, recall = {}, {}
            for ef in EFS:
                walked = _walk(connection, vector, ef)
                places[ef] = np.flatnonzero(kept[walked])[: K + 1]
                first = (walked[places[ef][:K]] + 1).tolist()
                recall[ef] = judge.recall(cell, ask, truth, place, first, K)
            found.append(Asked(int(kept.sum()), float(kept[sample].mean()), float(kept[near].mean()), places, recall))
    return found


def _sample(connection: psycopg.Connection[Any]) -> NDArray[np.int64]:
    rows = connection.execute("SELECT image_id FROM imgsearch.image_sample").fetchall()
    return np.array([row[0] for row in rows], dtype=np.int64) - 1


def _near(connection: psycopg.Connection[Any], vector: Halfvec) -> NDArray[np.int64]:
    rows = connection.execute(
        "SELECT s.image_id FROM imgsearch.image_sample s, imgsearch_internal.search_context(%s, 10) a"
        " ORDER BY s.bits <~> a.bits LIMIT 32",
        [vector],
    ).fetchall()
    return np.array([row[0] for row in rows], dtype=np.int64) - 1


def _walk(connection: psycopg.Connection[Any], vector: Halfvec, ef: int) -> NDArray[np.int64]:
    connection.execute("SELECT set_config('hnsw.ef_search', %s, false)", [str(ef)])
    statement = SQL("SELECT image_id FROM {} ORDER BY embedding <=> %s LIMIT %s").format(
        Identifier("imgsearch", "vectors")
    )
    rows = connection.execute(statement, [vector, ef], prepare=True).fetchall()
    return np.array([row[0] for row in rows], dtype=np.int64) - 1


def table(rules: Sequence[Rule], found: dict[str, list[Asked]], rows: int) -> Table:
    """Return per rule: geometric mean of the median cost, lowest recall of a cell, cells below 0.99."""
    made = Table(title=f"{len(found)} cells, k = {K}", title_justify="left")
    for heading in ("ef at least", "believed", "first", "second", "ms (geometric mean)", "lowest recall", "below 0.99"):
        made.add_column(heading, justify="right")
    for rule in rules:
        played = {name: [replay(rule, name, one, rows) for one in asked] for name, asked in found.items()}
        costs = [np.median([cost for cost, _ in every]) for every in played.values()]
        recalls = [np.mean([recall for _, recall in every]) for every in played.values()]
        made.add_row(
            str(rule.base),
            f"1/{rule.part}",
            f"{rule.wide:g}",
            "-" if rule.wider is None else f"{rule.wider:g}",
            f"{np.exp(np.mean(np.log(costs))):.2f}",
            f"{min(recalls):.4f}",
            str(sum(recall < 0.99 for recall in recalls)),
        )
    return made


def main() -> int:
    """Walk, replay, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.walks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=100)
    chosen = parser.parse_args()
    data = dataset(chosen.rows, chosen.dim)
    kept = load.running(data)
    url, judge = load.ready(data), Judge(data)
    try:
        plain = [cell for cell in cells(data) if not cell.walled]
        found = {cell.name: questions(data, url, judge, cell, chosen.queries) for cell in track(plain, "walking")}
    finally:
        if not kept:
            load.stop(data)
    rules = [Rule(*each) for each in itertools.product((100, 150, 200, 250), (4, 5, 6, 7), (1.1, 1.4), (None, 1.2))]
    Console().print(table(rules, {name: asked for name, asked in found.items() if asked}, data.rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
