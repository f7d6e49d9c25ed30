"""Which boxes are kept of what a proposer says, and who proposes by which word."""

from __future__ import annotations

import math
import time
from itertools import repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imgsearch_workers.proposers.proposed import (
    LEAST_SIDE,
    LONGEST_LABEL,
    TOO_ALIKE,
    Proposed,
    kept,
    overlap,
    short_label,
)
from imgsearch_workers.proposers.proposer import ProposerError, Proposers

from imgsearch.settings import load_settings

HALF = (0.25, 0.25, 0.5, 0.5)


def test_a_box_that_leaves_the_picture_is_clipped() -> None:
    [found] = kept([Proposed((-0.2, 0.5, 0.6, 3.0), 2.0)], 5)
    assert found.box == pytest.approx((0.0, 0.5, 0.4, 0.5))
    assert found.score == 1


@pytest.mark.parametrize(
    "box",
    [
        (math.nan, 0, 1, 1),
        (0, 0, math.inf, 1),
        (0.5, 0.5, -0.2, 0.2),  # the wrong way round
        (1.2, 0, 0.5, 0.5),  # outside
        (-2, 0, 1.5, 1),
        (0.5, 0.5, 0.001, 0.5),  # tiny
        (0.999, 0.2, 0.5, 0.5),  # tiny once it is clipped
    ],
)
def test_what_is_no_box_is_left_out(box: tuple[float, float, float, float]) -> None:
    assert kept([Proposed(box, 0.9), Proposed(HALF, 0.5)], 5) == [Proposed(HALF, 0.5)]


def test_a_box_whose_score_is_no_number_is_left_out() -> None:
    assert kept([Proposed(HALF, math.nan)], 5) == []


def test_of_boxes_that_are_alike_the_surest_stays() -> None:
    near = (0.27, 0.25, 0.5, 0.5)
    assert overlap(HALF, near) > TOO_ALIKE
    apart = Proposed((0, 0, 0.2, 0.2), 0.1)
    assert kept([Proposed(near, 0.3), apart, Proposed(HALF, 0.8)], 5) == [Proposed(HALF, 0.8), apart]


def test_at_most_so_many_are_kept_by_score() -> None:
    boxes = [Proposed((0.1 * n, 0, 0.09, 0.5), 0.1 * n) for n in range(10)]
    assert [one.score for one in kept(boxes, 3)] == pytest.approx([0.9, 0.8, 0.7])
    assert kept(boxes, 0) == []


def test_boxes_without_scores_keep_their_order() -> None:
    boxes = [Proposed((0.25 * n, 0, 0.25, 0.5)) for n in range(3)]
    assert kept(boxes, 3) == boxes


def test_ten_thousand_boxes_and_boxes_without_end_are_read_in_a_moment() -> None:
    chance = np.random.default_rng(3)
    many = [Proposed((x, y, 0.05, 0.05), s) for x, y, s in chance.random((10_000, 3)).tolist()]
    began = time.process_time()
    assert len(kept(many, 9)) == 9
    assert kept(repeat(Proposed(HALF, 0.5)), 9) == [Proposed(HALF, 0.5)]
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("  hand\tbag\n", "hand bag"),
        ("shoe\x00\x1b[31m", "shoe [31m"),
        ("x" * 5000, "x" * LONGEST_LABEL),
        (" \n ", None),
        (None, None),
        ("نعل", "نعل"),
    ],
)
def test_a_label_is_one_short_line(said: str | None, label: str | None) -> None:
    assert short_label(said) == label


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(st.builds(Proposed, st.tuples(*[NUMBERS] * 4), st.none() | NUMBERS, st.none() | st.text())))
def test_whatever_is_said_what_is_kept_lies_in_the_picture(found: list[Proposed]) -> None:
    for one in (several := kept(found, 9)):
        x, y, w, h = one.box
        assert x >= 0
        assert y >= 0
        assert min(w, h) >= LEAST_SIDE
        assert max(x + w, y + h) <= 1 + 1e-9
        assert one.score is None or 0 <= one.score <= 1
        assert one.label is None or 0 < len(one.label) <= LONGEST_LABEL
    assert len(several) <= 9


def _picture(high: int = 120, wide: int = 90) -> np.ndarray:
    pixels = np.full((high, wide, 3), 240, np.uint8)
    pixels[high // 4 : high // 2, wide // 4 : wide // 2] = (200, 20, 20)
    return pixels


def test_the_grid_and_what_stands_out_are_proposers_by_name() -> None:
    proposers = Proposers(load_settings(environ={}))
    assert len(proposers.get("grid").propose(_picture(), 5)) == 5
    [found, *_] = proposers.get("salient").propose(_picture(), 5)
    assert overlap(found.box, (0.25, 0.25, 0.25, 0.25)) > 0.5
    proposers.close()


@pytest.mark.parametrize("pixels", [_picture()[:1, :1], np.full((80, 50, 3), 9, np.uint8)], ids=["1 pixel", "1 colour"])
def test_nothing_stands_out_where_there_is_nothing(pixels: np.ndarray) -> None:
    assert Proposers(load_settings(environ={})).get("salient").propose(pixels, 5) == []


@pytest.mark.parametrize("word", ["", "best", "detector:", "detector: #bag", "Grid"])
def test_a_word_for_no_proposer_is_refused(word: str) -> None:
    with pytest.raises(ProposerError, match="salient, grid, detector:NAME") as caught:
        Proposers(load_settings(environ={})).get(word)
    assert (caught.value.code, caught.value.blames) == ("no_proposer", False)
