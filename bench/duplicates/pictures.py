"""The pictures that duplicates are looked for among: photographs of a folder, and the drawn catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from imgsearch.dev.demo import catalogue
from imgsearch.picture.pixels import plane, upright

SIDE = 1000  # pixels: what a shop stores


def photographs(folder: Path) -> Iterator[Image.Image]:
    """Yield the upright photographs of a folder, at most `SIDE` pixels a side."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"}:
            picture = upright(path.read_bytes())
            picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
            yield picture


def planes(folder: Path, drawn: int = 600) -> list[bytes]:
    """Return what PDQ is made of, of photographs and of drawn pictures."""
    files = [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix.lower() in {".jpg", ".jpeg", ".png"}]
    return [plane(data) for data in (*files, *(catalogue.draw(item) for item in catalogue.items(drawn)))]
