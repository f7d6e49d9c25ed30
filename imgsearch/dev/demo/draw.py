"""How is a product picture drawn? The same seed is the same product; `view` is the pose it is photographed in."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageOps

from imgsearch.dev.demo import backgrounds, patterns
from imgsearch.dev.demo.outline import Part, Points
from imgsearch.dev.demo.shapes import shape
from imgsearch.dev.demo.words import COLOURS, RGB, Look

SIDE = 640
"""Short side of a picture in px, so that decoding one is real work."""
QUALITY = 86
_PAD = 6
"""Free pixels around the product on its tile, for its outline."""
_DARK: RGB = (52, 46, 44)
_TRIM: RGB = (236, 232, 222)


def jpeg(look: Look, seed: int, view: int = 0, side: int = SIDE) -> bytes:
    """Draw a product as a JPEG file; `side` is the short side in px."""
    file = io.BytesIO()
    picture(look, seed, view, side).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def picture(look: Look, seed: int, view: int = 0, side: int = SIDE) -> Image.Image:
    """Draw a product as an RGB picture; raises KeyError for an unknown word in `look`."""
    product, photograph = Random(f"product {seed}"), Random(f"photograph {seed} {view}")
    width, height = photograph.choice(((side, side), (side, side), (side, side * 5 // 4), (side * 5 // 4, side)))
    canvas = backgrounds.crop(look.background, width, height, photograph)
    tile, mask = _product(look, product, _pose(product, photograph), side)
    room_x, room_y = width - tile.width, height - tile.height
    left = round(room_x / 2 + _spread(photograph, 0.36 * max(room_x, side * 0.1)))
    top = round(room_y / 2 + _spread(photograph, 0.36 * max(room_y, side * 0.1)))
    _shadow(canvas, mask, left, top, photograph)
    canvas.paste(tile, (left, top), mask)
    return canvas


def place(
    canvas: Image.Image, look: Look, seed: int, view: int, side: int, corner: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Draw a product into a square of a scene, with its shadow; return left, top, right, bottom of what it covers."""
    product, photograph = Random(f"product {seed}"), Random(f"photograph {seed} {view}")
    tile, mask = _product(look, product, _pose(product, photograph), side)
    left = corner[0] + round((side - tile.width) / 2 + _spread(photograph, max(0, side - tile.width) * 0.3))
    top = corner[1] + round((side - tile.height) / 2 + _spread(photograph, max(0, side - tile.height) * 0.3))
    _shadow(canvas, mask, left, top, photograph)
    canvas.paste(tile, (left, top), mask)
    covered = mask.getbbox() or (0, 0, *mask.size)
    return left + covered[0], top + covered[1], left + covered[2], top + covered[3]


@dataclass(frozen=True, slots=True)
class _Pose:
    """A 2 × 2 matrix that takes the unit frame to the picture; 1 is half the short side."""

    a: float
    b: float
    c: float
    d: float

    def place(self, points: Iterable[tuple[float, float]], scale: float) -> Points:
        """Return the points in px around the middle of the tile."""
        a, b, c, d = self.a * scale, self.b * scale, self.c * scale, self.d * scale
        return [(a * x + b * y, c * x + d * y) for x, y in points]


def _spread(random: Random, reach: float) -> float:
    return random.uniform(-reach, reach)


def _pose(product: Random, photograph: Random) -> _Pose:
    """Choose size, stretch, lean, mirror image and angle."""
    size = photograph.uniform(0.56, 0.84)
    wide = size * product.uniform(0.92, 1.06) * photograph.uniform(0.9, 1.0)
    tall = size * product.uniform(0.92, 1.06)
    lean = _spread(photograph, 0.1)
    angle = math.radians(_spread(photograph, 16))
    flip = photograph.choice((-1, 1))
    cos, sin = math.cos(angle), math.sin(angle)
    return _Pose(flip * wide * cos, tall * (lean * cos - sin), flip * wide * sin, tall * (lean * sin + cos))


def _varied(colour: RGB, random: Random, reach: int = 9) -> RGB:
    light = random.randint(-reach, reach)
    red, green, blue = (max(0, min(255, part + light + random.randint(-4, 4))) for part in colour)
    return red, green, blue


def _mixed(colour: RGB, other: RGB, share: float) -> RGB:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _product(look: Look, product: Random, pose: _Pose, side: int) -> tuple[Image.Image, Image.Image]:
    """Draw the product on a tile of its own size: RGB colours and an L mask."""
    scale = side / 2
    parts = [(item, pose.place(item.points, scale)) for item in shape(look.category)]
    xs = [x for _, points in parts for x, _ in points]
    ys = [y for _, points in parts for _, y in points]
    dx, dy = _PAD - min(xs), _PAD - min(ys)
    size = (math.ceil(max(xs) + dx + _PAD), math.ceil(max(ys) + dy + _PAD))
    colour = _varied(COLOURS[look.colour], product)
    tile, mask, plain = Image.new("RGB", size, colour), Image.new("L", size), Image.new("L", size)
    moved = [(item, [(x + dx, y + dy) for x, y in points]) for item, points in parts]
    _fill(moved, colour, round(scale / 60), tile, mask, plain)
    if look.pattern_colour is not None:
        shift = (_spread(product, patterns.STEP / 2), _spread(product, patterns.STEP / 2))
        over = _pattern_mask(look.pattern, pose, scale, (dx, dy), shift, size)
        tile.paste(_varied(COLOURS[look.pattern_colour], product), mask=ImageChops.darker(over, plain))
    return tile, mask


def _fill(
    parts: list[tuple[Part, Points]], colour: RGB, edge: int, tile: Image.Image, mask: Image.Image, plain: Image.Image
) -> None:
    """Fill the parts on the tile; `mask` gets the whole product, `plain` only what may carry the pattern."""
    bright = sum(colour) > 150
    line = _mixed(colour, (0, 0, 0), 0.42) if bright else _mixed(colour, (255, 255, 255), 0.3)
    fills = {
        "body": colour,
        "shade": _mixed(colour, (0, 0, 0) if bright else (255, 255, 255), 0.2),
        "trim": _TRIM,
        "dark": _DARK,
    }
    on_tile, on_mask, on_plain = ImageDraw.Draw(tile), ImageDraw.Draw(mask), ImageDraw.Draw(plain)
    for item, points in parts:
        closed = [*points, points[0]]
        on_tile.polygon(points, fill=fills[item.role])
        on_mask.polygon(points, fill=255)
        on_plain.polygon(points, fill=255 if item.role == "body" else 0)
        on_tile.line(closed, fill=line, width=edge)
        on_mask.line(closed, fill=255, width=edge)
        on_plain.line(closed, fill=0, width=edge)


def _pattern_mask(
    pattern: str,
    pose: _Pose,
    scale: float,
    middle: tuple[float, float],
    shift: tuple[float, float],
    size: tuple[int, int],
) -> Image.Image:
    over = Image.new("L", size)
    pencil = ImageDraw.Draw(over)
    sx, sy = shift if pattern != "two-tone" else (0.0, shift[1] / 2)
    for polygon in patterns.polygons(pattern):
        placed = pose.place([(x + sx, y + sy) for x, y in polygon], scale)
        pencil.polygon([(x + middle[0], y + middle[1]) for x, y in placed], fill=255)
    return over


def _shadow(canvas: Image.Image, mask: Image.Image, left: int, top: int, random: Random) -> None:
    """Darken the ground beside the product: its own outline, coarse, spread and moved a little."""
    cell = max(2, min(canvas.size) // 40)
    coarse = ImageOps.expand(mask.reduce(cell).point([value // 3 for value in range(256)]), 2)
    soft = coarse.resize((coarse.width * cell, coarse.height * cell), Image.Resampling.BILINEAR)
    canvas.paste((0, 0, 0), (left - 2 * cell + round(_spread(random, 1.2 * cell)), top - 2 * cell + cell), soft)
