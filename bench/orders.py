"""What expansion, diversity, boosts and sorting do to an answer: before and after, on the drawn catalogue.

    python -m bench.orders                                200,000 pictures, 100 questions of each kind
    python -m bench.orders --rows 20000 --dim 64 --questions 10

A product fits fully (grade 3) where it is of the question's look (its cluster), a little (1) where of its category.
Per arm: nDCG@10; precision@10, the share that is of the look; how many different products ten rows show; how alike the
rows are to each other (mean cosine of all pairs); the share in stock; the mean price; ms as the fastest of three tries.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench import load
from bench.copying import register
from bench.dataset import OUT, Dataset, dataset
from bench.filters import Filter
from bench.product import search_sql
from bench.timed import fastest
from imgsearch.evaluation.metrics import ndcg, precision

K = 10
ARMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "expand": {"expand": True},
    "diversity 0.3": {"diversity": 0.3},
    "diversity 0.7": {"diversity": 0.7},
    "boost in stock 0.05": {"boost": {"in_stock": 0.05}},
    "boost in stock 0.2": {"boost": {"in_stock": 0.2}},
    "sort price": {"sort": "price"},
    "sort -price": {"sort": "-price"},
    "sort price, cut": {"sort": "price", "cutoff": "auto"},
}
_COLUMNS = "image_id, product_id, distance"


class Grader:
    """How well the products of a dataset fit a question: {product: 3 of its look, 1 of its category}."""

    def __init__(self, data: Dataset) -> None:
        self.data = data
        there = np.zeros(len(data.products.category), dtype=bool)
        there[data.product_of] = True
        self.there = there

    def grades(self, query: int) -> Mapping[Hashable, float]:
        """Return the grades of question `query` of the pool, of products that have pictures."""
        look = self.there & (self.data.products.cluster == self.data.asked.cluster[query])
        kind = self.there & (self.data.products.category == self.data.asked.category[query])
        found: dict[Hashable, float] = {int(n): 1.0 for n in np.flatnonzero(kind)}
        return found | {int(n): 3.0 for n in np.flatnonzero(look)}


def alike(data: Dataset, images: Sequence[int]) -> float:
    """Return the mean cosine of all pairs of pictures; NaN for fewer than two."""
    if len(images) < 2:
        return float("nan")
    rows = data.vectors[np.asarray(images) - 1].astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = rows @ rows.T
    return float(cosines[np.triu_indices(len(rows), 1)].mean())


def judged_page(data: Dataset, rows: Sequence[tuple[Any, ...]], grades: Mapping[Hashable, float]) -> dict[str, float]:
    """Return the figures of one page of rows (image_id, product_id, distance)."""
    products = [int(row[1].removeprefix("product-")) for row in rows]
    ranked = list(dict.fromkeys(products))  # per image a product counts at its first row
    return {
        "ndcg": ndcg(ranked, grades, K),
        "precision": precision(ranked, {product: grade for product, grade in grades.items() if grade > 1}, K),
        "products": len(ranked),
        "alike": alike(data, [row[0] for row in rows]),
        "in stock": float(data.products.in_stock[products].mean()) if products else float("nan"),
        "price": float(data.products.price[products].mean()) if products else float("nan"),
        "rows": len(rows),
    }


def compared(connection: psycopg.Connection[Any], data: Dataset, kind: str, per: str, queries: Sequence[int]) -> Any:
    """Return {arm: mean figures} over the questions, one row per product or per image."""
    grader, found = Grader(data), {arm: list[dict[str, float]]() for arm in ARMS}
    for query in queries:
        grades = grader.grades(query)
        asks = {
            arm: search_sql(_COLUMNS, data.queries(kind)[query], Filter(), k=K, per=per, **ranking)
            for arm, ranking in ARMS.items()
        }
        runs = [
            partial(lambda text, values: connection.execute(text.encode(), values, prepare=True).fetchall(), *one)
            for one in asks.values()
        ]
        pages = [run() for run in runs]
        for arm, rows, took in zip(ARMS, pages, fastest(runs), strict=True):
            found[arm].append(judged_page(data, rows, grades) | {"ms": took})
    return {
        arm: {name: round(_mean([page[name] for page in pages]), 3) for name in pages[0]}
        for arm, pages in found.items()
    }


def _mean(numbers: Sequence[float]) -> float:
    return statistics.fmean([number for number in numbers if number == number] or [float("nan")])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--questions", type=int, default=100, help="of each kind (100)")
    parser.add_argument("--json", type=Path, help="where the figures go (bench/out/orders-<rows>.json)")
    given = parser.parse_args(arguments)
    data = dataset(given.rows, given.dim, alike=True)
    kept = load.running(data)
    url = load.ready(data)
    queries = np.random.default_rng(41).choice(len(data.image_queries) // 2, given.questions, replace=False).tolist()
    figures: dict[str, Any] = {"rows": given.rows, "questions": given.questions}
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            register(connection)
            for kind, per in (("image", "product"), ("text", "product"), ("image", "image")):
                figures[f"{kind}, per {per}"] = found = compared(connection, data, kind, per, queries)
                print(f"{kind} questions, a row per {per}")
                for arm, means in found.items():
                    print(f"  {arm:20} {means}", flush=True)
    finally:
        if not kept:
            load.stop(data)
    (given.json or OUT / f"orders-{given.rows}.json").write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
