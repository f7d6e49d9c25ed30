"""PDQ, a perceptual hash (Meta 2019, ThreatExchange/pdq): pictures that look the same have nearly the same bits.

256 low frequencies of 64 x 64 grey levels above their median, with a quality; bits are an array of 0 and 1 (uint8), the
first bit the highest. A hash compares with its own kind only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Floats = NDArray[np.float64]

SAME_PICTURE = 31  # bits of 256 apart at most, as Meta advises, where both are of good quality
_SIDE = 64
_KEPT = 16


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


def of_plane(plane: bytes) -> Pdq:
    """Return the PDQ hash of 64 x 64 grey levels with the tiles behind them, as decoders make them (`Square.plane`).

    About 9 bits from what Meta's tools make of the same picture (at most 26 of 143 photographs).
    """
    grey = np.frombuffer(plane, np.uint8, _SIDE * _SIDE).reshape(_SIDE, _SIDE)
    return replace(_pdq(grey.astype(np.float64)), tiles=plane[_SIDE * _SIDE :])


def _pdq(small: Floats) -> Pdq:
    wave = pdq_waves()
    found = wave @ small @ wave.T
    return Pdq(np.stack([_above_lower_median(one) for one in _turned(found)]), _quality(small))


@cache
def pdq_waves() -> Floats:
    """Return the cosines of PDQ's frequencies 1 to 16 over 64 samples: float64 (16, 64)."""
    found: Floats = np.sqrt(2 / _SIDE) * np.cos(
        np.pi / (2 * _SIDE) * np.outer(np.arange(1, _KEPT + 1), 2 * np.arange(_SIDE) + 1)
    )
    return found


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
    above: Bits = (values > np.partition(values, 127)[127]).astype(np.uint8)
    return above[::-1]
