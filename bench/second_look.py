"""Does a second look by vectors help? k-reciprocal neighbours and αQE on the first rows, on the drawn shop.

python -m bench.second_look         the table of docs/decisions/0029-second-look.md, in some minutes

A text ("red shoes") fits pictures of that kind and colour, a picture those of its kind and colour of other products.
Ranked anew are the first `pool` rows; the others follow as they were. The functions are those that workers run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
from imgsearch_workers.looking.neighbours import expanded, k_reciprocal
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.expand import Question, questions
from bench.unlike import OUT, Shop, shop
from bench.unlike_methods import PAGE

Floats = NDArray[np.float64]
Way = Callable[[Floats, Floats], Floats]  # a query and the pool's vectors → distances


def reciprocal(**parameters: float) -> Way:
    return lambda query, pool: k_reciprocal(query, pool, **parameters)  # type: ignore[arg-type]


def better(**parameters: float) -> Way:
    return lambda query, pool: 1 - pool @ expanded(query, pool, **parameters)  # type: ignore[arg-type]


WAYS: dict[str, tuple[int, Way] | None] = {
    "as asked": None,
    "k_reciprocal, pool 50": (50, reciprocal()),
    "k_reciprocal, pool 200": (200, reciprocal()),
    "k_reciprocal, pool 500": (500, reciprocal()),
    "k_reciprocal, pool 200, k1 10, k2 3": (200, reciprocal(k1=10, k2=3)),
    "k_reciprocal, pool 200, weight 0.7": (200, reciprocal(weight=0.7)),
    "expand, pool 50": (50, better()),
    "expand, pool 200": (200, better()),
    "expand, pool 500": (500, better()),
    "expand, pool 200, alpha 0": (200, better(alpha=0.0)),
}


def figures(here: Shop, asked: Sequence[Question], way: tuple[int, Way] | None) -> dict[str, float]:
    """Return nDCG and precision of the first ten, mean average precision, and milliseconds of CPU, as means."""
    gains = 1 / np.log2(np.arange(PAGE) + 2)
    vectors = here.vectors.astype(np.float64)
    found = []
    for vector, fits, may in asked:
        query = vector.astype(np.float64)
        order = np.argsort(np.where(may, -(vectors @ query), np.inf), kind="stable")[: int(may.sum())]
        began = time.process_time()
        if way is not None:
            pool = order[: way[0]]
            order = np.concatenate([pool[np.argsort(way[1](query, vectors[pool]), kind="stable")], order[way[0] :]])
        spent = (time.process_time() - began) * 1000
        right = fits[order]
        ranks = np.flatnonzero(right) + 1
        ndcg = float((right[:PAGE] * gains).sum() / gains.sum())
        found.append((ndcg, float(right[:PAGE].mean()), float((np.arange(1, len(ranks) + 1) / ranks).mean()), spent))
    names = ("nDCG@10", "precision@10", "mAP", "ms")
    return dict(zip(names, map(float, np.mean(found, axis=0)), strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.second_look", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=3000, help="of the drawn shop (default 3000)")
    parser.add_argument("--questions", type=int, default=200, help="of each kind, at most (default 200)")
    chosen = parser.parse_args(arguments)
    here, console, kept = shop(chosen.pictures), Console(width=120), {}
    for kind, asked in questions(here).items():
        some = asked[: chosen.questions]
        rows = {name: figures(here, some, way) for name, way in WAYS.items()}
        laid = Table("way", *rows["as asked"], title=f"{len(some)} {kind}")
        for name, row in rows.items():
            laid.add_row(name, *(f"{value:.3f}" for value in row.values()))
        console.print(laid)
        kept[kind] = rows
    (OUT / "second_look.json").write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
