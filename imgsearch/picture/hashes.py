"""Perceptual hashes: pictures that look the same have bits that are nearly the same.

    ahash   64 bits   above the mean                         Krawetz 2011
    dhash   64 bits   brighter than the left neighbour       Krawetz 2013; imgsearch.image.phash is this one
    phash   64 bits   low frequencies above their median     three variants that do not compare with each other
    pdq    256 bits   low frequencies of 64 x 64 above their median, with a quality       Meta 2019

Each takes what Pillow opened and answers an array of 0 and 1 (uint8), the first bit the highest; `distance` counts how
many differ. A hash of one variant, and of one implementation, compares with its own kind only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]
Variant = Literal["imagehash", "imagededup", "zauner"]

GOOD_QUALITY = 50  # of 100; a hash of less says little: one colour, a page of text
SAME_PICTURE = 31  # bits of 256 apart at most, as Meta advises, where both are of good quality
_SIDE = 64
_KEPT = 16
TURNS = 8


@dataclass(frozen=True)
class Pdq:
    """`turns`: uint8 (8, 256), the hash of the picture as each of the eight orientations of Exif would show it; the
    first is the picture itself. `quality`: 0 to 100, how much there is to see. `tiles`: a second measure, of
    colours and of what is small; none where only grey levels were seen.
    """

    turns: Bits
    quality: int
    tiles: bytes = b""

    @property
    def bits(self) -> Bits:
        """Return the hash of the picture as it is: uint8 (256,)."""
        first: Bits = self.turns[0]
        return first

    @property
    def text(self) -> str:
        """Return the bits of all turns, one behind the other, as 2,048 characters 0 and 1, then the tiles as digits."""
        return (self.turns + 48).tobytes().decode() + self.tiles.hex()

    @property
    def hex(self) -> str:
        """Return the 64 hexadecimal digits that Meta's tools print."""
        return np.packbits(self.bits).tobytes().hex()


def distance(one: Bits, other: Bits) -> int:
    """Return how many bits differ. Raises ValueError for hashes of different lengths."""
    if one.shape != other.shape:
        raise ValueError(f"A hash of {one.size} bits does not compare with one of {other.size}.")
    return int(np.count_nonzero(one != other))


def ahash(picture: Image.Image) -> Bits:
    """Return 64 bits, row by row: grey, Lanczos to 8 x 8, above the mean (Krawetz 2011)."""
    grey = _grey(picture, (8, 8), Image.Resampling.LANCZOS)
    return _bits(grey > grey.mean())


def dhash(picture: Image.Image) -> Bits:
    """Return 64 bits, row by row: grey, bicubic to 9 x 8, brighter than the left neighbour (Krawetz 2013)."""
    grey = _grey(picture, (9, 8), Image.Resampling.BICUBIC)
    return _bits(grey[:, 1:] > grey[:, :-1])


def phash(picture: Image.Image, variant: Variant = "imagehash") -> Bits:
    """Return 64 bits, row by row: the low frequencies of 32 x 32 against their median.

    imagehash: the first 8 x 8, the constant among them, above the median of all 64. imagededup: the same 8 x 8, at
    least the median without the constant. zauner (Zauner 2010, pHash.org): frequencies 1 to 8 without the constant.
    """
    found = _frequencies(_grey(picture, (32, 32), Image.Resampling.LANCZOS))
    if variant == "zauner":
        low = found[1:9, 1:9]
        return _bits(low > np.median(low))
    low = found[:8, :8]
    if variant == "imagehash":
        return _bits(low > np.median(low))
    if variant == "imagededup":
        return _bits(low >= np.median(low.ravel()[1:]))
    raise ValueError(f"There is no variant {variant!r} of pHash; there are imagehash, imagededup and zauner.")


def pdq(picture: Image.Image) -> Pdq:
    """Return the PDQ hash of a picture, of all eight ways to turn it, and its quality (Meta 2019, ThreatExchange/pdq).

    Luma in full resolution, blurred twice by boxes and thinned to 64 x 64, of whose cosine transform the frequencies 1
    to 16 of both axes are compared with their lower median. Takes about 0.1 s for a megapixel. Raises ValueError for a
    side of less than 5 pixels.
    """
    if min(picture.size) < 5:
        raise ValueError(f"PDQ needs 5 pixels a side, this picture has {picture.width} x {picture.height}.")
    red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), np.float32), 2, 0)
    return _pdq(_thinned(0.299 * red + 0.587 * green + 0.114 * blue))


def of_plane(plane: bytes) -> Pdq:
    """Return the PDQ hash of 64 x 64 grey levels with the tiles behind them, as decoders make them (`Square.plane`).

    About 9 bits from `pdq` of the same picture (at most 26 of 143 photographs): it compares with its own kind.
    """
    grey = np.frombuffer(plane, np.uint8, _SIDE * _SIDE).reshape(_SIDE, _SIDE)
    return replace(_pdq(grey.astype(np.float64)), tiles=plane[_SIDE * _SIDE :])


def _pdq(small: Floats) -> Pdq:
    wave = pdq_waves()
    found = wave @ small @ wave.T
    return Pdq(np.stack([_above_lower_median(one) for one in _turned(found)]), _quality(small))


def _bits(above: NDArray[np.bool_]) -> Bits:
    return above.astype(np.uint8).ravel()


def _grey(picture: Image.Image, size: tuple[int, int], by: Image.Resampling) -> Floats:
    return np.asarray(picture.convert("L").resize(size, by), np.float64)


def _frequencies(grey: Floats) -> Floats:
    """The cosine transform (DCT-II) of a square, without scaling: scales do not change what is above a median."""
    many = len(grey)
    at = np.arange(many)
    wave = np.cos(np.pi / (2 * many) * np.outer(at, 2 * at + 1))
    found: Floats = wave @ grey @ wave.T
    return found


@cache
def pdq_waves() -> Floats:
    """Return the cosines of PDQ's frequencies 1 to 16 over 64 samples: float64 (16, 64)."""
    found: Floats = np.sqrt(2 / _SIDE) * np.cos(
        np.pi / (2 * _SIDE) * np.outer(np.arange(1, _KEPT + 1), 2 * np.arange(_SIDE) + 1)
    )
    return found


def _thinned(luma: NDArray[np.float32]) -> Floats:
    found = luma.astype(np.float64)
    for _ in range(2):
        for axis in (1, 0):
            found = _box(found, axis)
    high, wide = found.shape
    rows, columns = (((np.arange(_SIDE) + 0.5) * many / _SIDE).astype(int) for many in (high, wide))
    thinned: Floats = found[np.ix_(rows, columns)]
    return thinned


def _box(values: Floats, axis: int) -> Floats:
    """The mean of a window around each value, narrower at the edges."""
    many = values.shape[axis]
    window = (many + 2 * _SIDE - 1) // (2 * _SIDE)
    ahead = (window + 2) // 2
    at = np.arange(many)
    first, last = np.maximum(at - (window - ahead), 0), np.minimum(at + ahead, many)
    sums = np.insert(np.cumsum(values, axis), 0, 0, axis)
    spans = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
    mean: Floats = (np.take(sums, last, axis) - np.take(sums, first, axis)) / spans
    return mean


def _quality(small: Floats) -> int:
    """How much neighbours differ, in steps of a hundredth of white."""
    steps = (np.trunc(100 * np.diff(small, axis=axis) / 255) for axis in (0, 1))
    return min(100, int(sum(np.abs(step).sum() for step in steps)) // 90)


def _turned(found: Floats) -> list[Floats]:
    """The transform of the picture turned: mirrored, waves of odd number change their sign; transposed, they swap."""
    sign = np.where(np.arange(1, _KEPT + 1) % 2, -1.0, 1.0)
    left_right, upside_down = sign[None, :], sign[:, None]
    straight = [found, found * left_right, found * left_right * upside_down, found * upside_down]
    lying = found.T
    return [*straight, lying, lying * left_right, lying * left_right * upside_down, lying * upside_down]


def _above_lower_median(found: Floats) -> Bits:
    """256 bits, the last coefficient first, as Meta's tools print them."""
    values = found.ravel()
    return _bits(values > np.partition(values, 127)[127])[::-1]
