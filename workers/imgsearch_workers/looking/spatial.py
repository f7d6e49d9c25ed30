"""The step `spatial`: is the same object on both pictures? Local features that agree on one change of perspective.

Features of two pictures are matched both ways by their descriptors, each clearly nearer than the next best (Lowe 2004);
RANSAC (Fischler and Bolles 1981) looks for the homography that most of the matches obey. What has enough of them
comes first, most first; everything else keeps its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.extras import needed
from imgsearch_workers.looking import features
from imgsearch_workers.looking.features import Features
from imgsearch_workers.looking.step import QUESTION, Look, Ranked

KIND = "sift"
RATIO = 0.8  # of the distances to the best and the next best match
REACH = 5.0  # pixels that a match may lie beside where the homography says
LEFT = 0.03  # seconds that one more candidate takes
LINES = 24  # matches that an answer tells of each candidate
NO_PICTURE = "The question has no picture of its own to compare; ask with a picture or an image."
PLAIN = "On the picture that was asked with there is nothing to recognise."


@dataclass(frozen=True)
class Agreement:
    """How two pictures agree: `homography` (3, 3) leads from shares of the first to shares of the second.

    pairs: matches that obey it, (x, y) in shares of the first and of the second. matches: how many there were at all.
    """

    inliers: int
    matches: int
    homography: NDArray[np.float64] | None
    pairs: NDArray[np.float64]

    def as_plain(self) -> dict[str, Any]:
        homography = None if self.homography is None else [[round(float(x), 6) for x in row] for row in self.homography]
        pairs = [[round(float(x), 4) for x in pair] for pair in self.pairs[:LINES]]
        return {"inliers": self.inliers, "matches": self.matches, "homography": homography, "pairs": pairs}


class Spatial:
    """Ranks by how many features agree on one change of perspective; made once per process."""

    def __init__(self) -> None:
        with needed("spatial", "Looking for the same object"):
            cv2: Any = import_module("cv2")
        cv2.setNumThreads(1)

    def rank(self, look: Look, *, min_inliers: int = 15) -> Ranked:
        """Rank those first on which the question's object is, as far as the time allows."""
        pixels = look.pictures.pixels(QUESTION)
        if pixels is None:
            return Ranked(looked=0, why=NO_PICTURE)
        own = features.found(pixels)
        if len(own.points) < min_inliers:
            return Ranked(looked=0, why=PLAIN)
        agreed: dict[int, Agreement] = {}
        looked = 0
        for candidate in look.candidates:
            if look.left() < LEFT:
                break
            looked += 1
            theirs = self._features(look, candidate.index)
            if theirs is not None:
                agreed[candidate.index] = agreement(own, theirs)
        order = sorted((i for i, one in agreed.items() if one.inliers >= min_inliers), key=lambda i: -agreed[i].inliers)
        details = {index: agreed[index].as_plain() for index in order}
        return Ranked(order, details, looked=looked)

    def _features(self, look: Look, index: int) -> Features | None:
        kept = look.pictures.kept(index, KIND)
        known = features.from_bytes(kept) if kept else None
        if known is not None:
            return known
        pixels = look.pictures.pixels(index)
        if pixels is None:
            return None
        data = features.found(pixels).as_bytes()
        look.pictures.keep(index, KIND, data)
        return features.from_bytes(data)  # as they are found the next time


def agreement(first: Features, second: Features) -> Agreement:
    """Return how two pictures agree; a homography that turns inside out or shrinks to a line is none."""
    cv2: Any = import_module("cv2")

    none = np.zeros((0, 4))
    pairs = matched(first.descriptors, second.descriptors)
    if len(pairs) < 4:
        return Agreement(0, len(pairs), None, none)
    here, there = first.points[pairs[:, 0]], second.points[pairs[:, 1]]
    cv2.setRNGSeed(1)  # the same pictures agree the same way each time
    found, mask = cv2.findHomography(here, there, cv2.USAC_MAGSAC, REACH, maxIters=2000, confidence=0.995)
    if found is None or mask is None or not is_seen(found, first):
        return Agreement(0, len(pairs), None, none)
    fits = mask.ravel().astype(bool)
    # A point that many others are matched to says no more than one.
    many = min(len(np.unique(np.round(side[fits] / 3), axis=0)) for side in (here, there))
    size, other = np.array([first.width, first.height]), np.array([second.width, second.height])
    shares = np.hstack([here[fits] / size, there[fits] / other]).astype(np.float64)
    scaled = np.diag([1 / other[0], 1 / other[1], 1]) @ found @ np.diag([size[0], size[1], 1.0])
    return Agreement(many, len(pairs), scaled / scaled[2, 2], shares)


def matched(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (row, row) of descriptors that are each other's best, and clearly so."""
    if len(first) < 2 or len(second) < 2:
        return np.zeros((0, 2), np.int64)
    cosines = first @ second.T
    best = cosines.argmax(axis=1)
    rows = np.arange(len(first))
    top = cosines[rows, best]
    next_best = np.partition(cosines, -2, axis=1)[:, -2]
    clear = (1 - top) < RATIO**2 * (1 - next_best)
    mutual = cosines.argmax(axis=0)[best] == rows
    kept = rows[clear & mutual]
    return np.stack([kept, best[kept]], axis=1)


def is_seen(homography: NDArray[np.float64], of: Features) -> bool:
    """Return whether a picture seen through it is a picture still: not mirrored by force, folded, or a line."""
    corners = np.array([[0, 0, 1], [of.width, 0, 1], [of.width, of.height, 1], [0, of.height, 1]], float)
    seen = corners @ homography.T
    if (seen[:, 2] * seen[0, 2] <= 0).any():  # a corner lies behind the eye
        return False
    x, y = (seen[:, :2] / seen[:, 2:]).T
    turns = [
        (x[(i + 1) % 4] - x[i]) * (y[(i + 2) % 4] - y[(i + 1) % 4])
        - (y[(i + 1) % 4] - y[i]) * (x[(i + 2) % 4] - x[(i + 1) % 4])
        for i in range(4)
    ]
    area = abs(sum(x[i] * y[(i + 1) % 4] - x[(i + 1) % 4] * y[i] for i in range(4))) / 2
    convex = all(turn > 0 for turn in turns) or all(turn < 0 for turn in turns)
    return bool(convex and 0.005 < area / (of.width * of.height) < 50)
