"""Is what find() reckons what it costs? A walk of each width, and bits of what each filter keeps, beside the formulas.

python -m bench.costs                       200,000 x 768: walks, and every cell without a wall
python -m bench.costs --rows 50000 --queries 10 --cells stock

Processor time of the server, of two tries the least, the median of the questions. Bits are asked for by telling the
search that walks are in vain, walks by a width and no filter. find() chooses by these formulas (walk_ms(),
bits_ms()): where they are wrong to one side, it takes the dearer way.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import load
from bench.cells import Ask, Cell, cells
from bench.copying import Halfvec
from bench.dataset import Dataset, dataset
from bench.methods import Sessions, Unsupported
from bench.product import SearchSql, named
from bench.timed import fastest

WIDTHS = (60, 100, 150, 200, 300, 400, 600, 800, 1000)
NO_WALK = {"ef": 0, "text": {"ef": 0}}
RECKONED = """
SELECT e.access, e.share, e.reached, imgsearch_internal.bits_ms(c, e)
FROM imgsearch_internal.search_context(%(query)s, 10, NULL, NULL) c,
     imgsearch_internal.filter_sql(imgsearch.filters_of(%(filters)s)) m,
     LATERAL imgsearch_internal.estimate(c, m, ROW(m.names, m.vals, c.bits, NULL, NULL)::imgsearch_internal.bound) e
"""


def spent(method: SearchSql, cell: Cell, asks: Sequence[Ask], k: int = 10) -> float:
    """Return the processor time of the server for a question in ms: the median of those asked."""
    return statistics.median(fastest([method.ready(cell, ask, k)], [lambda: method.spent(cell)])[0] for ask in asks)


def reckoned(data: Dataset, sessions: Sessions, cell: Cell, asks: Sequence[Ask]) -> tuple[str, float, float, float]:
    """Return how find() would read the bits, the share that matches, the part it reads for it, and ms: medians."""
    told = []
    for ask in asks:
        filters = named(ask.filter)
        filters["category"] = filters.pop("categories", None)
        bound = {
            "query": Halfvec(data.queries(cell.kind)[ask.query]),
            "filters": json.dumps({name: value for name, value in filters.items() if value is not None}),
        }
        told += sessions.of(cell, ask).execute(RECKONED.encode(), bound).fetchall()
    share, reached, ms = (statistics.median(row[n] if row[n] is not None else 1.0 for row in told) for n in (1, 2, 3))
    return told[0][0], share, reached, ms


def walks(data: Dataset, url: str, unfiltered: Sequence[Cell], queries: int) -> Table:
    """Return what walks of each width cost, pictures and texts."""
    made = Table("width", "reckoned, ms", *(f"{cell.kind}, ms" for cell in unfiltered), title="Walks")
    for ef in track(WIDTHS, "walking"):
        walk = {"ef": ef, "spread": 4}
        sessions = Sessions(url, {"imgsearch.search": json.dumps(walk | {"text": walk})}, None)
        method = SearchSql(data, sessions)
        costs = [spent(method, cell, cell.asks(queries, 1)) for cell in unfiltered]
        with sessions.of(unfiltered[0], unfiltered[0].asks(1, 1)[0]).cursor() as cursor:
            told = cursor.execute(
                """SELECT imgsearch_internal.walk_ms(imgsearch_internal.search_context(v.embedding, 10, NULL, NULL), %s)
                   FROM imgsearch.vectors v LIMIT 1""",
                [ef],
            ).fetchone()
        made.add_row(str(ef), f"{told[0]:.2f}" if told else "", *(f"{cost:.2f}" for cost in costs))
        method.close()
    return made


def bits(data: Dataset, url: str, filtered: Sequence[Cell], queries: int) -> Table:
    """Return what ranking by bits costs in each cell."""
    made = Table("cell", "read", "matches", "reached", "reckoned, ms", "spent, ms", "×", title="Bits")
    sessions = Sessions(url, {"imgsearch.search": json.dumps(NO_WALK)}, None)
    method = SearchSql(data, sessions)
    for cell in track(filtered, "ranking"):
        if not (asks := cell.asks(queries, 1)):
            continue
        try:
            access, share, reached, ms = reckoned(data, sessions, cell, asks)
        except Unsupported:  # a join
            continue
        cost = spent(method, cell, asks)
        made.add_row(
            cell.name, access, f"{share:.4f}", f"{reached:.4f}", f"{ms:.2f}", f"{cost:.2f}", f"{ms / cost:.2f}"
        )
    method.close()
    return made


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=15)
    parser.add_argument("--cells", default="", metavar="REGEX", help="only cells whose name matches")
    chosen = parser.parse_args()
    data = dataset(chosen.rows, chosen.dim)
    kept = load.running(data)
    url = load.ready(data)
    try:
        asked = [one for one in cells(data) if not one.walled and re.search(chosen.cells, one.name)]
        plain = [one for one in asked if one.name.endswith("unfiltered")]
        tables: list[Callable[[], Table]] = [lambda: bits(data, url, asked, chosen.queries)]
        if plain:
            tables.insert(0, lambda: walks(data, url, plain, chosen.queries))
        for table in tables:
            Console(width=140).print(table())
    finally:
        if not kept:
            load.stop(data)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
