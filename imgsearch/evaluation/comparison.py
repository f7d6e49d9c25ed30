"""Two spaces without judgements: how alike their answers are, and where they differ most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import JudgementError
from imgsearch.evaluation.judged import Per, Question
from imgsearch.evaluation.metrics import Estimate, estimate
from imgsearch.evaluation.places import ask, places
from imgsearch.query import ImageId
from imgsearch.spaces.space import Space

PERSISTENCE = 0.9  # of whoever reads on from one place to the next: the first ten carry 86 % of the weight
DEEP = 100  # places that the order is compared over
DRAWN = 200  # pictures asked with, where nobody said what to ask


@dataclass(frozen=True, kw_only=True)
class Example:
    """One question, and the first k of both answers."""

    called: str
    first: Sequence[str]
    second: Sequence[str]
    overlap: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How alike two spaces answer; examples: those that differ most first.

    overlap: the share of the first k that both have. rbo: the same at every depth, the first places weigh most (1: the
    same order). tau: whether what both have among their first 100 stands in the same order (1), by chance (0).
    """

    k: int
    questions: int
    overlap: Estimate
    rbo: Estimate
    tau: Estimate
    examples: tuple[Example, ...]


def compare(
    connection: Connectable,
    first: Space,
    second: Space,
    questions: Sequence[Question] = (),
    *,
    k: int = 10,
    per: Per = "product",
    many: int = DRAWN,
    seed: int = 1,
    tenant: str | None = None,
    timeout: float = 10,
    told: Callable[[], None] = lambda: None,
) -> Comparison:
    """Ask the same in both spaces; without `questions`, `many` pictures that both have. Raises JudgementError."""
    lent = driver(connection)
    asked = list(questions) or draw(lent, first, second, many=many, seed=seed, tenant=tenant)
    if not asked:
        raise JudgementError(f"{first.model} and {second.model} have no picture in common yet; fill the later one.")
    examples, rbos, taus = [], [], []
    for question in asked:
        names = []
        for space in (first, second):
            vector = ask(connection, question, space, per, tenant=tenant, timeout=timeout)
            found = places(connection, vector, question, space, per, depth=DEEP, tenant=tenant)
            names.append([name for name, _ in found.best])
        one, other = names
        examples.append(
            Example(called=question.called, first=one[:k], second=other[:k], overlap=overlap(one, other, k))
        )
        rbos.append(rank_biased_overlap(one[:DEEP], other[:DEEP]))
        taus.append(kendall(one, other))
        told()
    return Comparison(
        k=k,
        questions=len(asked),
        overlap=estimate([one.overlap for one in examples]),
        rbo=estimate(rbos),
        tau=estimate(taus),
        examples=tuple(sorted(examples, key=lambda one: one.overlap)),
    )


def draw(
    connection: Connection[Any], first: Space, second: Space, *, many: int, seed: int = 1, tenant: str | None = None
) -> list[Question]:
    """Return pictures that both spaces have as questions, one of a product, the same each time for the same seed."""
    values = {"many": many, "seed": seed, "tenant": tenant}
    other = sql.other_space(second.space_id)
    rows = sql.rows(connection, "evaluation", "common_images", values, space_id=first.space_id, names=other)
    return [Question(query=ImageId(row["image_id"]), grades={}) for row in rows]


def overlap(first: Sequence[str], second: Sequence[str], k: int) -> float:
    """Return the share of the first k that both have; NaN where there is nothing."""
    size = min(k, max(len(first), len(second)))
    return len(set(first[:k]) & set(second[:k])) / size if size else math.nan


def rank_biased_overlap(first: Sequence[str], second: Sequence[str], p: float = PERSISTENCE) -> float:
    """Return RBO, extrapolated (Webber, Moffat and Zobel 2010, equation 32 for lists of one length).

    RBO = X_k / k · p^k + (1 - p) / p · sum over d = 1 … k of X_d / d · p^d, with X_d what the first d have in common.
    """
    depth = min(len(first), len(second))
    if not depth:
        return math.nan
    seen: tuple[set[str], set[str]] = (set(), set())
    common, total = 0, 0.0
    for d, (one, other) in enumerate(zip(first, second, strict=False), 1):
        seen[0].add(one)
        seen[1].add(other)
        common += (one == other) + (one != other) * ((one in seen[1]) + (other in seen[0]))
        total += common / d * p**d
    return common / depth * p**depth + (1 - p) / p * total


def kendall(first: Sequence[str], second: Sequence[str]) -> float:
    """Return Kendall's tau of what both lists have: pairs in the same order less those that are not, over all pairs."""
    place = {name: at for at, name in enumerate(second)}
    ranks = [place[name] for name in first if name in place]
    pairs = len(ranks) * (len(ranks) - 1) // 2
    if not pairs:
        return math.nan
    swapped = sum(later < earlier for at, earlier in enumerate(ranks) for later in ranks[at + 1 :])
    return 1 - 2 * swapped / pairs
