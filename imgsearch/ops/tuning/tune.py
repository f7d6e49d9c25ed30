"""Choose the search's parameters: the cheapest that reach a target recall on the user's own images and filters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, TypeVar

import psycopg

from imgsearch.db import sql
from imgsearch.errors import SpaceChanged, UsageError
from imgsearch.ops.tuning.recall import KINDS, Measured, Question, Rest, Tick, answer, draw
from imgsearch.spaces import space

TARGET = 0.99
Rung = TypeVar("Rung")


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How wide the graph is walked at least, and 1 / the part of a walk that is believed. ef 0: it is not walked."""

    ef: int
    spread: int


# Cheap first. Bolder than what a space begins with, and as cautious as that or more; the last of all: every question
# goes to bits.
BOLD = tuple(Walk(ef=ef, spread=2) for ef in (40, 60, 80, 100))
CAUTIOUS = tuple(Walk(ef=ef, spread=6) for ef in (200, 300, 400, 600, 1000))
NONE = Walk(ef=0, spread=6)
USUAL = 320  # what a space begins with
# How many to compare exactly, per √k. Where that is too few a search goes on by itself, and reads all that match once
# more each time: below 160 it would nearly always, so a smaller pool is no cheaper.
POOL = (160, 320, 640, 1280, 2560)


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What was chosen, and the recall per shape of filter before and after. `recall` is that of the worst shape.

    walks: per kind of question (picture, text) whose walk does not stay as it comes; ef: that of pictures.
    """

    walks: Mapping[str, Walk]
    pool: int | None
    target: float
    recall: float
    before: Sequence[Measured] = field(repr=False)
    after: Sequence[Measured] = field(repr=False)

    @property
    def ef(self) -> int | None:
        return self.walks["picture"].ef if "picture" in self.walks else None

    @property
    def reached(self) -> bool:
        return reaches(self.after, self.target)


def tune(
    connection: psycopg.Connection[Any],
    *,
    target: float = TARGET,
    k: int = 10,
    seconds: float = 60,
    seed: int = 1,
    keep: bool = True,
    by: str = "command",
    tick: Tick | None = None,
    rest: Rest | None = None,
) -> Tuned:
    """Measure, choose, and store the choice with the space unless `keep` is False.

    Takes about `seconds` at most, each question a transaction of its own; `connection` is in autocommit. Where no
    parameters reach the target the most thorough are chosen; where time is up, what is not known to miss stays as it
    comes. by: who asked for it. rest: is told after each question how many seconds it took, and may wait. Raises
    UsageError for a target out of range or nothing to measure with, NoSpace, DatabaseRights when the choice may not
    be stored, SpaceChanged when another space is searched by then.
    """
    if not 0.5 <= target < 1:
        raise UsageError(f"The target is {target:g}; set it to a recall from 0.5 to 0.999.")
    deadline = time.monotonic() + seconds
    space_id = space.require(connection).space_id
    questions = draw(connection, k=k, deadline=time.monotonic() + 0.4 * seconds, seed=seed, tick=tick, rest=rest)
    before = answer(connection, questions, None, deadline=deadline, tick=tick, rest=rest)

    def tried(asked: Sequence[Question], walks: Mapping[str, Walk], pool: int) -> Sequence[Measured] | None:
        if time.monotonic() > deadline:
            return None
        return answer(connection, asked, parameters_of(walks, pool), deadline=deadline, tick=tick, rest=rest)

    def tried_with(kind: str, walk: Walk | None) -> Sequence[Measured] | None:
        own = [one for one in questions if one.kind == kind]
        return tried(own, {kind: walk} if walk else {}, POOL[-1])

    asked = {one.kind for one in questions}
    found = {kind: _walk_of(partial(tried_with, kind), target) for kind in KINDS if kind in asked}
    walks = {kind: walk for kind, walk in found.items() if walk is not None}
    # Fewer than a space begins with must be sure, too.
    pool = _cheapest(
        POOL, lambda pool: _test(tried(questions, walks, pool), target, surely if pool < USUAL else reaches)
    )
    if pool is None and not set(walks.values()) <= set(BOLD):
        pool = POOL[-1]  # what wide walks were tried with: beside them more questions go to bits
    chosen = parameters_of(walks, pool)
    after = answer(connection, questions, chosen, deadline=deadline + seconds / 4, tick=tick, rest=rest)
    if not reaches(after, target):  # then at least no worse than what a space begins with
        usual = parameters_of({}, None)
        plain = answer(connection, questions, usual, deadline=deadline + seconds / 2, tick=tick, rest=rest)
        if _missed(plain) < _missed(after):
            walks, pool, chosen, after = {}, None, usual, plain
    tuned = Tuned(walks=walks, pool=pool, target=target, recall=worst(after), before=before, after=after)
    if keep:
        stored = {**chosen, "target": target, "recall": round(tuned.recall, 4), "reached": tuned.reached}
        stored |= {"k": k, "by": by}
        if not sql.run(connection, "tuning", "keep", {"search": json.dumps(stored), "space_id": space_id}).rowcount:
            raise SpaceChanged("Another space is searched since: what was measured is not true of it. Measure again.")
    return tuned


def parameters_of(walks: Mapping[str, Walk], pool: int | None) -> dict[str, Any]:
    """Return the parameters as a space holds them; a kind that is not named is walked as it comes."""
    picture, text = (asdict(walks[kind]) if kind in walks else {} for kind in KINDS)
    return {**picture, "text": text} | ({"pool": pool} if pool else {})


def note(
    connection: psycopg.Connection[Any], measured: Sequence[Measured], k: int, target: float | None = None
) -> bool:
    """Note the recall of the worst shape, so that metrics tell it; return whether it reaches the target (None: 0.99).

    Where it does not, searches take the safe way until the space is tuned. Raises DatabaseRights.
    """
    target = target or TARGET
    reached = reaches(measured, target)
    values = {"recall": round(worst(measured), 4), "k": k, "target": target, "misses": not reached}
    sql.run(connection, "tuning", "measured", values)
    return reached


def worst(measured: Sequence[Measured]) -> float:
    """Return the recall of the worst shape."""
    return min(shape.recall for shape in measured)


def _missed(measured: Sequence[Measured]) -> float:
    return sum(shape.missed for shape in measured) / sum(shape.rows for shape in measured)


def reaches(measured: Sequence[Measured], target: float) -> bool:
    """Return whether every shape reaches the target, and all together miss half as much as they may.

    Three rows that were missed condemn no shape: of few questions they say little.
    """
    each = all(shape.missed <= max(3, (1 - target) * shape.rows) for shape in measured)
    return each and sum(m.missed for m in measured) <= (1 - target) / 2 * sum(m.rows for m in measured)


def surely(measured: Sequence[Measured], target: float) -> bool:
    """Return whether the target is reached and three questions more that found nothing would not change that.

    A part of the images that the graph does not reach is met by one question in hundreds: none of n failed, so fewer
    than 3 in n do (the rule of three, at 95 %).
    """
    rows, missed = sum(m.rows for m in measured), sum(m.missed for m in measured)
    more = 3 * rows / sum(m.questions for m in measured)
    return reaches(measured, target) and missed + more <= (1 - target) * rows


Tried = Callable[[Walk | None], Sequence[Measured] | None]


def _walk_of(tried: Tried, target: float) -> Walk | None:
    """Return the cheapest walk that reaches the target; where none does, the widest, or none where bits miss less.

    Null: as it comes, because nothing cheaper is sure to reach it, or nothing is known. Where what comes is known to
    miss and time is up, the widest. tried: null where time is up.
    """
    usual = _test(tried(None), target, reaches)
    if usual is None:
        return None
    if usual:
        return _cheapest(BOLD, lambda walk: _test(tried(walk), target, surely))
    *wide, widest = CAUTIOUS
    found = tried(widest)
    if found is None or reaches(found, target):
        return _cheapest(wide, lambda walk: _test(tried(walk), target, reaches)) or widest
    bits = tried(NONE)
    return NONE if bits and sum(m.missed for m in bits) < sum(m.missed for m in found) else widest


def _test(
    measured: Sequence[Measured] | None, target: float, test: Callable[[Sequence[Measured], float], bool]
) -> bool | None:
    return None if measured is None else test(measured, target)


def _cheapest(ladder: Sequence[Rung], reached: Callable[[Rung], bool | None]) -> Rung | None:
    """Return the lowest rung that reaches the target, by halving; null where none does, or none is known to in time."""
    low, high = 0, len(ladder)
    while low < high:
        middle = (low + high) // 2
        enough = reached(ladder[middle])
        if enough is None:
            break
        if enough:
            high = middle
        else:
            low = middle + 1
    return ladder[high] if high < len(ladder) else None
