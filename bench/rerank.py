"""Does `spatial` know an object again, and only that? `python -m bench.rerank FOLDER`: real photographs, warped.

Each photograph is asked with after a warp (turned, seen from the side, smaller or larger, half of it covered) and
compared with itself and with every other one. Recall: how many warped ones are found again; false alarms: how many
pairs of different photographs agree. One process, one thread; the table is Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from imgsearch_workers.looking import features
from imgsearch_workers.looking.spatial import agreement
from PIL import Image

from imgsearch.errors import PictureError
from imgsearch.picture.geometry import Geometry
from imgsearch.picture.pixels import upright

SIDE = 512
Warp = Callable[[Image.Image, np.random.Generator], Image.Image]


def perspective(strength: float) -> Warp:
    """Return a warp that moves each corner inwards by up to so much of the side."""

    def warp(picture: Image.Image, numbers: np.random.Generator) -> Image.Image:
        wide, tall = picture.size
        x, y = numbers.uniform(0, strength, 4) * wide, numbers.uniform(0, strength, 4) * tall
        seen = [(x[0], y[0]), (wide - x[1], y[1]), (wide - x[2], tall - y[2]), (x[3], tall - y[3])]
        rows = []
        for (u, v), (p, q) in zip(seen, [(0, 0), (wide, 0), (wide, tall), (0, tall)], strict=True):
            rows += [[u, v, 1, 0, 0, 0, -p * u, -p * v], [0, 0, 0, u, v, 1, -q * u, -q * v]]
        to = np.array([0, 0, wide, 0, wide, tall, 0, tall], float)
        found = np.linalg.solve(np.array(rows, float), to)
        return picture.transform(picture.size, Image.Transform.PERSPECTIVE, list(found), Image.Resampling.BICUBIC)

    return warp


def covered(picture: Image.Image, numbers: np.random.Generator) -> Image.Image:
    """Return the picture with one half of it, chosen by chance, behind grey."""
    made, (wide, tall) = picture.copy(), picture.size
    halves = [(0, 0, wide // 2, tall), (wide // 2, 0, wide, tall), (0, 0, wide, tall // 2), (0, tall // 2, wide, tall)]
    made.paste((128, 128, 128), halves[int(numbers.integers(4))])
    return made


def scaled(by: float) -> Warp:
    return lambda picture, _: picture.resize(
        [max(8, round(side * by)) for side in picture.size], Image.Resampling.BICUBIC
    )


def turned(degrees: float) -> Warp:
    return lambda picture, _: picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(255, 255, 255))


WARPS: dict[str, Warp] = {
    "turned by 10°": turned(10),
    "turned by 45°": turned(45),
    "turned by 180°": turned(180),
    "perspective 10 %": perspective(0.1),
    "perspective 25 %": perspective(0.25),
    "perspective 35 %": perspective(0.35),
    "half the size": scaled(0.5),
    "a quarter of the size": scaled(0.25),
    "half covered": covered,
    "turned by 30°, perspective 20 %, half covered": lambda picture, numbers: covered(
        perspective(0.2)(turned(30)(picture, numbers), numbers), numbers
    ),
}


def pixels(picture: Image.Image) -> Any:
    """Return a picture as a worker shows it to a step."""
    return np.asarray(picture.resize(Geometry.fit(SIDE).resized(picture.size), Image.Resampling.BICUBIC))


def photographs(folder: Path) -> list[Image.Image]:
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            picture = upright(path.read_bytes()) if path.is_file() else None
        except PictureError:
            continue
        if picture is not None:
            picture.thumbnail((1024, 1024))
            found.append(picture)
    return found


def main() -> None:
    """Print recall and false alarms of each warp, and what a candidate costs."""
    parser = argparse.ArgumentParser(prog="python -m bench.rerank", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inliers", type=int, nargs="+", default=[10, 15, 20])
    parser.add_argument(
        "--others", type=int, default=20, help="other photographs that each warped one is compared with"
    )
    given = parser.parse_args()
    numbers = np.random.default_rng(1)
    pictures = photographs(given.folder)
    if not pictures:
        sys.exit(f"There is no picture in {given.folder}.")
    began = time.process_time()
    known = [features.found(pixels(one)) for one in pictures]
    made_ms = (time.process_time() - began) * 1000 / len(known)
    heads = " | ".join(f"recall, false alarms from {least} on" for least in given.inliers)
    print(f"| {len(pictures)} photographs | {heads} |\n|---|{'---|' * len(given.inliers)}")
    compared, spent, alarms, strongest = 0, 0.0, dict.fromkeys(given.inliers, 0), 0
    wrong = 0
    for name, warp in WARPS.items():
        hits, falses, others = dict.fromkeys(given.inliers, 0), dict.fromkeys(given.inliers, 0), 0
        for place, picture in enumerate(pictures):
            own = features.found(pixels(warp(picture, numbers)))
            rest = [one for one in numbers.permutation(len(pictures)) if one != place][: given.others]
            for other in (place, *rest):
                began = time.process_time()
                inliers = agreement(own, known[other]).inliers
                spent, compared = spent + time.process_time() - began, compared + 1
                for least in given.inliers:
                    if inliers >= least and other == place:
                        hits[least] += 1
                    elif inliers >= least:
                        falses[least] += 1
                if other != place:
                    others, strongest = others + 1, max(strongest, inliers)
        wrong += others
        for least in given.inliers:
            alarms[least] += falses[least]
        cells = " | ".join(f"{hits[n] / len(pictures):.3f}, {falses[n]} of {others}" for n in given.inliers)
        print(f"| {name} | {cells} |", flush=True)
    total = " | ".join(f"{alarms[n]} of {wrong}" for n in given.inliers)
    print(f"| false alarms in all | {total} |")
    kept = [len(one.as_bytes()) for one in known]
    print(f"\nThe most that two different ones agree on: {strongest} inliers.")
    print(f"Features of a picture: {made_ms:.1f} ms of CPU, {np.mean(kept):,.0f} bytes kept ({max(kept):,} at most).")
    print(f"A comparison with kept features: {spent * 1000 / compared:.2f} ms of CPU.")


if __name__ == "__main__":
    main()
