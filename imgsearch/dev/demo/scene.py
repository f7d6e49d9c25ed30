"""A photo of several products, as a street or a room shows them: drawn, with what each of them covers."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imgsearch.dev.demo import backgrounds, draw
from imgsearch.dev.demo.words import Look

CELL = 420
"""Side of the square that each product stands in, in px."""
Box = tuple[int, int, int, int]
Shown = tuple[Look, int]


@dataclass(frozen=True)
class Scene:
    """The file, and left, top, right and bottom of each product on it, in the order they were given."""

    jpeg: bytes
    size: tuple[int, int]
    boxes: tuple[Box, ...]

    def region(self, number: int, margin: float = 0.04) -> tuple[float, float, float, float]:
        """Return what somebody marks who means a product: its box and a little more, as x, y, w, h in shares."""
        left, top, right, low = self.boxes[number]
        (wide, high), x, y = self.size, margin * (right - left), margin * (low - top)
        left, top = max(0, round(left - x)), max(0, round(top - y))
        right, low = min(wide, round(right + x)), min(high, round(low + y))
        return left / wide, top / high, (right - left) / wide, (low - top) / high


def scene(products: Sequence[Shown], seed: int, background: str, view: int = 7) -> Scene:
    """Draw products (what they look like, and their number) side by side on one ground, each in a pose of its own."""
    random = Random(f"scene {seed}")
    across = math.ceil(math.sqrt(len(products)))
    down = math.ceil(len(products) / across)
    wide, high = across * CELL, down * CELL
    ground = backgrounds.crop(background, max(wide, high), max(wide, high), random)
    canvas = ground.crop((0, 0, wide, high))
    places = [(CELL * (n % across), CELL * (n // across)) for n in range(across * down)]
    random.shuffle(places)
    boxes = [
        draw.place(canvas, look, number, view + seed, CELL, corner)
        for (look, number), corner in zip(products, places, strict=False)
    ]
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=draw.QUALITY)
    return Scene(file.getvalue(), canvas.size, tuple(boxes))
