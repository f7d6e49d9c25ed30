"""Asks every method every question of a cell, in random order, and notes what came back and when."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg

from bench.cells import Ask, Cell
from bench.methods import Answer, Cost, Method, Unsupported
from bench.truth import Judge, Truth
from imgsearch.errors import ImgsearchError

TRIAL = 20  # questions that every method gets
HOPELESS = 4.0  # a method this many times slower than the fastest good one cannot become the oracle
GOOD = 0.99
EXPLAINED = 3  # questions whose pages are counted
WARM = 2  # untimed questions per method and cell: statements are prepared, pages are in memory


@dataclass
class Taken:
    """What one method did in one cell. wall, cpu: milliseconds of each question asked, in the order of `places`.

    cpu is the processor time of server and client together: it stays true on a machine that has other work. Parallel
    workers are not in it. clock: which of the two `ms` and the figures are made of.
    """

    method: Method
    clock: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    error: str = ""

    @property
    def ms(self) -> list[float]:
        return self.cpu if self.clock == "cpu" else self.wall

    @property
    def p50(self) -> float:
        return float(np.median(self.ms)) if self.ms else float("inf")

    @property
    def mean_recall(self) -> float:
        return float(np.mean(self.recall)) if self.recall else 0.0

    @property
    def strategies(self) -> dict[str, int]:
        return dict(Counter(answer.strategy for answer in self.answers if answer.strategy))


@dataclass(frozen=True)
class Measured:
    """One cell at one k. short: per method, how many answers had fewer rows than min(k, matches)."""

    cell: Cell
    k: int
    matches: int
    taken: dict[str, Taken]
    short: dict[str, int]


def measure(
    cell: Cell,
    k: int,
    asks: Sequence[Ask],
    truth: Truth,
    judge: Judge,
    methods: Sequence[Method],
    *,
    seed: int,
    seconds: float,
    clock: str,
) -> Measured:
    """Ask all methods all questions, interleaved; stop early after `seconds`. Raises nothing that a method raises."""
    rng = np.random.default_rng((seed, k, *cell.name.encode()))
    taken = {method.name: Taken(method, clock) for method in methods}
    for one in taken.values():
        _warm(one, cell, asks, k)
    deadline = time.monotonic() + seconds
    for place, ask in enumerate(asks):
        if place and time.monotonic() > deadline:
            break
        # A page's worth of answers, then who cannot win any more is asked no further.
        if place == TRIAL:
            _judge(taken, cell, asks, truth, judge, k)
            left_out = _hopeless(taken)
        elif place < TRIAL:
            left_out = frozenset[str]()
        order = [one for one in taken.values() if not one.error and one.method.name not in left_out]
        for number in rng.permutation(len(order)):
            _time(order[number], cell, ask, place, k)
    _judge(taken, cell, asks, truth, judge, k)
    for one in taken.values():
        _explain(one, cell, asks, k)
    short = {
        name: int(sum(len(a.ids) < min(k, truth.matches[p]) for a, p in zip(one.answers, one.places, strict=True)))
        for name, one in taken.items()
    }
    return Measured(cell, k, int(np.median(truth.matches)), {n: t for n, t in taken.items() if t.ms or t.error}, short)


def _warm(one: Taken, cell: Cell, asks: Sequence[Ask], k: int) -> None:
    try:
        for ask in asks[-WARM:]:
            one.method.ready(cell, ask, k)()
    except Unsupported:
        one.error = "-"
    except (psycopg.Error, ImgsearchError) as error:
        one.error = f"{type(error).__name__}: {error}".splitlines()[0]


def _time(one: Taken, cell: Cell, ask: Ask, place: int, k: int) -> None:
    try:
        run = one.method.ready(cell, ask, k)
        spent = one.method.spent(cell) + time.process_time()
        began = time.perf_counter()
        answer = run()
        took = time.perf_counter() - began
        spent = one.method.spent(cell) + time.process_time() - spent
    except (psycopg.Error, ImgsearchError) as error:
        one.error = f"{type(error).__name__}: {error}".splitlines()[0]
        return
    one.wall.append(took * 1000)
    one.cpu.append(spent * 1000)
    one.places.append(place)
    one.answers.append(answer)


def _judge(taken: dict[str, Taken], cell: Cell, asks: Sequence[Ask], truth: Truth, judge: Judge, k: int) -> None:
    """Judge the answers not judged yet, question by question, so that each filter is looked at once."""
    waiting = sorted(
        (
            (place, len(one.recall) + n, one)
            for one in taken.values()
            for n, place in enumerate(one.places[len(one.recall) :])
        ),
        key=lambda entry: entry[0],
    )
    found = {id(one): [*one.recall, *[0.0] * (len(one.places) - len(one.recall))] for one in taken.values()}
    for place, number, one in waiting:
        found[id(one)][number] = judge.recall(cell, asks[place], truth, place, one.answers[number].ids, k)
    for one in taken.values():
        one.recall = found[id(one)]


def _hopeless(taken: dict[str, Taken]) -> frozenset[str]:
    """Name the methods that cost time and can no longer be the oracle, or their engine's best setting, in this cell.

    The product and `bare` are always asked to the end.
    """
    engines: dict[str, list[Taken]] = {}
    for one in taken.values():
        if one.method.family != "product" and one.method.name != "bare":
            engine = one.method.name.split("-")[0] if one.method.family == "peer" else "postgres"
            engines.setdefault(engine, []).append(one)
    given_up = set()
    for rivals in engines.values():
        limit = HOPELESS * min((one.p50 for one in rivals if one.mean_recall >= GOOD), default=float("inf"))
        given_up |= {one.method.name for one in rivals if one.p50 > limit}
    return frozenset(given_up)


def _explain(one: Taken, cell: Cell, asks: Sequence[Ask], k: int) -> None:
    if one.error:
        return
    for place in one.places[:EXPLAINED]:
        cost = one.method.cost(cell, asks[place], k)
        if cost is not None:
            one.costs.append(cost)
