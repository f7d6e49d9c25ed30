"""How wide to walk, how much of a walk to believe: every rule is replayed on the same walks, for recall and cost.

python -m bench.walks                          every cell that keeps 2 %, and two more; 40 questions each
python -m bench.walks --rows 5000 --dim 64 --queries 5

Each question is walked once, 1,600 wide, in steps of 40 (relaxed_order): the first n are as good as a walk of n. Bits
are taken as exact, so that what is missed is the walk's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from bench.choice import Choice
from bench.copying import Halfvec, register
from bench.dataset import Dataset, dataset
from bench.filters import Filter, category_name
from bench.truth import SAME, Judge

WIDEST = 1600
LEAST = 0.02  # share of the pictures that a cell's filter keeps: below, nobody walks
CAUTIOUS = {10: 6, 100: 4}  # cautious_divisor()
DEAR = 0.75  # of what bits cost: a walk that costs more is not begun


@dataclass(frozen=True)
class Rule:
    """ef: the least width, spread: 1 / the part that is believed, for pictures and texts; walks: how many at most.

    resumed: a further walk goes on where the last one stopped, at 1.09 of its cost and 0.3 ms for what reads it (both
    measured), in place of beginning anew.
    """

    ef: tuple[int, int]
    spread: tuple[int, int]
    walks: int = 2
    resumed: bool = False


@dataclass(frozen=True)
class Asked:
    """A question: how many match, what the sample says; distances of what was walked, which match, and of the true."""

    matches: int
    share: float
    nearby: float
    distances: NDArray[np.float32] = field(repr=False)
    kept: NDArray[np.bool_] = field(repr=False)
    truth: NDArray[np.float32] = field(repr=False)


def walking(ef: float) -> float:
    """Return the ms of a walk: imgsearch_internal.walk_cost_ms()."""
    return 1.2 + 0.029 * ef


def ranking(cell: str, matches: int, rows: int) -> float:
    """Return the ms of ranking by bits: imgsearch_internal.bits_cost_ms()."""
    exact = min(4.5, 1 + 0.00035 * matches)
    if "join" in cell:
        return exact + 0.0025 * matches
    if any(word in cell for word in ("attribute", "one-of", "colour", "everything", "range", "exists", "negation")):
        reached = rows if any(word in cell for word in ("range", "exists", "negation")) else matches
        looked = min(0.00022 * rows, 0.00035 * reached + 0.0007 * min(0.05 * rows, reached))
        return exact + 0.0002 * matches + looked
    if "unfiltered" in cell or ("stock" in cell and "category" not in cell):
        return exact + 0.0001 * matches + 0.000085 * rows
    return exact + 0.000185 * matches


def replay(rule: Rule, cell: str, asked: Asked, rows: int, k: int) -> tuple[float, float, bool]:
    """Return what a question would have cost by a rule, in ms, its recall, and whether bits answered it."""
    bits, text = ranking(cell, asked.matches, rows), cell.startswith("text")
    spread = rule.spread[text] if k <= 50 else CAUTIOUS[k]
    needed = spread * k / nearby if (nearby := _nearby(asked)) else np.inf
    wide = min(1000.0, max(rule.ef[text], 1.1 * needed * max(1.0, 5 / spread)))
    if needed > 1000 or walking(wide) >= DEAR * bits:
        return bits, 1.0, True
    cost = 1.09 * walking(wide) + 0.3 if rule.resumed else walking(wide)
    for walk in range(1, rule.walks + 1):
        passed = _passed(asked, int(wide), int(wide) // spread)
        doubt = _doubt(CAUTIOUS[k] / spread, asked.share * (int(wide) // spread), passed)
        if passed // doubt > k:
            return cost, _recall(asked, int(wide), k), False
        wider = max(1.5 * wide, 1.2 * wide * (k + 1) / max(passed // doubt, 0.5))
        further = 0.029 * 1.09 * (wider - wide) + 0.3 if rule.resumed else walking(min(1000, wider))
        most = WIDEST if rule.resumed else 1000
        if walk == rule.walks or wide >= most or wider > WIDEST or further >= DEAR * bits:
            break
        wide, cost = min(float(most), wider), cost + further
    return cost + bits, 1.0, True


def _nearby(asked: Asked) -> float:
    """choose_ef(): the share of what matches near the question."""
    share, nearby = asked.share, asked.nearby
    if share >= 0.95 or share == 0:
        return share
    tied = abs(nearby - share) > 2 * np.sqrt(share * (1 - share) / 32)
    return float(min(1.0, nearby * nearby / share) if tied else (nearby + share) / 2)


def _doubt(bolder: float, expected: float, passed: int) -> float:
    """sure(): how many times the page must match."""
    return float(max(1.0, min(bolder, np.sqrt(expected / max(passed, 0.5)))))


def _passed(asked: Asked, wide: int, believed: int) -> int:
    order = np.argsort(asked.distances[:wide], kind="stable")[:believed]
    return int(asked.kept[:wide][order].sum())


def _recall(asked: Asked, wide: int, k: int) -> float:
    wanted = min(k, asked.matches)
    first = np.sort(asked.distances[:wide][asked.kept[:wide]])[:k]
    return float((first <= asked.truth[wanted - 1] + 2 * SAME).sum()) / wanted


def against(data: Dataset) -> Iterator[Cell]:
    """Yield two cells more of each kind, in which filters leave out the question's own category."""
    ordered = np.argsort(-np.bincount(data.products.category[data.product_of])).tolist()
    for kind in ("image", "text"):
        choice = Choice(data, kind)
        for name, many in (("not own category", None), ("biggest other category", 1)):
            chosen = partial(_others, ordered, choice.asked.category.tolist(), many)
            yield Cell(name=f"{kind} {name}", kind=kind, weight=choice.weight, choose=chosen)


def _others(ordered: Sequence[int], own: Sequence[int], many: int | None, query: int) -> Filter:
    return Filter(categories=tuple(category_name(one) for one in [one for one in ordered if one != own[query]][:many]))


def questions(data: Dataset, url: str, judge: Judge, cell: Cell, many: int) -> list[Asked]:
    """Walk for every question of a cell; for none where the filter keeps too few."""
    asks = cell.asks(many, 3)
    if not asks or filters.mask(asks[0].filter, judge.columns).mean() < LEAST:
        return []
    truth = judge.truth(cell, asks)
    found = []
    with psycopg.connect(url, autocommit=True) as connection:
        register(connection)
        connection.execute("SELECT '[1]'::halfvec")
        sample = _sample(connection)
        for name, value in _SETTINGS.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        for place, ask in enumerate(asks):
            vector = Halfvec(data.queries(cell.kind)[ask.query])
            kept, near = filters.mask(ask.filter, judge.columns), _near(connection, vector)
            walked, distances = _walk(connection, vector)
            found.append(
                Asked(
                    int(kept.sum()),
                    float(kept[sample].mean()),
                    float(kept[near].mean()),
                    distances,
                    kept[walked],
                    truth.distances[place],
                )
            )
    return found


_SETTINGS = {
    "enable_sort": "off",
    "hnsw.iterative_scan": "relaxed_order",
    "hnsw.ef_search": "40",
    "hnsw.max_scan_tuples": "100000",
    "hnsw.scan_mem_multiplier": "16",
}


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


def _walk(connection: psycopg.Connection[Any], vector: Halfvec) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    statement = SQL("SELECT image_id, embedding <=> %s FROM {} ORDER BY embedding <=> %s LIMIT %s").format(
        Identifier("imgsearch", "vectors")
    )
    rows = connection.execute(statement, [vector, vector, WIDEST], prepare=True).fetchall()
    ids, distances = zip(*rows, strict=True)
    return np.array(ids, dtype=np.int64) - 1, np.array(distances, dtype=np.float32)


def table(rules: Sequence[Rule], found: dict[str, list[Asked]], rows: int, k: int) -> Table:
    """Return per rule: what it costs against the first, recall, cells below 0.99, and how often bits answer."""
    made = Table(title=f"{len(found)} cells, k = {k}", title_justify="left")
    for heading in ("ef", "believed", "walks", "× first", "recall", "lowest", "below 0.99", "by bits"):
        made.add_column(heading, justify="right")
    first: list[float] = []
    for rule in rules:
        played = [[replay(rule, name, one, rows, k) for one in asked] for name, asked in found.items()]
        costs = [float(np.mean([cost for cost, _, _ in every])) for every in played]
        recalls = [float(np.mean([recall for _, recall, _ in every])) for every in played]
        first = first or costs
        made.add_row(
            f"{rule.ef[0]}, {rule.ef[1]}",
            f"1/{rule.spread[0]}, 1/{rule.spread[1]}",
            f"{rule.walks}{' resumed' if rule.resumed else ''}",
            f"{np.exp(np.mean(np.log(np.array(costs) / first))):.3f}",
            f"{np.mean(recalls):.4f}",
            f"{min(recalls):.4f}",
            str(sum(recall < 0.99 for recall in recalls)),
            f"{np.mean([bits for every in played for _, _, bits in every]):.2f}",
        )
    return made


RULES = (
    Rule((120, 100), (4, 4)),
    Rule((120, 100), (4, 4), walks=9, resumed=True),
    Rule((120, 100), (3, 3)),
    Rule((120, 60), (2, 2)),
    Rule((140, 80), (2, 2)),
    Rule((140, 100), (3, 2)),
    Rule((160, 100), (2, 3)),
    Rule((160, 100), (3, 2)),
    Rule((180, 100), (2, 2)),
    Rule((180, 100), (3, 2)),
)


def main() -> int:
    """Walk, replay, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.walks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--cells", default="", metavar="TEXT", help="only cells whose name holds this")
    chosen = parser.parse_args()
    data = dataset(chosen.rows, chosen.dim)
    kept = load.running(data)
    url, judge = load.ready(data), Judge(data)
    try:
        plain = [one for one in (*against(data), *cells(data)) if not one.walled and chosen.cells in one.name]
        found = {one.name: questions(data, url, judge, one, chosen.queries) for one in track(plain, "walking")}
    finally:
        if not kept:
            load.stop(data)
    for kind in ("image", "text"):
        of_kind = {name: asked for name, asked in found.items() if asked and name.startswith(kind)}
        for k in CAUTIOUS if of_kind else ():
            Console().print(kind, table(RULES, of_kind, data.rows, k))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
