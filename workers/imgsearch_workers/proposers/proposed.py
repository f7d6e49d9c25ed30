"""What a proposer answers: boxes, what each is called, how sure it is; and which of them are kept.

Nothing that a model says is believed: numbers may be NaN, infinite, negative or the wrong way round, boxes may lie
outside of the picture, be thousands, or all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import islice

from imgsearch_workers.proposers.salient import Box

LEAST_SIDE = 0.03  # of the picture's: of anything smaller a model sees a few pixels
TOO_ALIKE = 0.6  # intersection over union from which on of two boxes the weaker goes
LONGEST_LABEL = 60  # characters
MOST_READ = 20_000  # boxes of one picture; what comes behind is not looked at
MOST_COMPARED = 300  # of those the surest, with each other


@dataclass(frozen=True)
class Proposed:
    """A part of a picture: x, y, w, h in shares of its sides; `score` from 0 to 1, where the proposer says it."""

    box: Box
    score: float | None = None
    label: str | None = None


def kept(found: Iterable[Proposed], most: int) -> list[Proposed]:
    """Return at most `most` parts, the surest first; those without a score keep their order, behind the others.

    Boxes are clipped to the picture. What is no box, lies outside, is smaller than LEAST_SIDE one way or overlaps a
    surer one by TOO_ALIKE is left out. Of `found` at most MOST_READ are read.
    """
    sound = (one for given in islice(found, MOST_READ) if (one := _sound(given)) is not None)
    surest = nlargest(MOST_COMPARED, sound, key=lambda one: -1.0 if one.score is None else one.score)
    chosen: list[Proposed] = []
    for one in surest:
        if len(chosen) >= most:
            break
        if all(overlap(one.box, other.box) < TOO_ALIKE for other in chosen):
            chosen.append(one)
    return chosen


def overlap(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0.0, wide) * max(0.0, high)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def short_label(said: str | None) -> str | None:
    """Return a label as it is kept: on one line, without control characters, at most LONGEST_LABEL characters."""
    if said is None:
        return None
    printable = "".join(letter if letter.isprintable() else " " for letter in said[: 10 * LONGEST_LABEL])
    return " ".join(printable.split())[:LONGEST_LABEL].rstrip() or None


def _sound(given: Proposed) -> Proposed | None:
    x, y, w, h = given.box
    if not all(map(math.isfinite, given.box)) or not (given.score is None or math.isfinite(given.score)):
        return None
    left, top, right, low = max(0.0, x), max(0.0, y), min(1.0, x + w), min(1.0, y + h)
    if right - left < LEAST_SIDE or low - top < LEAST_SIDE:  # also one that is outside, or the wrong way round
        return None
    score = None if given.score is None else min(1.0, max(0.0, given.score))
    return replace(given, box=(left, top, right - left, low - top), score=score, label=short_label(given.label))
