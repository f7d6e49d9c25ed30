"""Which fixed pictures and words every machine embeds to find out whether its model answers like the others'.

Integer arithmetic only, so that the pixels are the same everywhere. No torch here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PICTURE = 6  # the place in `drawn` of the one that is compared: a striped diamond, colours and edges in one
TEXT = "a red canvas shoe on a white table"


def drawn(count: int, size: int) -> NDArray[np.uint8]:
    """Draw the first `count` fixed pictures: a patterned figure on a lit ground, (count, size, size, 3) uint8."""
    y, x = np.mgrid[0:size, 0:size] * 240 // size
    pictures = [_picture(number, x, y) for number in range(count)]
    return np.stack(pictures) if pictures else np.zeros((0, size, size, 3), np.uint8)


def _picture(number: int, x: NDArray[np.int_], y: NDArray[np.int_]) -> NDArray[np.uint8]:
    ground = np.array([255, 255, 255] if number % 2 == 0 else _colour(7 * number + 3))
    figure, accent = np.array(_colour(5 * number + 1)), np.array(_colour(11 * number + 6))
    across, down = x - 120 + number % 5 * 8 - 16, y - 120 + number % 3 * 12 - 12
    reach = 50 + number * 13 % 50
    outline = (
        across**2 + down**2 < reach**2,
        (abs(across) < reach) & (abs(down) < reach * 2 // 3),
        abs(across) + abs(down) < reach * 5 // 4,
        (across**2 + down**2 < reach**2) & (across**2 + down**2 > reach**2 // 3),
    )[number % 4]
    width = 4 + number % 7 * 4
    pattern = (
        np.zeros_like(x, dtype=bool),
        x // width % 2 == 0,
        (x // width + y // width) % 2 == 0,
        (x % (2 * width) < width) & (y % (2 * width) < width),
    )[number // 4 % 4]
    canvas = np.broadcast_to(ground, (*x.shape, 3)).copy()
    canvas[outline] = figure
    canvas[outline & pattern] = accent
    light = (x * (number % 3) + y * (number % 4)) // 16
    pixels: NDArray[np.uint8] = np.clip(canvas - light[..., None], 0, 255).astype(np.uint8)
    return pixels


def _colour(number: int) -> list[int]:
    return [number * 97 % 256, (number * 57 + 40) % 256, (number * 151 + 90) % 256]
