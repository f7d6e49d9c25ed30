"""One release of imgsearch against another: the same questions to two loaded databases, in turn.

python -m bench.against OLD_URL NEW_URL                     every cell that search() can answer
python -m bench.against OLD_URL NEW_URL --cells 'image price' --clock cpu --recall

Load a database with each checkout's own `python -m bench --load-only --keep` (--folder prints where it is). Both are
asked by imgsearch.search() with named arguments, prepared, the vector in binary form; of three tries of a question the
fastest counts, so that other work on the machine weighs on neither. --clock cpu counts the processor time of the two
server processes alone; --recall judges the answers; --search '{"ef": 40}' asks the newer with other parameters.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.cells import Ask, Cell, cells
from bench.dataset import dataset, folder_of
from bench.methods import Answer, Sessions, Unsupported
from bench.product import Nearest, SearchSql
from bench.timed import fastest
from bench.truth import Judge

Way = SearchSql | Nearest


@dataclass(frozen=True)
class Pair:
    """One cell: p50 of both in ms, how many of its questions were answered differently, and both recalls."""

    cell: str
    old_ms: float
    new_ms: float
    questions: int
    different: int
    recalls: tuple[float, float] | None
    walked: tuple[float, float]  # the part of the questions that the graph answered

    @property
    def ratio(self) -> float:
        return self.new_ms / self.old_ms


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How the questions are asked and judged. judge: None where recall is not wanted."""

    questions: int
    k: int
    judge: Judge | None
    cpu: bool
    seed: int


def compare(both: tuple[Way, Way], cell: Cell, how: Asking) -> Pair | None:
    """Ask both the questions of a cell, or return None where search() cannot be asked them."""
    asks = cell.asks(how.questions, seed=how.seed)
    took: tuple[list[float], list[float]] = ([], [])
    answered: tuple[list[Answer], list[Answer]] = ([], [])
    for ask in asks:
        try:
            runs = [method.ready(cell, ask, how.k) for method in both]
        except Unsupported:
            return None
        for answers, run in zip(answered, runs, strict=True):
            answers.append(run())  # warms caches and plans
        clocks = [_spent(method, cell) for method in both] if how.cpu else None
        for times, best in zip(took, fastest(runs, clocks), strict=True):
            times.append(best)
    if not asks:
        return None
    old, new = answered
    return Pair(
        cell.name,
        *(statistics.median(times) for times in took),
        questions=len(asks),
        different=sum(list(one.ids) != list(other.ids) for one, other in zip(old, new, strict=True)),
        recalls=None if how.judge is None else (_recall(how, cell, asks, old), _recall(how, cell, asks, new)),
        walked=(_walked(old), _walked(new)),
    )


def _spent(method: Way, cell: Cell) -> Callable[[], float]:
    return lambda: method.spent(cell)


def _recall(how: Asking, cell: Cell, asks: Sequence[Ask], answers: Sequence[Answer]) -> float:
    assert how.judge is not None
    truth = how.judge.truth(cell, asks)
    return statistics.fmean(
        how.judge.recall(cell, ask, truth, place, answers[place].ids, how.k) for place, ask in enumerate(asks)
    )


def _walked(answers: Sequence[Answer]) -> float:
    return statistics.fmean(answer.strategy == "hnsw" for answer in answers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line per cell, then the geometric mean of the ratios and the lowest recall."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", help="libpq URL of the database that the older checkout loaded")
    parser.add_argument("new", nargs="?", help="and of the newer's")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=20, help="questions per cell (20)")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--cells", default="", metavar="REGEX", help="only cells whose name matches")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--recall", action="store_true", help="judge the answers by exact ones")
    parser.add_argument("--nearest", action="store_true", help="ask nearest() in place of search()")
    parser.add_argument("--search", default="", metavar="JSON", help="parameters for the newer (imgsearch.search)")
    parser.add_argument("--seed", type=int, default=1, help="which questions are asked (1)")
    parser.add_argument("--walled", metavar="ROLE", help="the walled cells alone, asked as this role")
    parser.add_argument("--folder", action="store_true", help="print where this checkout keeps its database, and go")
    given = parser.parse_args(arguments)
    if given.folder:
        print(folder_of(given.rows, given.dim, 7))
        return
    if not given.new:
        parser.error("two URLs are needed")
    data = dataset(given.rows, given.dim)
    way = Nearest if given.nearest else SearchSql
    settings = {"imgsearch.search": given.search} if given.search else {}
    both = (
        way(data, Sessions(given.old, {}, given.walled)),
        way(data, Sessions(given.new, settings, given.walled)),
    )
    how = Asking(
        questions=given.queries,
        k=given.k,
        judge=Judge(data) if given.recall else None,
        cpu=given.clock == "cpu",
        seed=given.seed,
    )
    pairs = []
    for cell in cells(data):
        if not re.search(given.cells, cell.name) or cell.walled != bool(given.walled):
            continue
        pair = compare(both, cell, how)
        if pair is not None:
            pairs.append(pair)
            print(line(pair), flush=True)
    if not pairs:
        sys.exit("no cell of that name")
    summary(pairs)
    for method in both:
        method.close()


def line(pair: Pair) -> str:
    line = f"{pair.cell:45} {pair.old_ms:8.2f} {pair.new_ms:8.2f} ms  x {pair.ratio:.2f}  "
    line += f"walked {pair.walked[0]:.2f} {pair.walked[1]:.2f}  "
    if pair.recalls is not None:
        line += f"recall {pair.recalls[0]:.4f} {pair.recalls[1]:.4f}  "
    return line + (f"{pair.different} of {pair.questions} differ" if pair.different else "")


def summary(pairs: Sequence[Pair]) -> None:
    mean = statistics.geometric_mean(pair.ratio for pair in pairs)
    worst = max(pairs, key=lambda pair: pair.ratio)
    print(f"{len(pairs)} cells: geometric mean {mean:.3f}, worst {worst.ratio:.2f} ({worst.cell})")
    for number, name in enumerate(("old", "new")):
        judged = [(pair.recalls[number], pair.cell) for pair in pairs if pair.recalls is not None]
        if judged:
            low = [f"{cell} {recall:.4f}" for recall, cell in sorted(judged) if recall < 0.99]
            print(f"{name}: lowest recall {min(judged)[0]:.4f}; below 0.99 in {len(low)}: {', '.join(low)}")


if __name__ == "__main__":
    main()
