"""What is behind the product? A few large scenes per background are drawn once; each picture is a crop of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsearch.dev.demo.words import BACKGROUNDS

SCENES = 3
"""Scenes per background: few, because a scene for 800 px pictures holds about 3 MB of memory."""
_SPARE = 1.5
"""A scene is this much larger than the short side of a picture, so that crops differ."""

Scene = NDArray[np.float32]
"""(side, side, 3), 0 … 255."""


def crop(background: str, width: int, height: int, random: Random) -> Image.Image:
    """Return an RGB background of width × height px; raises KeyError for an unknown background."""
    scene = _scene(background, random.randrange(SCENES), round(min(width, height) * _SPARE))
    left, top = random.randint(0, scene.width - width), random.randint(0, scene.height - height)
    return scene.crop((left, top, left + width, top + height))


@lru_cache(maxsize=SCENES * len(BACKGROUNDS))
def _scene(background: str, number: int, side: int) -> Image.Image:
    generator = np.random.default_rng([number, *background.encode()])
    pixels = _PAINTERS[background](side, generator)
    pixels += generator.uniform(-8, 8, 3) + _blotches(side, generator, 24, 5) + _blotches(side, generator, side // 4, 4)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _blotches(side: int, generator: np.random.Generator, cells: int, strength: float, rows: int | None = None) -> Scene:
    """Return smooth grey noise (side, side, 1) with the given number of cells across and rows down."""
    coarse = generator.normal(0, strength, (rows or cells, cells)).astype(np.float32)
    fine: Scene = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    return fine[:, :, None]


def _flat(side: int, colour: tuple[int, int, int]) -> Scene:
    return np.full((side, side, 3), colour, dtype=np.float32)


def _slope(side: int) -> Scene:
    """Return (side, 1, 1) going from 0 at the top to 1 at the bottom."""
    return np.linspace(0, 1, side, dtype=np.float32)[:, None, None]


def _white(side: int, _: np.random.Generator) -> Scene:
    return _flat(side, (252, 252, 252)) - 10 * _slope(side)


def _studio(side: int, generator: np.random.Generator) -> Scene:
    across = np.linspace(-1, 1, side, dtype=np.float32)
    middle = generator.uniform(-0.2, 0.2)
    distance: Scene = np.hypot(across[None, :] - middle, across[:, None])[:, :, None]
    pixels: Scene = _flat(side, (198, 204, 222)) - 70 * distance
    return pixels


def _room(side: int, generator: np.random.Generator) -> Scene:
    pixels = _flat(side, (236, 220, 192)) - 14 * _slope(side)
    floor = round(side * generator.uniform(0.56, 0.64))
    pixels[floor:] = (176, 138, 104)
    pixels[floor:] += 24 * _slope(side)[: side - floor]
    pixels[floor - side // 40 : floor] = (250, 246, 238)
    return pixels


def _dark(side: int, _: np.random.Generator) -> Scene:
    return _flat(side, (30, 30, 36)) + 26 * _slope(side)


def _wood(side: int, generator: np.random.Generator) -> Scene:
    pixels = _flat(side, (172, 118, 66)) + _blotches(side, generator, 5, 16, rows=side // 6)
    plank = side // 5
    for number in range(6):
        pixels[number * plank : (number + 1) * plank] += generator.uniform(-18, 18)
        pixels[number * plank : number * plank + max(2, side // 160)] -= 50
    return pixels


def _grass(side: int, generator: np.random.Generator) -> Scene:
    blades = _blotches(side, generator, side // 5, 20, rows=side // 16)
    return _flat(side, (98, 164, 60)) + blades * np.array([0.9, 1.0, 0.6], dtype=np.float32)


_PAINTERS: dict[str, Callable[[int, np.random.Generator], Scene]] = {
    "white": _white,
    "studio": _studio,
    "room": _room,
    "dark": _dark,
    "wood": _wood,
    "grass": _grass,
}
