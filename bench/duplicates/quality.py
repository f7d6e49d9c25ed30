"""What is found of each edit, and what is merged that should not be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.duplicates.edits import EDITS, saved
from imgsearch.dev.demo import catalogue
from imgsearch.ops import twins
from imgsearch.picture.hashes import SAME_PICTURE, Pdq, of_plane
from imgsearch.picture.pixels import square
from imgsearch.settings import load_settings

LOOK_BITS, LOOK_COSINE = 90, 0.97
GOOD_QUALITY = 50  # of 100; a hash of less says little: one colour, a page of text
_SIZE = 224  # pixels that a model sees: what a decoder reduces a picture for


def measured(photographs: Iterable[Image.Image], drawn: int, model: str | None) -> dict[str, Any]:
    """Return recall per edit and tier, and precision of both among all pictures together."""
    files, families = _files(photographs, drawn)
    hashes, vectors = _seen(files, model)
    apart = _apart(hashes)
    good = np.array([one.quality >= GOOD_QUALITY for one in hashes])
    both = good[:, None] & good[None, :]
    certain = (apart <= SAME_PICTURE) & both
    close = np.ones_like(certain) if vectors is None else vectors @ vectors.T >= LOOK_COSINE
    look = (apart <= LOOK_BITS) & close & both & ~certain
    same = families[:, None] == families[None, :]
    above = np.triu(np.ones_like(same), 1).astype(bool)
    groups = _grouped(hashes, certain, apart)
    wrong = [group for group in groups if len({families[member] for member in group.members}) > 1]
    many = int((families >= 0).sum() and len(np.unique(families[families < 1_000_000])))
    rows = {name: _of_edit(1 + n, many, apart, certain, look) for n, name in enumerate(EDITS)}
    return {
        "photographs": many,
        "drawn": drawn,
        "model": model,
        "edits": rows,
        "certain": _precision(certain & above, same),
        "look": _precision(look & above, same),
        "nearest_of_others": int(apart[above & ~same & both].min()),
        "groups": len(groups),
        "groups_of_unlike_pictures": len(wrong),
        "quality_below_50": int((~good).sum()),
    }


def _files(photographs: Iterable[Image.Image], drawn: int) -> tuple[list[bytes], NDArray[np.int64]]:
    files: list[bytes] = []
    families: list[int] = []
    for number, picture in enumerate(photographs):
        made = [picture, *(edit(picture) for edit in EDITS.values())]
        files += [saved(one) for one in made]
        families += [number] * len(made)
    items = catalogue.items(drawn) if drawn else []
    families += [1_000_000 + number for number in range(len(items))]  # each picture is one of its own
    return [*files, *(catalogue.draw(item) for item in items)], np.array(families)


def _seen(files: list[bytes], model: str | None) -> tuple[list[Pdq], NDArray[np.float32] | None]:
    encoder: Any = None
    if model:
        from imgsearch_workers.model import encoder as encoders

        encoder = encoders.load(load_settings(), model, with_texts=False)
    hashes, vectors = [], []
    for data in files:
        one = square(data, encoder.size if encoder else _SIZE)
        hashes.append(of_plane(one.plane))
        if encoder:
            pixels = np.frombuffer(one.pixels, np.uint8).reshape(1, encoder.size, encoder.size, 3)
            vectors.append(np.asarray(encoder.embed_pictures(pixels)[0], np.float32))
    return hashes, np.stack(vectors) if vectors else None


def _apart(hashes: list[Pdq]) -> NDArray[np.int64]:
    """Return how many bits each is from each other, whichever way the first is turned."""
    plain = np.stack([one.bits for one in hashes]).astype(np.float32)
    nearest = np.full((len(hashes), len(hashes)), 256, np.int64)
    ones = plain.sum(axis=1)
    for turn in range(8):
        turned = np.stack([one.turns[turn] for one in hashes]).astype(np.float32)
        np.minimum(nearest, (turned.sum(axis=1)[:, None] + ones[None] - 2 * turned @ plain.T).astype(np.int64), nearest)
    return nearest


def _grouped(hashes: list[Pdq], certain: NDArray[np.bool_], apart: NDArray[np.int64]) -> list[twins.Group]:
    pairs = [(int(apart[a, b]), int(a), int(b)) for a, b in np.argwhere(np.triu(certain, 1))]
    return twins.grouped(pairs, {n: np.packbits(one.turns, axis=1) for n, one in enumerate(hashes)})


def _of_edit(
    at: int, many: int, apart: NDArray[np.int64], certain: NDArray[np.bool_], look: NDArray[np.bool_]
) -> dict[str, float]:
    each = 1 + len(EDITS)
    originals = np.arange(many) * each
    bits = apart[originals, originals + at]
    return {
        "certain": float(certain[originals, originals + at].mean()),
        "certain_or_look": float((certain | look)[originals, originals + at].mean()),
        "median_bits": float(np.median(bits)),
        "p95_bits": float(np.percentile(bits, 95)),
    }


def _precision(found: NDArray[np.bool_], same: NDArray[np.bool_]) -> dict[str, float]:
    many = int(found.sum())
    return {"pairs": many, "wrong": int((found & ~same).sum()), "precision": float((found & same).sum() / max(1, many))}


def table(found: dict[str, Any]) -> str:
    """Return the figures as a table of Markdown."""
    lines = ["| edit | certain | certain or look | bits, median | bits, p95 |", "|---|---|---|---|---|"]
    for name, one in found["edits"].items():
        shares = f"{one['certain']:.3f} | {one['certain_or_look']:.3f}"
        lines.append(f"| {name} | {shares} | {one['median_bits']:.0f} | {one['p95_bits']:.0f} |")
    rest = {name: value for name, value in found.items() if name != "edits"}
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in rest.items())])
