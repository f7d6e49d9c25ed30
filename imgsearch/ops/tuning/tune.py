"""Choose the search's parameters: the cheapest that reach a target recall on the user's own images and filters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.errors import UsageError
from imgsearch.ops.tuning.recall import Measured, Question, Tick, answer, draw

TARGET = 0.99
# How far to walk the graph at least, and how many to compare exactly per √k: cheap first.
EF = (40, 60, 80, 100, 150, 200, 250, 300, 400, 600, 800, 1000)
POOL = (10, 20, 40, 80, 160, 320, 640, 1280, 2560)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What was chosen, and the recall per shape of filter before and after. `recall` is that of the worst shape."""

    ef: int
    pool: int
    target: float
    recall: float
    before: Sequence[Measured] = field(repr=False)
    after: Sequence[Measured] = field(repr=False)

    @property
    def reached(self) -> bool:
        return self.recall >= self.target


def tune(
    connection: psycopg.Connection[Any],
    *,
    target: float = TARGET,
    k: int = 10,
    seconds: float = 60,
    seed: int = 1,
    keep: bool = True,
    tick: Tick | None = None,
) -> Tuned:
    """Measure, choose, and store the choice with the space unless `keep` is False.

    Reads in one read-only transaction of about `seconds` at most; `connection` is in autocommit. Where no parameters
    reach the target the most thorough are chosen. Raises UsageError for a target out of range or nothing to measure
    with, NoSpace, DatabaseRights when the choice may not be stored.
    """
    if not 0.5 <= target < 1:
        raise UsageError(f"The target is {target:g}; set it to a recall from 0.5 to 0.999.")
    deadline = time.monotonic() + seconds
    with connection.transaction():
        questions = draw(connection, k=k, deadline=time.monotonic() + 0.4 * seconds, seed=seed, tick=tick)
        before = answer(connection, questions, None, deadline=deadline, tick=tick)

        def reaches(ef: int, pool: int) -> bool | None:
            return _reaches(connection, questions, ef, pool, target, deadline, tick)

        ef = _cheapest(EF, lambda ef: reaches(ef, POOL[-1]))
        pool = _cheapest(POOL, lambda pool: reaches(ef, pool))
        after = answer(connection, questions, {"ef": ef, "pool": pool}, deadline=deadline + seconds / 4, tick=tick)
    chosen = Tuned(ef=ef, pool=pool, target=target, recall=worst(after), before=before, after=after)
    if keep:
        stored = {"ef": ef, "pool": pool, "target": target, "recall": round(chosen.recall, 4), "k": k}
        sql.run(connection, "tuning", "keep", {"search": json.dumps(stored)})
    return chosen


def worst(measured: Sequence[Measured]) -> float:
    """Return the recall of the worst shape."""
    return min(shape.recall for shape in measured)


def _reaches(
    connection: psycopg.Connection[Any],
    questions: Sequence[Question],
    ef: int,
    pool: int,
    target: float,
    deadline: float,
    tick: Tick | None,
) -> bool | None:
    """Return whether every shape reaches the target; None when the time is up."""
    if time.monotonic() > deadline:
        return None
    return worst(answer(connection, questions, {"ef": ef, "pool": pool}, deadline=deadline, tick=tick)) >= target


def _cheapest(ladder: Sequence[int], reaches: Callable[[int], bool | None]) -> int:
    """Return the lowest rung that reaches the target, by halving; the highest known to, or the top, when time is up."""
    low, high = 0, len(ladder) - 1
    while low < high:
        middle = (low + high) // 2
        enough = reaches(ladder[middle])
        if enough is None:
            break
        if enough:
            high = middle
        else:
            low = middle + 1
    return ladder[high]
