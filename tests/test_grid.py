"""Crops in a grid: within the picture, at most as many as are asked for, and they leave nothing out."""

from __future__ import annotations

import numpy as np
import pytest
from imgsearch_workers.proposers import grid

from imgsearch.picture.region import Region


@pytest.mark.parametrize("most", [0, 1, 4, 5, 7, 9, 14, 10_000])
def test_a_grid_is_bounded_and_within_the_picture(most: int) -> None:
    boxes = grid.propose(most)
    assert len(boxes) <= min(most, 14)
    for box in boxes:
        assert Region.of(box).box((300, 200))


@pytest.mark.parametrize("most", [5, 9, 14])
def test_a_grid_covers_the_picture(most: int) -> None:
    seen = np.zeros((100, 100), bool)
    for box in grid.propose(most):
        left, top, right, low = Region.of(box).box((100, 100))
        seen[top:low, left:right] = True
    assert seen.all()
