"""Posters with much to recognise, drawn by number, and the same poster photographed from somewhere else."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw


def poster(number: int, size: tuple[int, int] = (480, 360)) -> Image.Image:
    """Return a poster that is like no other."""
    numbers = np.random.default_rng(number)
    made = Image.new("RGB", size, tuple(int(x) for x in numbers.integers(120, 255, 3)))
    pen = ImageDraw.Draw(made)
    for _ in range(160):
        x, y = int(numbers.integers(0, size[0])), int(numbers.integers(0, size[1]))
        wide, tall = (int(x) for x in numbers.integers(6, 60, 2))
        colour = tuple(int(x) for x in numbers.integers(0, 255, 3))
        draw = (pen.rectangle, pen.ellipse)[int(numbers.integers(2))]
        draw((x, y, x + wide, y + tall), fill=colour)
    return made


def seen_from_the_side(picture: Image.Image) -> tuple[Image.Image, np.ndarray]:
    """Return it in perspective, and the homography from the new picture's shares to the old one's."""
    a, b, c, d, e, f, g, h = 0.95, 0.12, 20.0, -0.1, 1.02, 25.0, 0.0002, 0.00015
    made = picture.transform(
        picture.size, Image.Transform.PERSPECTIVE, (a, b, c, d, e, f, g, h), Image.Resampling.BICUBIC
    )
    wide, tall = picture.size
    leads = np.diag([1 / wide, 1 / tall, 1]) @ np.array([[a, b, c], [d, e, f], [g, h, 1]]) @ np.diag([wide, tall, 1])
    return made, leads


def as_file(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()
