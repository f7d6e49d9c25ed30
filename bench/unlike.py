"""How far should "not this" push? Methods of the literature side by side, on the drawn shop with its own model.

python -m bench.unlike                 the tables of docs/decisions/0011-not-this.md, in two minutes
python -m bench.unlike --pictures 1000 a quick look

Each question is asked, one or more hits of its first page are rejected, and the new first page is compared with the old
one less the rejected: how much of it is still of the asked kind, and how much of it is alike what was rejected.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from imgsearch_workers.model.siglip import SiglipEncoder
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.unlike_methods import METHODS, Scores, Vectors, page_of
from imgsearch.dev.demo import catalogue
from imgsearch.dev.demo.catalogue import Item
from imgsearch.dev.demo.words import CATEGORIES, COLOURS
from imgsearch.picture import decode

OUT = Path(__file__).resolve().parent / "out"
ENOUGH = 15  # pictures of the asked kind and colour: fewer, and no ten are left that differ from the rejected one
RIGHT = 0.9  # of the first page is of the asked kind before: what went wrong before is not "not this"'s fault
NEIGHBOURS = 20
REJECTED = {"the 1st": (0,), "the 5th": (4,), "two": (0, 1), "three": (0, 3, 6)}


@dataclass(frozen=True)
class Shop:
    """Drawn pictures and their vectors; `texts` are the vectors of "red shoes" and the like."""

    items: Sequence[Item]
    vectors: Vectors
    texts: dict[tuple[str, str], Vectors]

    def column(self, name: str) -> NDArray[np.str_]:
        """Return one word per picture."""
        return np.array([getattr(item, name, None) or item.attributes.get(name, "") for item in self.items])


@dataclass(frozen=True)
class Question:
    """A vector, what kind it asks for, and the rejected pictures (rows), some of its first page."""

    vector: Vectors
    kind: str
    rejected: tuple[int, ...]


def shop(count: int) -> Shop:
    """Return the shop, drawn and embedded now or read from an earlier run's file."""
    items = catalogue.items(count)
    asked = [(colour, kind) for kind in CATEGORIES for colour in COLOURS]
    path = OUT / f"unlike-{count}.npz"
    if not path.exists():
        encoder = SiglipEncoder.load("demo", threads=1)
        parts = [
            encoder.embed_pictures(
                np.stack([decode(catalogue.draw(item), encoder.size) for item in items[at : at + 32]])
            )
            for at in range(0, count, 32)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = encoder.embed_texts([f"{colour} {kind}" for colour, kind in asked])
        np.savez(path, vectors=np.concatenate(parts), texts=texts)
    with np.load(path) as kept:
        return Shop(items, kept["vectors"], dict(zip(asked, kept["texts"], strict=True)))


def questions(here: Shop, how: str, places: Sequence[int]) -> Iterator[Question]:
    """Yield the questions of a kind: words, a picture, or both; the picture is one of the asked kind and colour."""
    kinds, colours, products = here.column("category"), here.column("colour"), here.column("product_id")
    dice = np.random.default_rng(1)
    for (colour, kind), text in here.texts.items():
        right = np.flatnonzero((kinds == kind) & (colours == colour))
        first = page_of(here.vectors @ text)
        if len(right) < ENOUGH or np.mean(kinds[first] == kind) < RIGHT:
            continue
        own = int(dice.choice(right))
        vector = {"words": text, "a picture": here.vectors[own], "both": text + here.vectors[own]}[how]
        vector = vector / np.linalg.norm(vector)
        scores = here.vectors @ vector
        if how != "words":
            scores[products == products[own]] = -1  # nobody rejects the very product that was asked by
        page = page_of(scores)
        yield Question(vector, kind, tuple(int(page[place]) for place in places))


def alike(here: Shop) -> dict[str, Callable[[int, NDArray[np.int64]], float]]:
    """Return what "alike the rejected one" may mean: each tells the share of a page that is alike a picture."""
    words = {name: here.column(name) for name in ("category", "colour", "pattern", "background", "product_id")}
    nearest: dict[int, NDArray[np.int64]] = {}

    def same(*names: str) -> Callable[[int, NDArray[np.int64]], float]:
        def share(rejected: int, page: NDArray[np.int64]) -> float:
            return float(np.mean(np.all([words[name][page] == words[name][rejected] for name in names], axis=0)))

        return share

    def neighbours(rejected: int, page: NDArray[np.int64]) -> float:
        if rejected not in nearest:
            nearest[rejected] = page_of(here.vectors @ here.vectors[rejected], (rejected,), NEIGHBOURS)
        return float(np.mean(np.isin(page, nearest[rejected])))

    return {
        "pattern": same("category", "colour", "pattern"),
        "background": same("category", "colour", "background"),
        f"{NEIGHBOURS} nearest": neighbours,
        "product": same("product_id"),
    }


def measured(here: Shop, asked: Sequence[Question], method: Scores) -> dict[str, float]:
    """Return the share of the asked kind, and each share that is alike the rejected."""
    kinds, tests = here.column("category"), alike(here)
    pages = [page_of(method(here.vectors, one.vector, one.rejected), one.rejected) for one in asked]
    found = {"kind": float(np.mean([np.mean(kinds[page] == one.kind) for one, page in zip(asked, pages, strict=True)]))}
    for name, test in tests.items():
        shares = [test(row, page) for one, page in zip(asked, pages, strict=True) for row in one.rejected]
        found[name] = float(np.mean(shares))
    return found


def table(title: str, rows: dict[str, dict[str, float]]) -> Table:
    """Lay out methods × figures; alike as a part of what it is when the rejected ones are only left out."""
    before = next(iter(rows.values()))
    names = [name for name in before if name != "kind"]
    made = Table("method", "of the asked kind", *(f"alike: {name}" for name in names), title=title)
    for method, found in rows.items():
        parts = [
            f"{found[name] / before[name]:.2f}" if found is not before else f"({before[name]:.3f})" for name in names
        ]
        made.add_row(method, f"{found['kind']:.3f}", *parts)
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.unlike", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=3000, help="of the drawn shop (default 3000)")
    chosen = parser.parse_args(arguments)
    console, here, kept = Console(width=150), shop(chosen.pictures), {}
    for how in ("words", "a picture", "both"):
        for rejected, places in REJECTED.items():
            asked = list(questions(here, how, places))
            rows = {name: measured(here, asked, method) for name, method in METHODS.items()}
            kept[f"{how}, {rejected} rejected"] = rows
            console.print(table(f"{how}, {rejected} of the first page rejected: {len(asked)} questions", rows))
    (OUT / "unlike.json").write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
