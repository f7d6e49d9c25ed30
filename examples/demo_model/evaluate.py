"""Is the demo model good enough? Three bars on 1,000 looks it never saw, through the production path.

    python examples/demo_model/evaluate.py [--json]

Leaves with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

import captions
import looks
import numpy as np
import pictures
from imgsearch_workers.model.siglip import SiglipEncoder
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from imgsearch.dev.demo.words import CATEGORIES, COLOURS, Look, caption, colour_words

Vectors = NDArray[np.float32]
"""(count, dimension), each of length one."""
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured share of right answers; only some have a bar."""

    name: str
    value: float
    bar: float | None = None

    @property
    def missed(self) -> bool:
        """Return whether the value is below its bar."""
        return self.bar is not None and self.value < self.bar


def embedded(encoder: SiglipEncoder, pixels: pictures.Pixels) -> Vectors:
    """Embed pictures in batches."""
    return np.concatenate([encoder.embed_pictures(pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)])


def recall_at(count: int, queries: Vectors, gallery: Vectors) -> float:
    """Return how often row n of the gallery is among the `count` nearest of query n."""
    scores = queries @ gallery.T
    better = (scores > np.diagonal(scores)[:, None]).sum(1)
    return float((better < count).mean())


def precision_at_10(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Return the share of relevant pictures among the nearest 10, or among the nearest R where only R < 10 exist."""
    count = min(10, int(relevant.sum()))
    nearest = np.argsort(-scores, kind="stable")[:count]
    return float(relevant[nearest].mean())


def word_queries(shown: Sequence[Look]) -> Iterable[tuple[str, str, NDArray[np.bool_]]]:
    """Yield (kind, query, which pictures are right) for every category word, and for colour and category."""
    for name, category in CATEGORIES.items():
        right = np.array([look.category == name for look in shown])
        yield from (("one word: singular", noun, right) for noun in category.nouns)
        yield from (("one word: plural", noun, right) for noun in category.plurals)
        for colour in COLOURS:
            both = right & np.array([look.colour == colour for look in shown])
            if both.any():
                yield "colour and word: singular", f"a {colour} {category.nouns[0]}", both
                yield "colour and word: plural", f"{colour_words(colour)[-1]} {category.plurals[-1]}", both


def words_found(encoder: SiglipEncoder, gallery: Vectors, shown: Sequence[Look]) -> list[Figure]:
    """Return the mean precision@10 of each kind of short query, and of all of them."""
    asked = list(word_queries(shown))
    vectors = encoder.embed_texts([query for _, query, _ in asked])
    found: dict[str, list[float]] = {}
    for (kind, _, right), scores in zip(asked, vectors @ gallery.T, strict=True):
        found.setdefault(kind, []).append(precision_at_10(scores, right))
    return [Figure(f"{kind}, precision@10", float(np.mean(values)), 0.85) for kind, values in sorted(found.items())]


def measure(model: str, products: int, processes: int) -> list[Figure]:
    """Draw the held-out looks in two poses each, full size, and ask for them in every way."""
    shown = looks.split()[0][:products]
    encoder = SiglipEncoder.load(model)
    with Progress(transient=True, console=Console(stderr=True)) as bar:
        task = bar.add_task("drawing", total=2 * products)
        wanted = [shot for view in (0, 1) for shot in pictures.shots(shown, encoder.size, first_seed=0, view=view)]
        pixels = pictures.develop(wanted, processes, lambda: bar.advance(task))
    vectors = embedded(encoder, pixels)
    first, second = vectors[:products], vectors[products:]
    exact = encoder.embed_texts([caption(look) for look in shown])
    random = Random(5)
    reworded = encoder.embed_texts([captions.phrase(look, captions.ALL, random) for look in shown])
    return [
        Figure("full caption → picture, recall@1", recall_at(1, exact, first), 0.90),
        Figure("full caption → picture, recall@5", recall_at(5, exact, first)),
        Figure("reworded caption → picture, recall@1", recall_at(1, reworded, first)),
        *words_found(encoder, vectors, [*shown, *shown]),
        Figure("picture → same product, recall@1", recall_at(1, first, second), 0.75),
        Figure("picture → same product, recall@5", recall_at(5, first, second)),
    ]


def table(figures: Sequence[Figure], products: int) -> Table:
    """Lay the figures out for people."""
    made = Table("measured", "value", "bar", title=f"{products} looks never seen in training, two poses each")
    for figure in figures:
        bar = "" if figure.bar is None else f"{figure.bar:.2f}"
        made.add_row(figure.name, f"[red]{figure.value:.3f} missed" if figure.missed else f"{figure.value:.3f}", bar)
    return made


def main() -> int:
    """Measure, print, and answer with the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="folder, or demo for the one in the package")
    parser.add_argument("--products", type=int, default=looks.HELD_OUT, help="fewer for a quick look")
    parser.add_argument("--processes", type=int, default=2, help="to draw with")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    figures = measure(given.model, given.products, given.processes)
    missed = [figure.name for figure in figures if figure.missed]
    if given.json:
        print(json.dumps({"products": given.products, "figures": {f.name: f.value for f in figures}, "missed": missed}))
    else:
        Console().print(table(figures, given.products))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
