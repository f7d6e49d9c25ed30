"""What does reading a picture's colours cost, how often are they right? `python -m bench.colours [--photos DIR]`.

Right: a drawn product's own colour is among `picture_colours`, or is the first of them, by what it was drawn before.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from imgsearch.dev.demo import catalogue
from imgsearch.picture import palette

SIDE = 256
NAMED = {"teal": "cyan"}  # the demo's word → the family


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000, help="drawn products")
    parser.add_argument("--photos", type=Path, help="a folder of photographs, for the time that they take")
    given = parser.parse_args()
    spent: list[float] = []
    among: dict[str, list[bool]] = defaultdict(list)
    first: list[bool] = []
    for item in catalogue.items(given.items):
        found = described(io.BytesIO(catalogue.draw(item)), spent)
        own = NAMED.get(item.attributes["colour"], item.attributes["colour"])
        among[item.attributes["background"]].append(own in found)
        first.append(own == found[0])
    figures = {
        "drawn": given.items,
        "among": round(float(np.mean([one for each in among.values() for one in each])), 3),
        "first": round(float(np.mean(first)), 3),
        "among, by background": {name: round(float(np.mean(each)), 3) for name, each in sorted(among.items())},
        "CPU ms, median": round(statistics.median(spent), 2),
    }
    if given.photos:
        real: list[float] = []
        for path in sorted(given.photos.iterdir()):
            described(path, real)
        figures["CPU ms of a photograph, median and largest"] = [round(statistics.median(real), 2), round(max(real), 2)]
    print(json.dumps(figures, indent=1))


def described(source: Path | io.BytesIO, spent: list[float]) -> list[str]:
    """Return the colours of a picture as a worker sees it; note the CPU time in milliseconds."""
    picture = Image.open(source).convert("RGB")
    pixels = np.asarray(picture.resize((SIDE, SIDE)))
    began = time.thread_time()
    found: list[str] = palette.describe(pixels, *picture.size)["picture_colours"]
    spent.append((time.thread_time() - began) * 1000)
    return found


if __name__ == "__main__":
    main()
