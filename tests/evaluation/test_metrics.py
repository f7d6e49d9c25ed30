"""Measures of answers: check vectors from their papers, an independent implementation, and what always holds."""

from __future__ import annotations

import math

import ir_measures as ir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.evaluation import metrics

RANKED = ["j1", "e1", "x1", "h1", "e2", "x2", "j2", "h2", "x3", "e3"]
EASY, HARD, JUNK = {"e1", "e2", "e3"}, {"h1", "h2"}, {"j1", "j2"}


@pytest.mark.parametrize(
    ("fits", "junk", "precision", "at"),
    [
        (EASY, JUNK | HARD, 0.677778, (1, 0.4, 0.5)),
        (EASY | HARD, JUNK, 0.704643, (1, 0.6, 0.625)),
        (HARD, JUNK | EASY, 0.333333, (0, 0.5, 0.5)),
    ],
    ids=["easy", "medium", "hard"],
)
def test_revisited_oxford_and_paris(
    fits: set[str], junk: set[str], precision: float, at: tuple[float, float, float]
) -> None:
    assert metrics.revisited_precision(RANKED, fits, junk) == pytest.approx(precision, abs=1e-6)
    found = [metrics.revisited_precision_at(RANKED, fits, k, junk) for k in (1, 5, 10)]
    assert found == pytest.approx(at)


def test_plain_average_precision_is_another_measure() -> None:
    kept = [one for one in RANKED if one not in JUNK]
    grades = dict.fromkeys(EASY | HARD, 1.0)
    assert metrics.average_precision(kept, grades) == pytest.approx(0.741667, abs=1e-6)


def test_discounted_gain_of_both_kinds() -> None:
    grades = dict(enumerate([3.0, 2.0, 3.0, 0.0, 1.0, 2.0]))
    assert metrics.ndcg(range(6), grades, 6) == pytest.approx(0.960808, abs=1e-6)
    assert metrics.ndcg(range(6), grades, 6, gain="exponential") == pytest.approx(0.948811, abs=1e-6)


def test_the_three_that_are_called_recall_are_told_apart() -> None:
    grades = {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.0}
    assert metrics.hit([9, 1], grades, 2) == 1
    assert metrics.hit([9, 4], grades, 2) == 0
    assert metrics.recall([9, 1], grades, 2) == pytest.approx(1 / 3)
    assert metrics.precision([9, 1], grades, 4) == pytest.approx(1 / 4)
    assert metrics.reciprocal_rank([9, 4, 2], grades) == pytest.approx(1 / 3)
    assert math.isnan(metrics.recall([1], {4: 0.0}, 5))
    assert math.isnan(metrics.ndcg([1], {}, 5))


def test_landmarks_divide_by_k_where_more_fit() -> None:
    grades = dict.fromkeys(range(300), 1.0)
    assert metrics.average_precision(list(range(100)), grades, 100) == pytest.approx(1)
    assert metrics.average_precision(list(range(100)), grades) == pytest.approx(1 / 3)


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=20),
    st.dictionaries(st.integers(0, 30), st.integers(0, 3).map(float), max_size=20),
    st.integers(1, 12),
)
def test_measures_lie_between_0_and_1_and_the_best_order_reaches_1(
    ranked: list[int], grades: dict[int, float], k: int
) -> None:
    best = sorted(grades, key=lambda one: -grades[one])
    for measure in (metrics.ndcg, metrics.recall, metrics.average_precision, metrics.reciprocal_rank, metrics.hit):
        found = measure(ranked, grades, k)
        assert math.isnan(found) or -1e-12 <= found <= 1 + 1e-12
    if any(grades.values()):
        assert metrics.ndcg(best, grades, k) == pytest.approx(1)
        assert metrics.average_precision(best, grades, k) == pytest.approx(1)


@given(
    st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=20),
    st.dictionaries(st.integers(0, 30), st.integers(0, 3).map(float), min_size=1, max_size=20),
)
def test_measures_are_those_of_an_independent_implementation(ranked: list[int], grades: dict[int, float]) -> None:
    judged = [ir.Qrel("q", str(one), int(grade)) for one, grade in grades.items()]
    run = [ir.ScoredDoc("q", str(one), -float(place)) for place, one in enumerate(ranked)]
    wanted = ir.calc_aggregate([ir.nDCG @ 10, ir.R @ 10, ir.AP, ir.RR, ir.P @ 5], judged, run)
    if not any(grades.values()):
        return  # it says 0 where we say that nothing can be said
    assert metrics.ndcg(ranked, grades, 10) == pytest.approx(wanted[ir.nDCG @ 10], abs=1e-9)
    assert metrics.recall(ranked, grades, 10) == pytest.approx(wanted[ir.R @ 10], abs=1e-9)
    assert metrics.average_precision(ranked, grades) == pytest.approx(wanted[ir.AP], abs=1e-9)
    assert metrics.reciprocal_rank(ranked, grades) == pytest.approx(wanted[ir.RR], abs=1e-9)
    assert metrics.precision(ranked, grades, 5) == pytest.approx(wanted[ir.P @ 5], abs=1e-9)


def test_an_interval_holds_the_mean_it_was_drawn_around() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(60):
        found = metrics.estimate(rng.random(80).tolist())
        held += found.low <= 0.5 <= found.high
    assert held >= 52  # 95 % of 60 is 57
    assert metrics.estimate([0.5, math.nan]).questions == 1
    assert math.isnan(metrics.estimate([]).mean)


def test_a_difference_is_told_from_chance() -> None:
    rng = np.random.default_rng(4)
    first = rng.random(100)
    better = metrics.difference(first.tolist(), (first + 0.1 + 0.05 * rng.standard_normal(100)).tolist())
    assert better.p < 0.001
    assert better.low > 0
    same = metrics.difference(first.tolist(), rng.permutation(first).tolist())
    assert same.p > 0.05
    with pytest.raises(ValueError, match="same questions"):
        metrics.difference([1.0], [1.0, 2.0])
