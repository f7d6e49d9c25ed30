"""Nothing where nothing fits: how likely does a row fit, and where does an answer end? On the drawn shop.

python -m bench.cut                 the tables of docs/decisions/0015-cut.md, in a minute

Each category is a shop of its own: a shoe shop, a lamp shop, … Texts that fit some of its pictures ("red shoes") stand
beside texts that fit none: the words of all other categories, and things that nobody here sells ("garden hose").
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from imgsearch_workers.model.checkpoint import find
from imgsearch_workers.model.logits import read_logits
from imgsearch_workers.model.siglip import SiglipEncoder
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.cut_texts import STRANGERS
from bench.unlike import OUT, Shop, shop
from imgsearch.dev.demo.words import CATEGORIES, COLOURS
from imgsearch.spaces.calibration import Curve, calibration_error, fit

PAGE = 10
FLOORS = (0.05, 0.1, 0.2, 0.5)  # matches to end an answer at; cutoff => 'auto' takes the first: cut.sql
Numbers = NDArray[np.float64]
Rule = Callable[["Page"], int]


@dataclass(frozen=True)
class Page:
    """The first rows of one question in one shop: cosines, which of them fit, whether any picture of the shop does."""

    shop: str
    kind: str  # fitting, other category, colour we have not, stranger
    text: str
    cosines: Numbers
    fits: NDArray[np.bool_]


def pages(here: Shop, encoder: SiglipEncoder) -> list[Page]:
    """Return a page for each question and each shop."""
    kinds, colours = here.column("category"), here.column("colour")
    plain = {name: (*one.nouns, *one.plurals) for name, one in CATEGORIES.items()}
    vectors = {name: encoder.embed_texts(words) for name, words in plain.items()}
    strangers = encoder.embed_texts(STRANGERS)
    found: list[Page] = []
    for at in CATEGORIES:
        rows = np.flatnonzero(kinds == at)
        for name in CATEGORIES:
            asked = [
                (text, vector, np.full(len(rows), name == at))
                for text, vector in zip(plain[name], vectors[name], strict=True)
            ]
            asked += [
                (f"{colour} {name}", here.texts[colour, name], (colours[rows] == colour) & (name == at))
                for colour in COLOURS
            ]
            found += [_page(here, rows, at, name, *one) for one in asked]
        none = np.zeros(len(rows), bool)
        found += [_page(here, rows, at, "", *one, none) for one in zip(STRANGERS, strangers, strict=True)]
    return found


def _page(
    here: Shop, rows: NDArray[np.int64], at: str, name: str, text: str, vector: Numbers, fits: NDArray[np.bool_]
) -> Page:
    cosines = (here.vectors[rows] @ vector).astype(float)
    best = np.argsort(-cosines, kind="stable")[:PAGE]
    other = "other category" if name != at else "colour we have not"
    kind = "fitting" if fits.any() else other if name else "stranger"
    return Page(at, kind, text, cosines[best], fits[best])


def autocut(jumps: int) -> Rule:
    """Weaviate's: the page ends before the jumps-th local maximum of d."""

    def ends(page: Page) -> int:
        y, n, left = 1 - page.cosines, len(page.cosines), jumps
        if n < 2 or y[-1] == y[0]:
            return n
        d = (y - y[0]) / (y[-1] - y[0]) - np.arange(n) / (n - 1)
        for i in range(1, n):
            if d[i] > d[i - 1] and (d[i] > d[i + 1] if i < n - 1 else d[i] > d[i - 2]):
                left -= 1
                if not left:
                    return i
        return n

    return ends


def gap(page: Page) -> int:
    """Ours where nobody knows a match: the first gap that is half of the page's width."""
    steps = np.diff(1 - page.cosines)
    clear = np.flatnonzero((steps >= (page.cosines[0] - page.cosines[-1]) / 2) & (steps > 0))
    return int(clear[0]) + 1 if len(clear) else len(page.cosines)


def by_match(curve: Curve, least: float) -> Rule:
    """The page ends where the match falls below `least`."""
    return lambda page: int((curve(page.cosines) >= least).sum())


def judged(found: Sequence[Page], seed: int = 2) -> tuple[list[Page], list[Page]]:
    """Return pages to learn from and pages to test, of different texts; of each as many that fit nothing as others."""
    dice = np.random.default_rng(seed)
    learns = {text: dice.random() < 0.5 for text in sorted({page.text for page in found})}
    halves: list[list[Page]] = []
    for side in (True, False):
        here = [page for page in found if learns[page.text] is bool(side)]
        fitting, none = ([p for p in here if (p.kind == "fitting") is fits] for fits in (True, False))
        halves.append(fitting + [none[at] for at in dice.permutation(len(none))[: len(fitting)]])
    return halves[0], halves[1]


def rows(of: Sequence[Page]) -> tuple[Numbers, NDArray[np.bool_]]:
    """Return the cosines of pages and whether each fits."""
    return np.concatenate([page.cosines for page in of]), np.concatenate([page.fits for page in of])


def pictures(here: Shop, many: int = 400) -> list[Page]:
    """Return pages of pictures that ask in the whole shop: the same kind and colour fits, the product is left out."""
    kinds, colours, products = (here.column(name) for name in ("category", "colour", "product_id"))
    found = []
    for at in np.random.default_rng(4).permutation(len(kinds))[:many]:
        scores = here.vectors @ here.vectors[at]
        order = np.argsort(-scores, kind="stable")
        _, first = np.unique(products[order], return_index=True)
        best = [row for row in order[np.sort(first)] if products[row] != products[at]][:20]
        fits = (kinds[best] == kinds[at]) & (colours[best] == colours[at])
        found.append(Page("", "fitting", str(at), scores[best].astype(float), fits))
    return found


def measured(found: Sequence[Page], curve: Curve | None, ends: Rule) -> dict[str, float]:
    """Return the shares that matter of one way to end an answer. curve: what says doubtful."""
    lost = kept = fitting = others = 0
    told: dict[str, list[bool]] = {}
    for page in found:
        last = ends(page)
        told.setdefault(page.kind, []).append(
            not last or (curve is not None and bool(curve(page.cosines[:last]).max() < 0.5))
        )
        if page.kind == "fitting":
            lost, fitting = lost + int(page.fits[last:].sum()), fitting + int(page.fits.sum())
            kept, others = kept + int((~page.fits[:last]).sum()), others + int((~page.fits).sum())
    shares = {f"nothing or doubtful: {kind}": float(np.mean(shown)) for kind, shown in told.items()}
    none = [one for kind, shown in told.items() if kind != "fitting" for one in shown]
    whole = {"nothing or doubtful: all that fit nothing": float(np.mean(none))} if none else {}
    return {"fitting rows lost": lost / fitting, "other rows kept": kept / others, **shares, **whole}


def table(title: str, made: dict[str, dict[str, float]]) -> Table:
    """Lay out ways × figures."""
    laid = Table("way", *next(iter(made.values())), title=title)
    for name, row in made.items():
        laid.add_row(name, *(f"{value:.3f}" for value in row.values()))
    return laid


def errors(own: Curve | None, learn: Sequence[Page], test: Sequence[Page]) -> dict[str, float]:
    """Return expected calibration errors on the pages to test."""
    fitted = {method: fit(*rows(learn), method) for method in ("platt", "isotonic")}  # type: ignore[arg-type]
    curves = {**({"the model's own": own} if own else {}), **fitted}
    cosines, fits = rows(test)
    return {name: calibration_error(curve(cosines), fits) for name, curve in curves.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.cut", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=3000, help="of the drawn shop (default 3000)")
    chosen = parser.parse_args(arguments)
    here, own, console = shop(chosen.pictures), Curve(*read_logits(find("demo"))), Console(width=170)
    found = pages(here, SiglipEncoder.load("demo", threads=1))
    learn, test = judged(found)
    learnt = {page.text for page in learn}
    unseen = [page for page in found if page.text not in learnt]
    texts = {"nothing is cut": measured(found, own, lambda page: PAGE)}
    texts |= {f"autocut {jumps}": measured(found, own, autocut(jumps)) for jumps in (1, 2, 3)}
    texts |= {f"match {least}": measured(found, own, by_match(own, least)) for least in FLOORS}
    fitted = {method: fit(*rows(learn), method) for method in ("platt", "isotonic")}  # type: ignore[arg-type]
    after = {
        f"match {least}, {name}": measured(unseen, curve, by_match(curve, least))
        for name, curve in {"the model's own": own, **fitted}.items()
        for least in FLOORS
    }
    asked = pictures(here)
    ways = {f"autocut {jumps}": autocut(jumps) for jumps in (1, 2, 3)} | {"gap of half": gap}
    looks = {name: measured(asked, None, way) for name, way in ways.items()}
    console.print(table(f"texts, {len(found)} pages, the model's own figures", texts))
    console.print(table(f"texts, {len(unseen)} pages of texts that were not learnt from", after))
    console.print(table(f"pictures, {len(asked)} pages of 20, nobody knows a match", looks))
    half = len(asked) // 2
    off = {"texts": errors(own, learn, test), "pictures": errors(None, asked[:half], asked[half:])}
    console.print("expected calibration error, held out", off, f"{len(learn)} and {len(test)} pages of texts")
    kept = {"texts": texts, "fitted": after, "pictures": looks, "errors": off}
    (OUT / "cut.json").write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
