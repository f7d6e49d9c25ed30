"""Which part of a picture is meant: (x, y, w, h) of the picture as it is shown, in shares of its sides or in pixels.

Four numbers of which none is above 1 are shares; in pixels they would be one pixel at most, which nobody can search by.
Kept as whole numbers (millionths, or pixels), so that the same region has one spelling, here and in SQL
(`imgsearch_internal.region_text`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imgsearch.errors import RegionError
from imgsearch.picture.codes import refusal
from imgsearch.picture.geometry import Geometry, Size

WHOLE = 1_000_000  # millionths
LARGEST = 65_535  # pixels; the longest side of any picture
ROOM = 0.15  # of a region's sides, around it
LEAST = 2  # pixels each way: one alone is a colour
_CURE = "give x, y, w, h within the picture as it is shown: shares from 0 to 1, or pixels."
_TEXT = re.compile(r"([sp])(\d{1,7}),(\d{1,7}),(\d{1,7}),(\d{1,7})")

Numbers = Sequence[float]
Cells = tuple[int, int, int, int]


@dataclass(frozen=True)
class Region:
    """A part of a picture: from (x, y), w wide and h high; shares in millionths."""

    unit: Literal["s", "p"]
    x: int
    y: int
    w: int
    h: int

    @classmethod
    def of(cls, given: Numbers | Region) -> Region:
        """Return the region that four numbers mean. Raises RegionError."""
        if isinstance(given, Region):
            return given
        numbers = _numbers(given)
        shares = all(number <= 1 for number in numbers)
        x, y, w, h = numbers
        if w <= 0 or h <= 0:
            raise RegionError(f"The region {_said(numbers)} has no area; {_CURE}")
        if shares and (x + w > 1 + 1 / WHOLE or y + h > 1 + 1 / WHOLE):
            raise RegionError(
                f"The region {_said(numbers)} ends outside of the picture, x + w or y + h above 1; {_CURE}"
            )
        scale, most = (WHOLE, WHOLE) if shares else (1, LARGEST)
        left, top, right, low = (math.floor(edge * scale + 0.5) for edge in (x, y, x + w, y + h))
        right, low = (min(right, most), min(low, most)) if shares else (right, low)
        found = cls("s" if shares else "p", left, top, right - left, low - top)
        if max(right, low) > most:
            raise RegionError(f"The region {_said(numbers)} ends outside of any picture; {_CURE}")
        if min(found.w, found.h) < (1 if shares else LEAST):
            raise RegionError(f"The region {_said(numbers)} is smaller than {LEAST} x {LEAST} pixels; {_CURE}")
        return found

    @classmethod
    def read(cls, text: str) -> Region:
        """Return the region of its own text. Raises RegionError."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise RegionError(f"{text[:40]!r} is no region; {_CURE}")
        unit: Literal["s", "p"] = "s" if found[1] == "s" else "p"
        return cls(unit, *(int(number) for number in found.groups()[1:]))

    def __str__(self) -> str:
        """Return its one spelling: it ends the key of the question."""
        return f"{self.unit}{self.x},{self.y},{self.w},{self.h}"

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """Return x, y, w, h as they were given."""
        scale = WHOLE if self.unit == "s" else 1
        return self.x / scale, self.y / scale, self.w / scale, self.h / scale

    def box(self, size: Size) -> Cells:
        """Return left, top, right, bottom in whole pixels of an upright picture. Raises PictureError (bad_region)."""
        wide, high = size
        across, down = (wide / WHOLE, high / WHOLE) if self.unit == "s" else (1, 1)
        left, top = math.floor(self.x * across + 0.5), math.floor(self.y * down + 0.5)
        right, low = math.floor((self.x + self.w) * across + 0.5), math.floor((self.y + self.h) * down + 0.5)
        if right > wide or low > high:
            raise refusal("bad_region", f"It ends at {right} x {low}, the picture is {wide} x {high} pixels as shown")
        if right - left < LEAST or low - top < LEAST:
            raise refusal("bad_region", f"It is {right - left} x {low - top} pixels of {wide} x {high}")
        return left, top, right, low


def with_room(box: Cells, size: Size, geometry: Geometry) -> Cells:
    """Return what a model sees of a region: `ROOM` around it, and as square as the picture has it where it is squashed.

    Models see products with room around them and in their own shape: of a box drawn tightly a quarter to a half as many
    are found again (`python -m bench.regions`). Never more than the picture; the whole picture stays the whole.
    """
    wide, high = ((box[n + 2] - box[n]) * (1 + 2 * ROOM) for n in (0, 1))
    if geometry.mode in ("squash", "crop"):
        wide = high = max(wide, high)
    left, right = _within((box[0] + box[2]) / 2, wide, size[0])
    top, low = _within((box[1] + box[3]) / 2, high, size[1])
    return left, top, right, low


def _within(middle: float, length: float, most: int) -> tuple[int, int]:
    length = min(length, most)
    first = math.floor(min(max(0.0, middle - length / 2), most - length) + 0.5)
    return first, min(most, first + max(LEAST, math.floor(length + 0.5)))


def _numbers(given: Numbers) -> tuple[float, ...]:
    try:
        if isinstance(given, str | bytes) or any(isinstance(one, bool) for one in given):
            raise TypeError
        numbers = tuple(float(one) for one in given)
    except (TypeError, ValueError, OverflowError) as error:
        raise RegionError(f"A region is four numbers; {_CURE}") from error
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise RegionError(f"A region is four finite numbers, not {_said(numbers)}; {_CURE}")
    if min(numbers) < 0:
        raise RegionError(f"The region {_said(numbers)} begins outside of the picture; {_CURE}")
    return numbers


def _said(numbers: Numbers) -> str:
    return "(" + ", ".join(f"{number:g}" for number in numbers[:5]) + ")"


def as_stored(box: Cells, size: Size, turn: int) -> Cells:
    """Return a box of the upright picture as one of the picture as it is stored; `size` is the stored one's."""
    wide, high = size
    left, top, right, low = box
    turned = {
        2: (wide - right, top, wide - left, low),
        3: (wide - right, high - low, wide - left, high - top),
        4: (left, high - low, right, high - top),
        5: (top, left, low, right),
        6: (top, high - right, low, high - left),
        7: (wide - low, high - right, wide - top, high - left),
        8: (wide - low, left, wide - top, right),
    }
    return turned.get(turn, box)
