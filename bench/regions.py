"""What does a marked part find that a whole photo does not? Drawn scenes of several products, the demo's own model.

python -m bench.regions                       recall of crops and of regions, in two minutes
python -m bench.regions --searched            the same of a catalogue of scenes, through imgsearch.search() itself
python -m bench.regions --rows 200000 --each 1,5    p50, recall and bytes of a shop with so many regions per picture

A scene is asked for each of its products: with the whole photo, with the marked part (the product's box and 4 % around
it), with what stands out of it, and, to compare with, with another picture of the product alone, on the ground that it
has in the catalogue or, as in a scene, on any. Then the other way
round: pictures of single products are asked of a catalogue of scenes, whole and in regions. Compared exactly, in numpy.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from imgsearch_workers.model.siglip import SiglipEncoder
from imgsearch_workers.proposers import grid
from numpy.typing import NDArray

from bench import regions_searched, regions_speed, scenes
from bench.scenes import OTHER_VIEW, Vectors, embedded
from imgsearch.dev.demo import catalogue, draw
from imgsearch.dev.demo.catalogue import Item
from imgsearch.dev.demo.scene import Scene
from imgsearch.dev.demo.words import BACKGROUNDS

OUT = Path(__file__).resolve().parent / "out"


def main() -> None:
    """Measure and print; keep the figures as JSON."""
    parser = argparse.ArgumentParser(prog="bench.regions", description="Crops and regions, measured.")
    parser.add_argument("--products", type=int, default=400, help="of the catalogue (default 400)")
    parser.add_argument("--scenes", type=int, default=60, help="of each size (default 60)")
    parser.add_argument("--searched", action="store_true", help="a catalogue of scenes, by imgsearch.search()")
    parser.add_argument("--rows", type=int, default=0, help="pictures of a shop whose speed is measured instead")
    parser.add_argument("--dim", type=int, default=768, help="numbers per vector there (default 768)")
    parser.add_argument("--each", default="1,5,9", help="regions per picture there (default 1,5,9)")
    parser.add_argument("--questions", type=int, default=40, help="asked there (default 40)")
    given = parser.parse_args()
    if given.rows:
        each = [int(one) for one in given.each.split(",")]
        found = regions_speed.measured(given.rows, given.dim, each, given.questions)
    elif given.searched:
        found = regions_searched.measured(given.products, given.scenes)
    else:
        found = quality(given.products, given.scenes)
    OUT.mkdir(exist_ok=True)
    name = f"regions-{given.rows}x{given.dim}" if given.rows else "regions-searched" if given.searched else "regions"
    (OUT / f"{name}.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


def quality(products: int, many: int) -> dict[str, Any]:
    """Return recall@1 and @10 of each way of asking."""
    encoder = SiglipEncoder.load("demo", threads=1)
    items = [item for item in catalogue.items(4 * products) if item.position == 0][:products]
    alone = embedded(encoder, ((catalogue.draw(item), None) for item in items))
    figures: dict[str, Any] = {}
    for size in (1, 2, 4):
        drawn = list(scenes.drawn(items, size, many))
        figures[f"question is a scene of {size}"] = _crops(encoder, items, alone, drawn)
        figures[f"catalogue of scenes of {size}"] = _regions(encoder, items, drawn)
    return figures


def _crops(
    encoder: SiglipEncoder, items: Sequence[Item], alone: Vectors, drawn: Sequence[tuple[Scene, list[int]]]
) -> dict[str, Any]:
    """Each product of each scene is looked for among the products."""
    wanted = np.array([n for _, chosen in drawn for n in chosen])
    own = ((draw.jpeg(items[n].look, items[n].seed, OTHER_VIEW), None) for n in wanted)
    chance, grounds = Random(9), list(BACKGROUNDS)
    looks = [replace(items[n].look, background=chance.choice(grounds)) for n in wanted]
    elsewhere = ((draw.jpeg(look, items[n].seed, OTHER_VIEW), None) for look, n in zip(looks, wanted, strict=True))
    whole = embedded(encoder, ((shown.jpeg, None) for shown, _ in drawn))
    parts = ((shown.jpeg, shown.region(n)) for shown, chosen in drawn for n in range(len(chosen)))
    each = np.repeat(np.arange(len(drawn)), [len(chosen) for _, chosen in drawn])
    proposed = [(each_scene, box) for each_scene, (shown, _) in enumerate(drawn) for box in scenes.boxes(shown.jpeg)]
    vectors = embedded(encoder, ((drawn[n][0].jpeg, box) for n, box in proposed))
    best = (whole @ alone.T).copy()
    for (number, _), vector in zip(proposed, vectors, strict=True):
        best[number] = np.maximum(best[number], vector @ alone.T)
    return {
        "questions": len(wanted),
        "the product alone, another picture": _recall(embedded(encoder, own) @ alone.T, wanted),
        "the same, on any ground": _recall(embedded(encoder, elsewhere) @ alone.T, wanted),
        "whole photo": _recall((whole @ alone.T)[each], wanted),
        "marked part": _recall(embedded(encoder, parts) @ alone.T, wanted),
        "best of what stands out": _recall(best[each], wanted),
    }


def _regions(encoder: SiglipEncoder, items: Sequence[Item], drawn: Sequence[tuple[Scene, list[int]]]) -> dict[str, Any]:
    """Each product is looked for among the scenes: the right answer is the scene that shows it."""
    wanted = np.array([number for number, (_, chosen) in enumerate(drawn) for _ in chosen])
    asked = [n for _, chosen in drawn for n in chosen]
    own = embedded(encoder, ((draw.jpeg(items[n].look, items[n].seed, OTHER_VIEW), None) for n in asked))
    whole = own @ embedded(encoder, ((shown.jpeg, None) for shown, _ in drawn)).T
    ways: dict[str, Any] = {"questions": len(asked), "whole": _recall(whole, wanted)}
    proposers = {
        "grid of 5": lambda _: grid.propose(5),
        "grid of 9": lambda _: grid.propose(9),
        "salient, 5 at most": lambda data: scenes.boxes(data)[:5],
    }
    for name, propose in proposers.items():
        places = [(number, box) for number, (shown, _) in enumerate(drawn) for box in propose(shown.jpeg)]
        vectors = embedded(encoder, ((drawn[number][0].jpeg, box) for number, box in places))
        scores = own @ vectors.T
        best = whole.copy()
        np.maximum.at(best.T, [number for number, _ in places], scores.T)
        ways[name] = {"vectors per picture": round(1 + len(places) / len(drawn), 1), **_recall(best, wanted)}
    return ways


def _recall(scores: Vectors, wanted: NDArray[np.integer[Any]]) -> dict[str, float]:
    """Return which share of the questions has its answer first, and among the first ten."""
    right = scores[np.arange(len(wanted)), wanted]
    before = (scores > right[:, None]).sum(axis=1)
    return {"recall@1": round(float((before < 1).mean()), 3), "recall@10": round(float((before < 10).mean()), 3)}


if __name__ == "__main__":
    main()
