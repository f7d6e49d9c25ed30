"""Does expand help? Alpha query expansion on the drawn shop with its own model, for texts and for pictures.

python -m bench.expand              the table of docs/decisions/0015-cut.md, in a minute

A text ("red shoes") fits pictures of that kind and colour, a picture those of its kind and colour of other products.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.unlike import OUT, Shop, shop
from bench.unlike_methods import PAGE, Vectors, page_of, unit
from imgsearch.dev.demo.words import CATEGORIES, COLOURS

TRIED = [(10, 3.0), (10, 0.0), (10, 1.0), (3, 3.0), (30, 3.0), (50, 3.0)]  # the first is what expand.sql does
Bools = NDArray[np.bool_]
Question = tuple[Vectors, Bools, Bools]  # a vector, the rows that fit, the rows that may come


def expanded(v: Vectors, q: Vectors, may: Bools, most: int, alpha: float) -> Vectors:
    """Return q' = normalise(q + Σ max(s, 0)^α · x) over the nearest that are not nearly q itself."""
    scores = np.where(may, v @ q, -np.inf)
    near = [at for at in page_of(scores, count=most + 20) if scores[at] <= 0.97][:most]
    return unit(q + np.maximum(scores[near], 0) ** alpha @ v[near])


def questions(here: Shop) -> dict[str, list[Question]]:
    """Return questions by texts and by pictures."""
    kinds, colours, products = (here.column(name) for name in ("category", "colour", "product_id"))
    everything = np.ones(len(kinds), bool)
    texts: list[Question] = []
    for kind in CATEGORIES:
        for colour in COLOURS:
            fits = (kinds == kind) & (colours == colour)
            if fits.sum() >= PAGE:
                texts.append((here.texts[colour, kind], fits, everything))
    pictures: list[Question] = []
    for at in np.random.default_rng(5).permutation(len(kinds))[:400]:
        others = products != products[at]
        fits = (kinds == kinds[at]) & (colours == colours[at]) & others
        if fits.sum() >= PAGE:
            pictures.append((here.vectors[at], fits, others))
    return {"texts": texts, "pictures": pictures}


def figures(here: Shop, asked: Sequence[Question], way: tuple[int, float] | None) -> dict[str, float]:
    """Return precision and nDCG of the first ten, and average precision, as means."""
    gains = 1 / np.log2(np.arange(PAGE) + 2)
    found: list[tuple[float, float, float]] = []
    for vector, fits, may in asked:
        query = vector if way is None else expanded(here.vectors, vector, may, *way)
        order = page_of(np.where(may, here.vectors @ query, -np.inf), count=len(fits))
        right = fits[order]
        ranks = np.flatnonzero(right) + 1
        found.append(
            (
                float(right[:PAGE].mean()),
                float((right[:PAGE] * gains).sum() / gains.sum()),
                float((np.arange(1, len(ranks) + 1) / ranks).mean()),
            )
        )
    means = np.mean(found, axis=0)
    return {"precision@10": float(means[0]), "nDCG@10": float(means[1]), "average precision": float(means[2])}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.expand", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=3000, help="of the drawn shop (default 3000)")
    chosen = parser.parse_args(arguments)
    here, console, kept = shop(chosen.pictures), Console(width=120), {}
    for kind, asked in questions(here).items():
        rows = {"as asked": figures(here, asked, None)}
        rows |= {f"n {most}, α {alpha:g}": figures(here, asked, (most, alpha)) for most, alpha in TRIED}
        laid = Table("way", *rows["as asked"], title=f"{len(asked)} {kind}")
        for name, row in rows.items():
            laid.add_row(name, *(f"{value:.3f}" for value in row.values()))
        console.print(laid)
        kept[kind] = rows
    (OUT / "expand.json").write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
