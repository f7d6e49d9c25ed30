"""From cosines and judgements to the probability that something fits: two ways to fit it, and how far off it is.

Platt scaling fits 1 / (1 + exp(-(scale · cosine + bias))) (Platt 1999, with Newton's steps of Lin, Lin and Weng 2007),
isotonic regression the best curve that never falls (Ayer et al. 1955, pool adjacent violators; for this Zadrozny and
Elkan 2002). The curve is read in SQL by imgsearch_internal.match_of().
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import CalibrationError

Numbers = NDArray[np.float64]
Method = Literal["platt", "isotonic"]
BINS = 10
MOST_POINTS = 1000  # of a curve; the table holds no more


@dataclass(frozen=True)
class Curve:
    """Either scale and bias, or cosines that rise, each with its match, and straight lines between them."""

    scale: float | None = None
    bias: float | None = None
    cosines: tuple[float, ...] = ()
    matches: tuple[float, ...] = ()

    def __call__(self, cosines: Numbers) -> Numbers:
        """Return the match of each cosine, from 0 to 1."""
        if self.scale is None or self.bias is None:
            return np.interp(cosines, self.cosines, self.matches)
        found: Numbers = 1 / (1 + np.exp(-np.clip(self.scale * np.asarray(cosines) + self.bias, -700, 700)))
        return found


@dataclass(frozen=True)
class Bin:
    """Predictions from `low` up to `high`: how many, their mean, and the share of them that fitted."""

    low: float
    high: float
    many: int
    said: float
    fitted: float


def fit(cosines: Numbers, fits: NDArray[np.bool_], method: Method = "platt") -> Curve:
    """Return the curve of n cosines and whether each fitted. Raises CalibrationError where none rises."""
    if fits.all() or not fits.any():
        raise CalibrationError("All judgements say the same; judge some that fit and some that do not.")
    return {"platt": platt, "isotonic": isotonic}[method](np.asarray(cosines, np.float64), fits)


def platt(cosines: Numbers, fits: NDArray[np.bool_]) -> Curve:
    """Fit a sigmoid by Newton's method with halved steps, to Platt's targets: never quite 0 or 1."""
    good, bad = int(fits.sum()), int((~fits).sum())
    targets = np.where(fits, (good + 1) / (good + 2), 1 / (bad + 2))
    middle, width = float(cosines.mean()), float(cosines.std()) or 1.0
    inputs = np.stack([(cosines - middle) / width, np.ones_like(cosines)])  # of one size: Newton's steps are sane
    weights = np.array([0.0, np.log((good + 1) / (bad + 1))])
    for _ in range(100):
        said = _sigmoid(weights @ inputs)
        slope = inputs @ (said - targets)
        if np.abs(slope).max() < 1e-9 * len(cosines):
            break
        step = np.linalg.solve((inputs * (said * (1 - said))) @ inputs.T + 1e-12 * np.eye(2), slope)
        size, now = 1.0, _loss(weights @ inputs, targets)
        while size > 1e-10 and _loss((weights - size * step) @ inputs, targets) > now - 1e-4 * size * (slope @ step):
            size /= 2
        weights = weights - size * step
    scale = float(weights[0]) / width
    if not scale > 1e-6:
        raise CalibrationError("By these judgements what is nearer does not fit better; check the column fits.")
    return Curve(scale=scale, bias=float(weights[1]) - scale * middle)


def isotonic(cosines: Numbers, fits: NDArray[np.bool_]) -> Curve:
    """Fit the curve that never falls with the least squared error; both ends of each level are its points."""
    found, place, counts = np.unique(cosines, return_inverse=True, return_counts=True)
    shares = np.bincount(place, fits) / counts
    levels: list[tuple[float, int, int, int]] = []  # share, weight, first and last cosine
    for at, (share, weight) in enumerate(zip(shares.tolist(), counts.tolist(), strict=True)):
        level = (share, weight, at, at)
        while levels and levels[-1][0] >= level[0]:
            before = levels.pop()
            both = before[1] + level[1]
            level = ((before[0] * before[1] + level[0] * level[1]) / both, both, before[2], at)
        levels.append(level)
    if len(levels) < 2:
        raise CalibrationError("By these judgements what is nearer does not fit better; check the column fits.")
    # As Platt's targets: a level is never certain, however few were judged.
    points = [
        (float(found[at]), min(max(share, 1 / (len(fits) + 2)), 1 - 1 / (len(fits) + 2)))
        for share, _, first, last in levels
        for at in dict.fromkeys((first, last))
    ]
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).round().astype(int))
    return Curve(cosines=tuple(points[at][0] for at in kept), matches=tuple(points[at][1] for at in kept))


def reliability(said: Numbers, fits: NDArray[np.bool_]) -> list[Bin]:
    """Return what was said beside what was so, in ten bins of equal width; empty ones are left out."""
    bins = np.clip((said * BINS).astype(int), 0, BINS - 1)
    return [
        Bin(n / BINS, (n + 1) / BINS, int(here.sum()), float(said[here].mean()), float(fits[here].mean()))
        for n in range(BINS)
        if (here := bins == n).any()
    ]


def calibration_error(said: Numbers, fits: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: how far what was said lies from what was so, over ten bins of equal width,
    weighted by their size (Naeini et al. 2015; Guo et al. 2017).
    """
    return sum(one.many * abs(one.said - one.fitted) for one in reliability(said, fits)) / len(said)


def _sigmoid(numbers: Numbers) -> Numbers:
    found: Numbers = 1 / (1 + np.exp(-np.clip(numbers, -700, 700)))
    return found


def _loss(numbers: Numbers, targets: Numbers) -> float:
    return float((np.logaddexp(0, numbers) - targets * numbers).sum())
