"""Nothing where nothing fits: how likely does a row fit, and where does an answer end? On the drawn shop with its model.

python -m bench.cut                 the tables of docs/decisions/0015-cut.md, in a minute

Each category is a shop of its own: a shoe shop, a lamp shop, … Texts that fit some of its pictures ("red shoes", "shoe") stand
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
FLOOR = 0.2  # the match below which cutoff => 'auto' ends an answer: cut.sql
FOLDS = 5
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
    """Ours where nobody knows a match: the first gap that is a third of the page's width."""
    steps = np.diff(1 - page.cosines)
    clear = np.flatnonzero((steps >= (page.cosines[0] - page.cosines[-1]) / 3) & (steps > 0))
    return int(clear[0]) + 1 if len(clear) else len(page.cosines)


def measured(found: Sequence[Page], curves: dict[str, Curve], ends: Rule) -> dict[str, float]:
    """Return the shares that matter of one way to end an answer. curves: that of each shop."""
    lost = kept = fitting = others = 0
    told: dict[str, list[bool]] = {}
    for page in found:
        last = ends(page)
        match = curves[page.shop](page.cosines[:last])
        told.setdefault(page.kind, []).append(not last or match.max() < 0.5)
        if page.kind == "fitting":
            lost, fitting = lost + page.fits[last:].sum(), fitting + page.fits.sum()
            kept, others = kept + (~page.fits[:last]).sum(), others + (~page.fits).sum()
    none = [one for kind, shown in told.items() if kind != "fitting" for one in shown]
    shares = {f"nothing or doubtful: {kind}": float(np.mean(shown)) for kind, shown in told.items()}
    return {"fitting rows lost": lost / fitting, "other rows kept": kept / others, **shares, "of all that fit nothing": float(np.mean(none))}


def held_out(found: Sequence[Page], method: str, seed: int = 1) -> tuple[dict[str, Curve], Curve, dict[str, float]]:
    """Fit curves to half of the questions: one of each shop, and one of all; return them and errors on the other half."""
    dice = np.random.default_rng(seed)
    half = {text: dice.random() < 0.5 for text in sorted({page.text for page in found})}
    learn, test = ([page for page in found if half[page.text] is side] for side in (True, False))

    def rows(of: Sequence[Page]) -> tuple[Numbers, NDArray[np.bool_]]:
        return np.concatenate([page.cosines for page in of]), np.concatenate([page.fits for page in of])

    curve = fit(*rows(learn), method)  # type: ignore[arg-type]
    shops = {at: fit(*rows([page for page in learn if page.shop == at]), method) for at in CATEGORIES}  # type: ignore[arg-type]
    cosines, fits = rows(test)
    said = np.concatenate([shops[page.shop](page.cosines) for page in test])
    errors = {"of all": calibration_error(curve(cosines), fits), "of each shop": calibration_error(said, fits)}
    return shops, curve, errors | {"pages": len(test)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.cut", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=3000, help="of the drawn shop (default 3000)")
    chosen = parser.parse_args(arguments)
    found = pages(shop(chosen.pictures), SiglipEncoder.load("demo", threads=1))
    own = Curve(*read_logits(find("demo")))
    console, kept = Console(width=170), {}
    fitting = [page for page in found if page.kind == "fitting"]
    for name, of in (("pages of fitting questions", fitting), ("all pages", found)):
        error = calibration_error(own(np.concatenate([p.cosines for p in of])), np.concatenate([p.fits for p in of]))
        kept[f"calibration error of the model's own figures, {name}"] = error
        for method in ("platt", "isotonic"):
            kept[f"calibration error held out, {method}, {name}"] = held_out(of, method)[2]
    by_shop, by_all, _ = held_out(found, "platt")
    half = {text: side for text, side in _halves(found).items()}
    test = [page for page in found if not half[page.text]]
    curves = {
        "the model's own": dict.fromkeys(CATEGORIES, own),
        "fitted to all": dict.fromkeys(CATEGORIES, by_all),
        "fitted to each shop": by_shop,
    }
    rules: dict[str, Rule] = {"nothing cut": lambda page: len(page.cosines)}
    rules |= {f"autocut {jumps}": autocut(jumps) for jumps in (1, 2, 3)} | {"gap": gap}
    rows: dict[str, dict[str, float]] = {name: measured(test, curves["the model's own"], one) for name, one in rules.items()}
    for name, of_shop in curves.items():
        for floor in (0.1, FLOOR, 0.3, 0.5):
            ends: Rule = lambda page, of_shop=of_shop, floor=floor: int((of_shop[page.shop](page.cosines) >= floor).sum())  # type: ignore[misc]
            rows[f"match {floor}, {name}"] = measured(test, of_shop, ends)
    kept["ways"] = rows
    table = Table("way", *next(iter(rows.values())))
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.3f}" for value in row.values()))
    console.print(table)
    console.print({name: value for name, value in kept.items() if name != "ways"})
    (OUT / "cut.json").write_text(json.dumps(kept, indent=1))


def _halves(found: Sequence[Page], seed: int = 1) -> dict[str, bool]:
    dice = np.random.default_rng(seed)
    return {text: bool(dice.random() < 0.5) for text in sorted({page.text for page in found})}


if __name__ == "__main__":
    main()
