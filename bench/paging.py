"""Shops paged to the end beside a writer: is a product shown twice, is one lost, what do later pages cost?

    python -m bench.paging                                600 shops of 48 to 29,000 pictures, 200,000 in all
    python -m bench.paging --rows 20000 --dim 64 --shops 20
    python -m bench.paging --pages 40                     large shops not to the end

A reader asks each shop one question and follows `after` until a page is empty; every second shop's question has a
highest price, so that price updates move products in and out. The writer meanwhile changes prices, adds pictures to
products and new products, and deletes pictures and products (`bench.paging_writer`). A product that the writer touched
may come, go, and stand elsewhere than before, so it is counted apart; one that it left alone must come once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench import load, shop
from bench.copying import register
from bench.dataset import OUT, Dataset, dataset
from bench.filters import Filter
from bench.paging_writer import write
from bench.product import search_sql

_COLUMNS = "product_id, strategy, after_this, matches"
_THERE = """SELECT DISTINCT product_id FROM imgsearch.image
WHERE tenant_id = %(tenant)s AND (%(high)s::double precision IS NULL OR price <= %(high)s)"""


def shops(data: Dataset) -> Dataset:
    """Return the dataset with every product in one of shop.SHOPS shops: the n-th has a share of 1 / n."""
    rng, first = np.random.default_rng(31), shop.tenant_names().index("shop-000")
    odds = 1 / (np.arange(shop.SHOPS) + 1.0)
    owner = first + rng.choice(shop.SHOPS, len(data.products.tenant), p=odds / odds.sum())
    folder = data.folder.with_name(data.folder.name + "-shops")
    folder.mkdir(exist_ok=True)
    return replace(data, folder=folder, products=replace(data.products, tenant=owner.astype(np.int32)))


@dataclass
class Paged:
    """One shop paged. there: its products that matched before; seen: every row's product; seconds: of each page."""

    tenant: str
    there: set[str]
    began: float = field(default_factory=time.monotonic)
    finished: float = 0.0
    seen: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    strategies: list[str] = field(default_factory=list)
    ended: bool = False

    @property
    def arm(self) -> str:
        """How it was answered; `mixed` where pages were found in several ways."""
        ways = set(self.strategies)
        return ways.pop() if len(ways) == 1 else "mixed"

    def touched(self, writes: Sequence[tuple[float, str]]) -> set[str]:
        """Return which products were touched while it was paged; the clock of a write is read behind it."""
        return {product for when, product in writes if self.began <= when <= self.finished + 1}

    def repeated(self) -> list[str]:
        """Return the products that came more than once."""
        return [product for product, times in Counter(self.seen).items() if times > 1]


def page(connection: psycopg.Connection[Any], data: Dataset, number: int, *, k: int, most: int) -> Paged:
    """Ask shop `number` one question and follow `after` for up to `most` pages (0: to the end)."""
    tenant = f"shop-{number:03}"
    high = float(np.median(data.products.price)) if number % 2 else None
    begins = time.monotonic()  # what goes between this list and the first page was touched, not lost
    rows = connection.execute(_THERE, {"tenant": tenant, "high": high}).fetchall()
    found, wanted = Paged(tenant, {row[0] for row in rows}, began=begins), Filter(tenant=tenant, max_price=high)
    vector, after = data.image_queries[number], None
    while not most or len(found.milliseconds) < most:
        text, values = search_sql(_COLUMNS, vector, wanted, k=k, per="product", after=after)
        tries = 3 if after is None else 1  # the first warms what the others find warm
        for _ in range(tries):
            began = time.perf_counter()
            rows = connection.execute(text.encode(), values, prepare=True).fetchall()
            took = (time.perf_counter() - began) * 1000
        if not rows:
            found.ended = True
            break
        found.milliseconds.append(took)
        found.seen += [row[0] for row in rows]
        found.strategies.append(rows[0][1])
        after = rows[-1][2]
    found.finished = time.monotonic()
    return found


def summary(paged: Sequence[Paged], writes: Sequence[tuple[float, str]]) -> dict[str, Any]:
    """Return what was repeated and lost, all in all and per arm, and what later pages cost."""
    found: dict[str, Any] = {"shops": len(paged), "to the end": sum(one.ended for one in paged)}
    counts = [(one, one.touched(writes)) for one in paged]
    for arm in ("all", *sorted({one.arm for one in paged})):
        those = [(one, touched) for one, touched in counts if arm in ("all", one.arm)]
        # Only what was left alone and was there from the beginning had to come, and only once.
        due = [(one.there - touched, set(one.seen)) for one, touched in those if one.ended]
        lost, wanted = sum(len(there - seen) for there, seen in due), sum(len(there) for there, _ in due)
        found[arm] = {
            "shops": len(those),
            "rows": sum(len(one.seen) for one, _ in those),
            "touched": sum(len(touched & one.there) for one, touched in those),
            "repeated": sum(len(one.repeated()) for one, _ in those),
            "repeated though left alone": sum(len(set(one.repeated()) - touched) for one, touched in those),
            "lost": lost,
            "lost share": round(lost / max(1, wanted), 6),
            "later page over first": cost([one for one, _ in those]),
        }
    return found


def cost(paged: Sequence[Paged]) -> dict[str, float]:
    """Return what later pages cost by the first, as geometric means over shops: the second to the 5th, and so on."""
    found = {}
    for name, low, high in (("2 to 5", 1, 5), ("6 to 20", 5, 20), ("21 to 100", 20, 100), ("beyond", 100, 10**6)):
        ratios = [
            statistics.median(one.milliseconds[low:high]) / one.milliseconds[0]
            for one in paged
            if len(one.milliseconds) > low + 1  # the last page is often short, and cheap
        ]
        if ratios:
            found[name] = round(statistics.geometric_mean(ratios), 2)
    return found


def run(data: Dataset, url: str, given: argparse.Namespace) -> dict[str, Any]:
    """Page all shops beside the writer."""
    context = multiprocessing.get_context("spawn")
    begun, stop, answers = context.Event(), context.Event(), context.Queue()
    writer = context.Process(target=write, args=(url, given.rate, begun, stop, answers))
    writer.start()
    paged = []
    try:
        if not begun.wait(60):
            raise SystemExit("The writer did not begin within a minute.")
        with psycopg.connect(url, autocommit=True) as connection:
            register(connection)
            for number in range(given.shops):
                paged.append(page(connection, data, number, k=given.k, most=given.pages))
                if number % 50 == 0:
                    one = paged[-1]
                    print(
                        f"{one.tenant}: {len(one.milliseconds)} pages, {one.arm}, {len(one.there)} products", flush=True
                    )
    finally:
        stop.set()
        written = answers.get(timeout=60)
        writer.join()
    writes = written.pop("touched")
    return {"rows": data.rows, "k": given.k, "written": written} | summary(paged, writes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--shops", type=int, default=shop.SHOPS)
    parser.add_argument("--k", type=int, default=24)
    parser.add_argument("--pages", type=int, default=0, help="pages of a shop at most (default 0: to the end)")
    parser.add_argument("--rate", type=int, default=100, help="writes a second (100)")
    parser.add_argument("--json", type=Path, help="where the figures go (bench/out/paging-<rows>.json)")
    given = parser.parse_args(arguments)
    data = shops(dataset(given.rows, given.dim, alike=True))
    kept = load.running(data)
    url = load.ready(data)
    try:
        figures = run(data, url, given)
    finally:
        if not kept:
            load.stop(data)
    print(json.dumps(figures, indent=1))
    (given.json or OUT / f"paging-{given.rows}.json").write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
