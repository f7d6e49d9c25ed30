"""How alike two orders are: figures from the papers, an independent formula, and what always holds."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.evaluation.comparison import kendall, overlap, rank_biased_overlap

lists = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=8)


def test_overlap_is_of_the_longer_page() -> None:
    assert overlap(["a", "b", "c"], ["c", "d", "a"], 3) == pytest.approx(2 / 3)
    assert overlap(["a", "b", "c"], ["c", "d", "a"], 1) == 0
    assert overlap(["a"], ["a", "b"], 10) == 0.5
    assert math.isnan(overlap([], [], 10))


@given(lists, lists)
def test_rank_biased_overlap_is_its_definition(first: list[str], second: list[str]) -> None:
    depth, p = min(len(first), len(second)), 0.9
    found = rank_biased_overlap(first, second)
    if not depth:
        assert math.isnan(found)
        return
    shared = [len(set(first[:d]) & set(second[:d])) / d for d in range(1, depth + 1)]
    wanted = shared[-1] * p**depth + (1 - p) / p * sum(one * p**d for d, one in enumerate(shared, 1))
    assert found == pytest.approx(wanted, abs=1e-12)
    assert rank_biased_overlap(first, first) == pytest.approx(1)


@given(lists, lists)
def test_kendall_counts_pairs(first: list[str], second: list[str]) -> None:
    both = [one for one in first if one in second]
    pairs = list(itertools.combinations(both, 2))
    if not pairs:
        assert math.isnan(kendall(first, second))
        return
    same = sum(second.index(one) < second.index(other) for one, other in pairs)
    assert kendall(first, second) == pytest.approx((same - (len(pairs) - same)) / len(pairs))


def test_kendall_of_an_order_turned_round() -> None:
    assert kendall("abcd", "abcd") == 1
    assert kendall("abcd", "dcba") == -1
