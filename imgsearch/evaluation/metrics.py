"""How good an answer is: its ranked ids against what people judged to fit. Formulas: docs/glossary.md names them.

An answer is a sequence of ids, best first, each once. Judgements are {id: grade}; a grade above 0 fits. Of the three
things that are called recall: `hit` is 1 where anything that fits is among the first k (metric learning's R@k),
`recall` is the share of what fits that is among them, and how much of the exact answer an index finds is measured by
`imgsearch.ops.tuning`, not here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ranked = Sequence[Hashable]
Grades = Mapping[Any, float]  # a mapping's keys are invariant: ids of any kind
RESAMPLES = 10_000
SEED = 20_240_601  # an interval is the same each time the same figures are asked for


def hit(ranked: Ranked, grades: Grades, k: int) -> float:
    """Return 1 where one of the first `k` fits, else 0."""
    return float(any(grades.get(one, 0) > 0 for one in ranked[:k]))


def recall(ranked: Ranked, grades: Grades, k: int) -> float:
    """Return the share of what fits that is among the first `k`; NaN where nothing fits."""
    fits = _fits(grades)
    return sum(one in fits for one in ranked[:k]) / len(fits) if fits else math.nan


def precision(ranked: Ranked, grades: Grades, k: int) -> float:
    """Return the share of `k` places that hold what fits; an empty place does not."""
    fits = _fits(grades)
    return sum(one in fits for one in ranked[:k]) / k


def reciprocal_rank(ranked: Ranked, grades: Grades, k: int | None = None) -> float:
    """Return 1 / the place of the first that fits, 0 where none does."""
    fits = _fits(grades)
    return next((1 / place for place, one in enumerate(ranked[:k], 1) if one in fits), 0.0)


def average_precision(ranked: Ranked, grades: Grades, k: int | None = None) -> float:
    """Return the mean, over what fits, of the precision at its place; what was not found adds 0. NaN: nothing fits.

    With `k` it is the AP@k of Google Landmarks (Weyand et al. 2020): divided by min(what fits, k).
    """
    fits = _fits(grades)
    if not fits:
        return math.nan
    found, total = 0, 0.0
    for place, one in enumerate(ranked[:k], 1):
        if one in fits:
            found += 1
            total += found / place
    return total / (len(fits) if k is None else min(len(fits), k))


def ndcg(ranked: Ranked, grades: Grades, k: int, *, gain: Literal["linear", "exponential"] = "linear") -> float:
    """Return the discounted gain of the first `k` over the best there is; NaN where nothing fits.

    DCG = sum of g / log2(place + 1), with g the grade (Järvelin and Kekäläinen 2002) or 2^grade - 1 (Burges 2005).
    """
    best = _discounted(sorted((max(grade, 0.0) for grade in grades.values()), reverse=True)[:k], gain)
    return _discounted([max(grades.get(one, 0.0), 0.0) for one in ranked[:k]], gain) / best if best > 0 else math.nan


def revisited_precision(
    ranked: Ranked, fits: AbstractSet[Hashable], junk: AbstractSet[Hashable] = frozenset()
) -> float:
    """Return the average precision of ROxford and RParis (Radenović et al. 2018): by trapezes, junk taken out first.

    With r_j the place (from 0) of the j-th that fits, AP = mean over j of (P0 + P1) / 2, where P0 = j / r_j (1 where
    r_j is 0) and P1 = (j + 1) / (r_j + 1). What was not found adds 0. NaN where nothing fits: such a query is left out.
    """
    if not fits:
        return math.nan
    kept = [one for one in ranked if one not in junk]
    places = [place for place, one in enumerate(kept) if one in fits]
    parts = (((j / r if r else 1.0) + (j + 1) / (r + 1)) / 2 for j, r in enumerate(places))
    return sum(parts) / len(fits)


def revisited_precision_at(
    ranked: Ranked, fits: AbstractSet[Hashable], k: int, junk: AbstractSet[Hashable] = frozenset()
) -> float:
    """Return the mP@k of ROxford and RParis: of the first k, or of as many as reach to the last that fits."""
    kept = [one for one in ranked if one not in junk]
    places = [place for place, one in enumerate(kept, 1) if one in fits]
    if not places:
        return math.nan if not fits else 0.0
    last = min(places[-1], k)
    return sum(place <= last for place in places) / last


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The mean of a measure over `questions` questions, and the interval that holds it in 95 of 100 such draws."""

    mean: float
    low: float
    high: float
    questions: int


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and 95 % interval of a measure's values, one per question, by the percentile bootstrap (Efron 1979).

    NaN (nothing fits that question) is left out; all are NaN, or there are none: so are mean and interval.
    """
    kept = _kept(values)
    if not kept.size:
        return Estimate(mean=math.nan, low=math.nan, high=math.nan, questions=0)
    means = _resampled(kept)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(mean=float(kept.mean()), low=float(low), high=float(high), questions=int(kept.size))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better the second of two is, over the questions that both have; p: of so much by chance alone."""

    mean: float
    low: float
    high: float
    p: float
    questions: int


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return how two measures of the same questions differ: bootstrap interval, and the p of a paired randomisation.

    If both were equally good, each question's difference could as well have the other sign (Fisher's randomisation;
    Smucker, Allan and Carterette, CIKM 2007): p is the share of 10,000 draws of signs whose mean is as far from 0, two
    sided, the observed one counted among them. Raises ValueError where the questions are not the same number.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values and {len(second)} are not of the same questions")
    apart = _kept(np.asarray(second, dtype=float) - np.asarray(first, dtype=float))
    if not apart.size:
        return Difference(mean=math.nan, low=math.nan, high=math.nan, p=math.nan, questions=0)
    means = _resampled(apart)
    low, high = np.quantile(means, (0.025, 0.975))
    seen = abs(apart.mean())
    as_far = sum(int((np.abs(part) >= seen - 1e-12).sum()) for part in _drawn(apart, _with_signs))
    return Difference(
        mean=float(apart.mean()),
        low=float(low),
        high=float(high),
        p=(as_far + 1) / (RESAMPLES + 1),
        questions=int(apart.size),
    )


Floats = NDArray[np.float64]


def _with_signs(values: Floats, many: int, rng: np.random.Generator) -> Floats:
    signs = rng.choice(np.array([-1.0, 1.0]), size=(many, values.size))
    means: Floats = (signs * values).mean(axis=1)
    return means


def _put_back(values: Floats, many: int, rng: np.random.Generator) -> Floats:
    means: Floats = values[rng.integers(0, values.size, size=(many, values.size))].mean(axis=1)
    return means


def _drawn(values: Floats, draw: Callable[[Floats, int, np.random.Generator], Floats]) -> list[Floats]:
    """Return RESAMPLES means, drawn in parts that stay small in memory."""
    rng = np.random.default_rng(SEED)
    each = max(1, min(RESAMPLES, 2_000_000 // values.size))
    return [draw(values, min(each, RESAMPLES - start), rng) for start in range(0, RESAMPLES, each)]


def _resampled(values: Floats) -> Floats:
    return np.concatenate(_drawn(values, _put_back))


def _kept(values: Sequence[float] | Floats) -> Floats:
    given = np.asarray(values, dtype=float)
    kept: Floats = given[~np.isnan(given)]
    return kept


def _fits(grades: Grades) -> set[Hashable]:
    return {one for one, grade in grades.items() if grade > 0}


def _discounted(grades: Sequence[float], gain: str) -> float:
    gains = (2.0**grade - 1 if gain == "exponential" else grade for grade in grades)
    return sum(one / math.log2(place + 1) for place, one in enumerate(gains, 1))
