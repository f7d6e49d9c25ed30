"""PDQ as Meta's tools compute it, in full resolution, beside which that of 64 x 64 grey levels is held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsearch.picture import hashes

Floats = NDArray[np.float64]
SIDE = 64


def distance(one: hashes.Bits, other: hashes.Bits) -> int:
    """Return how many bits differ."""
    return int(np.count_nonzero(one != other))


def pdq(picture: Image.Image) -> hashes.Pdq:
    """Return the PDQ hash of a picture, of all eight ways to turn it, and its quality (Meta 2019, ThreatExchange/pdq).

    Luma in full resolution, blurred twice by boxes and thinned to 64 x 64, of whose cosine transform the frequencies 1
    to 16 of both axes are compared with their lower median.
    """
    red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), np.float32), 2, 0)
    return hashes._pdq(_thinned(0.299 * red + 0.587 * green + 0.114 * blue))


def _thinned(luma: NDArray[np.float32]) -> Floats:
    found = luma.astype(np.float64)
    for _ in range(2):
        for axis in (1, 0):
            found = _box(found, axis)
    high, wide = found.shape
    rows, columns = (((np.arange(SIDE) + 0.5) * many / SIDE).astype(int) for many in (high, wide))
    thinned: Floats = found[np.ix_(rows, columns)]
    return thinned


def _box(values: Floats, axis: int) -> Floats:
    """The mean of a window around each value, narrower at the edges."""
    many = values.shape[axis]
    window = (many + 2 * SIDE - 1) // (2 * SIDE)
    ahead = (window + 2) // 2
    at = np.arange(many)
    first, last = np.maximum(at - (window - ahead), 0), np.minimum(at + ahead, many)
    sums = np.insert(np.cumsum(values, axis), 0, 0, axis)
    spans = (last - first).reshape((-1, 1) if axis == 0 else (1, -1))
    mean: Floats = (np.take(sums, last, axis) - np.take(sums, first, axis)) / spans
    return mean
