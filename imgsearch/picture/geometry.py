"""How large and of which shape a model wants its pixels: data that the decoder follows. No numpy and no torch here.

All four treat width and height alike, so a picture may be resized as it is stored and turned upright afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Size = tuple[int, int]  # width, height
Mode = Literal["squash", "crop", "fit", "patches"]
Filter = Literal["bicubic", "bilinear", "lanczos", "box", "hamming", "nearest"]

LARGEST = 2048  # pixels per side that a model may ask for; the largest on the hub see 1,024
_MOST_PATCHES = 4096
_FINE = 1e-5  # where the search for the scale of patches ends, as in transformers
_LARGEST_SCALE = 100.0


@dataclass(frozen=True)
class Geometry:
    """What becomes of a picture of any size. Make one by the function named like its `mode`.

    squash: resized to size x size, whatever its shape was.
    crop: its shorter side resized to `shortest`, the middle of size x size cut out (black where there is less).
    fit: its longer side resized to `size`, black bars around it.
    patches: its shape kept, resized to as many whole squares of `patch` pixels as fit `most`; the results differ in
        width and height (SigLIP 2 NaFlex), and `size` is that of a square picture.
    """

    mode: Mode
    size: int
    filter: Filter = "bicubic"
    shortest: int = 0
    patch: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for what no picture can be made into."""
        if not 1 <= max(self.size, self.shortest) <= LARGEST or not self.size >= 1:
            raise ValueError(f"{self.size} pixels per side; from 1 to {LARGEST} are possible")
        if self.mode == "patches" and not (self.patch >= 1 and 1 <= self.most <= _MOST_PATCHES):
            raise ValueError(f"{self.most} patches of {self.patch} pixels; up to {_MOST_PATCHES} are possible")

    @classmethod
    def squash(cls, size: int, filter_: Filter = "bicubic") -> Geometry:
        return cls("squash", size, filter_)

    @classmethod
    def crop(cls, size: int, shortest: int, filter_: Filter = "bicubic") -> Geometry:
        return cls("crop", size, filter_, shortest=shortest)

    @classmethod
    def fit(cls, size: int, filter_: Filter = "bicubic") -> Geometry:
        return cls("fit", size, filter_)

    @classmethod
    def patches(cls, patch: int, most: int, filter_: Filter = "bilinear") -> Geometry:
        return cls("patches", patch * math.isqrt(most), filter_, patch=patch, most=most)

    @property
    def varies(self) -> bool:
        """Whether pictures of different shapes come out in different sizes."""
        return self.mode == "patches"

    @property
    def most_pixels(self) -> int:
        """Return how many pixels come out at most."""
        return self.most * self.patch**2 if self.varies else self.size**2

    def resized(self, size: Size) -> Size:
        """Return what a picture of this size is resized to, before anything is cut off or added."""
        if self.mode == "crop":
            return _by_shortest(size, self.shortest)
        if self.mode == "fit":
            return _by_longest(size, self.size)
        if self.mode == "patches":
            return _by_patches(size, self.patch, self.most)
        return self.size, self.size

    def seen(self, size: Size) -> Size:
        """Return the size of what comes out for a picture of this size."""
        return self.resized(size) if self.varies else (self.size, self.size)


def of(size: int | Geometry) -> Geometry:
    """Return the geometry that an encoder asks for: a number alone means a squashed square."""
    return size if isinstance(size, Geometry) else Geometry.squash(size)


def _by_shortest(size: Size, shortest: int) -> Size:
    """As `get_resize_output_image_size` of transformers and `Resize(int)` of torchvision: the longer side cut down."""
    short, long = min(size), max(size)
    longest = int(shortest * long / short)
    return (shortest, longest) if size[0] <= size[1] else (longest, shortest)


def _by_longest(size: Size, longest: int) -> Size:
    long = max(size)
    return max(1, round(size[0] * longest / long)), max(1, round(size[1] * longest / long))


def _by_patches(size: Size, patch: int, most: int) -> Size:
    """As `get_image_size_for_max_num_patches` of transformers' SigLIP 2: the largest scale that gives no more."""
    low, high = _FINE / 10, _LARGEST_SCALE
    while high - low >= _FINE:
        scale = (low + high) / 2
        wide, tall = (_whole(side * scale, patch) for side in size)
        if (wide / patch) * (tall / patch) <= most:
            low = scale
        else:
            high = scale
    return _whole(size[0] * low, patch), _whole(size[1] * low, patch)


def _whole(side: float, patch: int) -> int:
    return max(patch, math.ceil(side / patch) * patch)


def fitted(size: Size, side: int) -> Size:
    """Return the size within side x side; never larger than it was."""
    longest = max(size)
    if longest <= side:
        return size
    return max(1, round(size[0] * side / longest)), max(1, round(size[1] * side / longest))
