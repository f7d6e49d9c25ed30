"""Does a picture mean the same in every format? The cosine of each kind of file to the plain PNG of the same picture.

python -m bench.pictures                       pictures of the drawn catalogue, with the demo's model
python -m bench.pictures FOLDER --model NAME   photographs of your own, another model

HEIC is written only where pillow-heif is installed (by hand: its wheel is GPL); otherwise its rows are left out.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from imgsearch_workers.model import encoder as encoders
from PIL import Image, ImageOps

from bench.kinds import Kind, kinds, saved
from imgsearch import picture
from imgsearch.dev.demo import catalogue
from imgsearch.picture.formats import FORMATS
from imgsearch.settings import load_settings

SIDE = 640  # pixels; files of a few hundred KB
EXPECTED = 0.999
Found = dict[tuple[str, str], list[tuple[float, float]]]


def main() -> None:
    """Print the table, and how many kinds are below what is expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--count", type=int, default=5, help="how many pictures")
    parser.add_argument("--model", default=str(files("imgsearch.dev.demo") / "model"))
    parser.add_argument("--into", type=Path, help="a page whose table is replaced")
    options = parser.parse_args()
    encoder = encoders.load(load_settings(), options.model, with_texts=False)
    found: Found = {}
    for number, plain in enumerate(pictures(options.folder, options.count), 1):
        print(f"picture {number}", file=sys.stderr)
        for kind in kinds(plain):
            found.setdefault((kind.format, kind.kind), []).append(compared(encoder, kind))
    text = "\n".join(table(found))
    print(text)
    low = sum(min(cosine for cosine, _ in values) < EXPECTED for values in found.values())
    print(f"\n{len(found)} kinds, {low} below {EXPECTED}", file=sys.stderr)
    if options.into:
        page = options.into.read_text()
        options.into.write_text(re.sub(r"\| format \| kind \|.*?\n(?!\|)", text + "\n", page, flags=re.DOTALL))


def pictures(folder: Path | None, count: int) -> Iterator[Image.Image]:
    """Yield upright sRGB pictures of a folder, or drawn ones."""
    if folder is None:
        for item in catalogue.items(count):
            yield picture.upright(catalogue.draw(item))
        return
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in picture.FORMATS["JPEG"].suffixes)
    for path in photos[:: max(1, len(photos) // count)][:count]:
        yield ImageOps.contain(picture.upright(path.read_bytes()), (SIDE, SIDE))


def compared(encoder: Any, kind: Kind) -> tuple[float, float]:
    """Return (cosine, mean difference in levels of 255) of a file to the PNG of what it shows."""
    seen = [picture.decode(data, encoder.size) for data in (kind.data, saved(kind.seen.convert("RGB"), "PNG"))]
    ours, plain = (np.asarray(vector, np.float64) for vector in encoder.embed_pictures(np.stack(seen)))
    cosine = float(ours @ plain / (np.linalg.norm(ours) * np.linalg.norm(plain)))
    return cosine, float(np.abs(seen[0].astype(float) - seen[1]).mean())


def table(found: Found) -> Iterator[str]:
    """Yield the lines of a table in Markdown, formats in the order of their own table."""
    yield "| format | kind | cosine, median | least | difference of 255 |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for (name, kind), values in sorted(found.items(), key=lambda row: [*FORMATS].index(row[0][0])):
        cosines = [cosine for cosine, _ in values]
        difference = statistics.mean(difference for _, difference in values)
        label = FORMATS[name].label
        yield f"| {label} | {kind} | {statistics.median(cosines):.4f} | {min(cosines):.4f} | {difference:.1f} |"


if __name__ == "__main__":
    main()
