"""One result per product against one per picture: recall by product, short pages, and what grouping costs.

    python -m bench.per_product                             200,000 pictures in products of 1, 5 and 20 near-alike ones
    python -m bench.per_product --rows 1000000 --k 10,24
    python -m bench.per_product --cells 'tenant' --queries 5

Questions are asked by `imgsearch.search()` with per => 'product' and per => 'image' in turn, prepared; the fastest of
three tries counts, so that other work on the machine weighs on neither.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import load
from bench.cells import Ask, Cell
from bench.choice import Choice
from bench.dataset import OUT, SIZES, Dataset, dataset
from bench.filters import Filter, category_name
from bench.methods import Sessions
from bench.product import search_sql
from bench.product_truth import ProductJudge, ProductTruth
from bench.timed import fastest

FAR = 0.15  # share of the pictures in the categories of the cell "category far"
GOOD = 0.99  # the bar: product recall in every cell
_COLUMNS = "image_id, product_id, distance, strategy, matches, more"


def cells(data: Dataset, kind: str = "image") -> Iterator[Cell]:
    """Yield the cells: each filter for questions whose category holds products of one size."""
    choice = Choice(data, kind)
    makers: dict[str, Callable[[int], Filter]] = {
        "none": lambda _: Filter(),
        "price 50%": lambda query: _price(choice, query),
        "tenant 30%": lambda _: Filter(tenant="general-30"),
        "tenant 1%": lambda _: Filter(tenant="general-1"),
        "category near": lambda query: Filter(categories=(category_name(int(data.asked.category[query])),)),
        "category far": lambda query: Filter(categories=far(choice, query)),
    }
    for name, choose in makers.items():
        for place, size in enumerate(SIZES.tolist()):
            yield Cell(
                name=f"{name}, {size} a product", kind=kind, weight=choice.weight, choose=_of(data, place, choose)
            )


def _of(data: Dataset, place: int, choose: Callable[[int], Filter]) -> Callable[[int], Filter | None]:
    return lambda query: choose(query) if data.asked.category[query] % len(SIZES) == place else None


def _price(choice: Choice, query: int) -> Filter:
    low, high = choice.price(query, 0.5, "unc")
    return Filter(min_price=low, max_price=high)


def far(choice: Choice, query: int) -> tuple[str, ...]:
    """Return categories of the question's product size, but not its own: the farthest, about FAR of the pictures."""
    own = int(choice.asked.category[query])
    taken, total = [], 0
    for number in choice.nearness[query].argsort().tolist():
        if number != own and number % len(SIZES) == own % len(SIZES) and choice.counts[number]:
            taken.append(category_name(number))
            total += int(choice.counts[number])
        if total >= FAR * choice.data.rows:
            break
    return tuple(taken)


class PerProduct:
    """The SQL function asked per product and per image over two connections."""

    def __init__(self, data: Dataset, url: str) -> None:
        self.data = data
        self.sessions = {per: Sessions(url, {}, None) for per in ("product", "image")}

    def ready(self, per: str, cell: Cell, ask: Ask, k: int) -> Callable[[], list[Any]]:
        """Return what is timed: it returns rows of (image_id, product_id, distance, strategy, matches, more)."""
        vector = self.data.queries(cell.kind)[ask.query]
        text, values = search_sql(_COLUMNS, vector, ask.filter, k=k, per=per)
        cursor = self.sessions[per].of(cell, ask).cursor(binary=True)
        return lambda: cursor.execute(text.encode(), values, prepare=True).fetchall()

    def close(self) -> None:
        for sessions in self.sessions.values():
            sessions.close()


def measured(
    asked: PerProduct, judge: ProductJudge, cell: Cell, asks: Sequence[Ask], truth: ProductTruth, k: int
) -> dict[str, Any]:
    """Return the figures of one cell at one k."""
    recall, strategies = list[float](), Counter[str]()
    milliseconds: tuple[list[float], list[float]] = ([], [])
    short = wrong_counts = farther = 0
    for place, ask in enumerate(asks):
        both = [asked.ready(per, cell, ask, k) for per in ("product", "image")]
        rows = both[0]()
        both[1]()  # warms caches and plans as the first did
        products = [int(row[1].removeprefix("product-")) for row in rows]
        recall.append(judge.recall(ask, truth, place, products, k))
        short += len(rows) < min(k, int(truth.products[place]))
        # A product must stand at its own nearest matching picture.
        farther += sum(
            row[2] > judge.distance(ask, product) + 1e-5 for row, product in zip(rows, products, strict=True)
        )
        wrong_counts += bool(rows) and not rows[0][5] and rows[0][4] != int(truth.products[place])
        strategies[rows[0][3] if rows else "none"] += 1
        for times, best in zip(milliseconds, fastest(both), strict=True):
            times.append(best)
    per_product, per_image = (statistics.median(times) for times in milliseconds)
    return {
        "cell": cell.name,
        "k": k,
        "questions": len(asks),
        "recall": round(statistics.fmean(recall), 4),
        "worst": round(min(recall), 3),
        "short": short,
        "farther": farther,
        "wrong_counts": wrong_counts,
        "product_ms": round(per_product, 2),
        "image_ms": round(per_image, 2),
        "ratio": round(per_product / per_image, 3),
        "strategies": dict(strategies),
    }


def summary(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the bars are about: the worst recall, short pages, the geometric mean of the ratios."""
    strategies: Counter[str] = sum((Counter(one["strategies"]) for one in found), Counter())
    return {
        "worst_recall": min(one["recall"] for one in found),
        "cells_below": [f"{one['cell']}, k {one['k']}" for one in found if one["recall"] < GOOD],
        "short": sum(one["short"] for one in found),
        "farther": sum(one["farther"] for one in found),
        "wrong_counts": sum(one["wrong_counts"] for one in found),
        "ratio": round(statistics.geometric_mean(one["ratio"] for one in found), 3),
        "strategies": {name: round(many / strategies.total(), 3) for name, many in strategies.items()},
    }


def line(one: dict[str, Any]) -> str:
    """Return one cell's figures as a line."""
    found = f"{one['cell']:28} k {one['k']:3}  recall {one['recall']:.4f} ({one['worst']:.2f})  short {one['short']}"
    found += f"  {one['product_ms']:7.2f} / {one['image_ms']:7.2f} ms  x {one['ratio']:.2f}  {one['strategies']}"
    return found + "".join(f"  {one[name]} {name}!" for name in ("farther", "wrong_counts") if one[name])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line per cell and a summary; keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--kind", choices=("image", "text"), default="image")
    parser.add_argument("--queries", type=int, default=16, help="questions of each product size (16)")
    parser.add_argument("--k", default="10,24", help="page sizes (10,24)")
    parser.add_argument("--cells", default=".", metavar="REGEX")
    parser.add_argument("--json", type=Path, help="where the figures go (bench/out/per-product-<rows>.json)")
    given = parser.parse_args(arguments)
    data = dataset(given.rows, given.dim, alike=True)
    kept = load.running(data)
    url = load.ready(data)
    judge, asked, found = ProductJudge(data, given.kind), PerProduct(data, url), []
    try:
        wanted = [
            (cell, cell.asks(given.queries, seed=1))
            for cell in cells(data, given.kind)
            if re.search(given.cells, cell.name)
        ]
        for cell, asks in wanted:
            truth = judge.truth(asks)
            for k in map(int, given.k.split(",")):
                found.append(measured(asked, judge, cell, asks, truth, k))
                print(line(found[-1]), flush=True)
    finally:
        asked.close()
        if not kept:
            load.stop(data)
    figures = {"rows": given.rows, "cells": found, "summary": summary(found)}
    print(json.dumps(figures["summary"], indent=1))
    (given.json or OUT / f"per-product-{given.rows}.json").write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
