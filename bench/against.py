"""One release of imgsearch against another: the same questions to two loaded databases, in turn.

python -m bench.against OLD_URL NEW_URL                     every cell that search() can answer
python -m bench.against OLD_URL NEW_URL --cells 'image price'

Load a database with each checkout's own `python -m bench --load-only --keep` (--folder prints where it is). Both are
asked by imgsearch.search() with named arguments, prepared, the vector in binary form; of three tries of a question the
fastest counts, so that other work on the machine weighs on neither.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench.cells import Cell, cells
from bench.dataset import Dataset, dataset, folder_of
from bench.methods import Sessions, Unsupported
from bench.product import SearchSql
from bench.timed import fastest


@dataclass(frozen=True)
class Pair:
    """One cell: p50 of both in ms, and how many of its questions were answered differently."""

    cell: str
    old_ms: float
    new_ms: float
    questions: int
    different: int

    @property
    def ratio(self) -> float:
        return self.new_ms / self.old_ms


def compare(data: Dataset, old: SearchSql, new: SearchSql, cell: Cell, *, questions: int, k: int) -> Pair | None:
    """Ask both the questions of a cell, or return None where search() cannot be asked them."""
    took: tuple[list[float], list[float]] = ([], [])
    different = 0
    for ask in cell.asks(questions, seed=1):
        try:
            both = [method.ready(cell, ask, k) for method in (old, new)]
        except Unsupported:
            return None
        answers = [run() for run in both]  # warms caches and plans
        different += list(answers[0].ids) != list(answers[1].ids)
        for times, best in zip(took, fastest(both), strict=True):
            times.append(best)
    if not took[0]:
        return None
    return Pair(cell.name, statistics.median(took[0]), statistics.median(took[1]), len(took[0]), different)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line per cell, then the geometric mean of the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", help="libpq URL of the database that the older checkout loaded")
    parser.add_argument("new", nargs="?", help="and of the newer's")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=20, help="questions per cell (20)")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--cells", default="", metavar="TEXT", help="only cells whose name holds this")
    parser.add_argument("--folder", action="store_true", help="print where this checkout keeps its database, and go")
    given = parser.parse_args(arguments)
    if given.folder:
        print(folder_of(given.rows, given.dim, 7))
        return
    if not given.new:
        parser.error("two URLs are needed")
    data = dataset(given.rows, given.dim)
    old, new = (SearchSql(data, Sessions(url, {}, None)) for url in (given.old, given.new))
    pairs = []
    for cell in cells(data):
        if given.cells not in cell.name or cell.walled:
            continue
        pair = compare(data, old, new, cell, questions=given.queries, k=given.k)
        if pair is not None:
            pairs.append(pair)
            print(f"{pair.cell:45} {pair.old_ms:8.2f} {pair.new_ms:8.2f} ms  x {pair.ratio:.2f}", end="  ")
            print(f"{pair.different} of {pair.questions} differ" if pair.different else "", flush=True)
    if not pairs:
        sys.exit("no cell of that name")
    mean = statistics.geometric_mean(pair.ratio for pair in pairs)
    worst = max(pairs, key=lambda pair: pair.ratio)
    print(f"{len(pairs)} cells: geometric mean {mean:.3f}, worst {worst.ratio:.2f} ({worst.cell})")
    old.close()
    new.close()


if __name__ == "__main__":
    main()
