"""What stands out of a picture: the spectral residual (Hou and Zhang, CVPR 2007) and what differs from its border.

Of a small square copy of the picture: 64 x 64 are what the paper asks for, and cost 1 ms. The residual is where the
logarithm of the spectrum differs from its own mean of 3 x 3; things on a plain background stand out by their colour as
well, so both maps are multiplied into one. Boxes are what hangs together above several thresholds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
Cells = tuple[int, int, int, int]  # left, top, right, bottom
Map = NDArray[np.float64]

SIDE = 64
MOST = 6  # boxes
LEAST_SHARE, LARGEST_SHARE = 0.01, 0.7  # of the picture's area
TOO_ALIKE = 0.4  # intersection over union from which on of two boxes the weaker goes
_THRESHOLDS = (0.15, 0.25, 0.35, 0.5)  # of the way from the map's median to its highest
_INSIDE, _SEVERAL = 0.85, 0.3  # a box so far within another one goes, unless that covers so much of the picture
_MARGIN = 1  # cells around what stands out


def propose(pixels: NDArray[np.uint8], most: int = MOST) -> list[Box]:
    """Return up to `most` boxes of a picture given as (64, 64, 3) uint8, what stands out most first."""
    shown = pixels.astype(np.float64)
    found: list[tuple[float, Cells]] = []
    merged = saliency(shown)
    low, high = float(np.median(merged)), float(merged.max())
    if high - low < 1e-9:  # a picture of one colour
        return []
    for share in _THRESHOLDS:
        groups = _together(merged > low + share * (high - low), merged)
        found += [one for one in groups if LEAST_SHARE <= _area(one[1]) / SIDE**2 <= LARGEST_SHARE]
    found.sort(reverse=True)
    kept: list[Cells] = []
    for _, box in found:
        if not any(_overlap(box, other) >= TOO_ALIKE or _is_detail(box, other) for other in kept):
            kept.append(box)
    return [_shares(box) for box in kept[:most]]


def saliency(pixels: Map) -> Map:
    """Return how much each cell of (64, 64, 3) stands out, at least 0."""
    residual = _blurred(_residual(pixels.mean(axis=2)), 3)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    unlike = np.sqrt(((pixels - np.median(border, axis=0)) ** 2).sum(axis=2))
    return np.sqrt(_scaled(residual) * _scaled(_blurred(unlike, 1))) + 0.5 * _scaled(_blurred(unlike, 1))


def _residual(grey: Map) -> Map:
    spectrum = np.fft.fft2(grey)
    height = np.log(np.abs(spectrum) + 1e-9)
    phase = np.angle(spectrum)
    found: Map = np.abs(np.fft.ifft2(np.exp(height - _mean_of_nine(height) + 1j * phase))) ** 2
    return found


def _mean_of_nine(values: Map) -> Map:
    shifts = (np.roll(values, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1))
    found: Map = np.mean(list(shifts), axis=0)
    return found


def _blurred(values: Map, times: int) -> Map:
    padded = np.pad(values, times, mode="edge")
    for _ in range(times):
        padded = (
            padded[:-2, :-2] + 2 * padded[:-2, 1:-1] + padded[:-2, 2:]
            + 2 * padded[1:-1, :-2] + 4 * padded[1:-1, 1:-1] + 2 * padded[1:-1, 2:]
            + padded[2:, :-2] + 2 * padded[2:, 1:-1] + padded[2:, 2:]
        ) / 16  # fmt: skip
    return padded


def _scaled(values: Map) -> Map:
    low, high = float(values.min()), float(np.quantile(values, 0.995))
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)


def _together(above: NDArray[np.bool_], map_: Map) -> list[tuple[float, Cells]]:
    """Return each group of cells that touch: its sum, and left, top, right and bottom of it. Row by row, in runs."""
    sums = np.pad(np.cumsum(map_, axis=1), ((0, 0), (1, 0)))
    groups: list[list[float]] = []  # sum, left, top, right, bottom, and whom it was joined to
    before: list[tuple[int, int, int]] = []
    for row, line in enumerate(np.diff(np.pad(above, ((0, 0), (1, 1))).astype(np.int8), axis=1)):
        here = []
        for left, right in zip(np.flatnonzero(line == 1).tolist(), np.flatnonzero(line == -1).tolist(), strict=True):
            number = len(groups)
            groups.append([float(sums[row, right] - sums[row, left]), left, row, right, row + 1, number])
            for start, end, other in before:
                if start < right and left < end:
                    _join(groups, number, other)
            here.append((left, right, number))
        before = here
    own = (one for number, one in enumerate(groups) if one[5] == number)
    return [(one[0], (int(one[1]), int(one[2]), int(one[3]), int(one[4]))) for one in own]


def _join(groups: list[list[float]], one: int, other: int) -> None:
    one, other = _head(groups, one), _head(groups, other)
    if one == other:
        return
    a, b = groups[one], groups[other]
    groups[other] = [a[0] + b[0], min(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3]), max(a[4], b[4]), other]
    a[5] = other


def _head(groups: list[list[float]], number: int) -> int:
    while groups[number][5] != number:
        number = int(groups[number][5])
    return number


def _area(box: Cells) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _is_detail(box: Cells, other: Cells) -> bool:
    """Return whether a box is part of what another one marks; only a large one may hold several things."""
    return _both(box, other) > _INSIDE * _area(box) and _area(other) < _SEVERAL * SIDE**2


def _overlap(one: Cells, other: Cells) -> float:
    both = _both(one, other)
    return both / (_area(one) + _area(other) - both)


def _both(one: Cells, other: Cells) -> int:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    return max(0, wide) * max(0, min(one[3], other[3]) - max(one[1], other[1]))


def _shares(box: Cells) -> Box:
    left, top = max(0, box[0] - _MARGIN), max(0, box[1] - _MARGIN)
    right, low = min(SIDE, box[2] + _MARGIN), min(SIDE, box[3] + _MARGIN)
    return left / SIDE, top / SIDE, (right - left) / SIDE, (low - top) / SIDE
