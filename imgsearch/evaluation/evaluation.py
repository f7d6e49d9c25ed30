"""Judgements → figures: how good one space answers, or how much better the second of two is, and whether by chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import ImgsearchError, JudgementError, UnknownImage
from imgsearch.evaluation import metrics
from imgsearch.evaluation.judged import Per, Question
from imgsearch.evaluation.metrics import Difference, Estimate
from imgsearch.evaluation.places import Places, ask, missing, places
from imgsearch.spaces.space import Space

KS = (1, 5, 10)
LARGEST_K = 1000
Measure = Callable[[Places, Question], float]


@dataclass(frozen=True, kw_only=True)
class SpaceFigures:
    """What one space reached: an estimate per measure, and its values, one per question that was asked.

    missing: judged to fit, but without a vector in this space; they count as not found.
    """

    space: Space
    figures: dict[str, Estimate]
    values: dict[str, list[float]] = field(repr=False)
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured. differences: of each later space to the first. left_out: questions that could not be asked, in
    any of the spaces, and why; they count in none.
    """

    spaces: tuple[SpaceFigures, ...]
    differences: tuple[dict[str, Difference], ...]
    questions: int
    left_out: tuple[tuple[str, str], ...]


def evaluate(
    connection: Connectable,
    questions: Sequence[Question],
    spaces: Sequence[Space],
    *,
    per: Per = "product",
    ks: Sequence[int] = KS,
    measures: dict[str, Measure] | None = None,
    tenant: str | None = None,
    timeout: float = 10,
    told: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Ask every question in every space, in exact order, and measure the answers. `told` is called after each.

    Raises JudgementError where nothing can be measured; a question that cannot be asked is left out and named.
    """
    if not spaces or not questions:
        raise JudgementError("There is nothing to measure; name a file of judgements and a space.")
    wanted = measures if measures is not None else standard(ks)
    values: list[dict[str, list[float]]] = [{name: [] for name in wanted} for _ in spaces]
    left_out: list[tuple[str, str]] = []
    gone = tuple(_missing(connection, questions, space, per, tenant) for space in spaces)
    depth = max(ks, default=1)
    for question in questions:
        try:
            asked = [ask(connection, question, space, per, tenant=tenant, timeout=timeout) for space in spaces]
        except ImgsearchError as error:
            if not isinstance(error, UnknownImage | JudgementError) and error.exit_code not in (2, 3):
                raise  # no worker, no database: it would be so for all of them
            left_out.append((question.called, str(error)))
            told()
            continue
        for space, one, kept in zip(spaces, asked, values, strict=True):
            others = {name: grade for name, grade in question.grades.items() if name not in one.left_out}
            judged = replace(question, grades=others)  # a question does not find itself
            found = places(connection, one, judged, space, per, depth=depth, tenant=tenant)
            for name, measure in wanted.items():
                kept[name].append(measure(found, judged))
        told()
    figures = [{name: metrics.estimate(one) for name, one in kept.items()} for kept in values]
    if not any(estimate.questions for one in figures for estimate in one.values()):
        why = f" The first: {left_out[0][1]}" if left_out else ""
        raise JudgementError(f"None of the {len(questions)} questions could be measured.{why}")
    return Evaluation(
        spaces=tuple(
            SpaceFigures(space=space, figures=one, values=kept, missing=tuple(names))
            for space, one, kept, names in zip(spaces, figures, values, gone, strict=True)
        ),
        differences=tuple(
            {name: metrics.difference(values[0][name], later[name]) for name in wanted} for later in values[1:]
        ),
        questions=len(questions),
        left_out=tuple(left_out),
    )


def standard(ks: Sequence[int] = KS) -> dict[str, Measure]:
    """Return the measures a shop asks for: hit, recall and nDCG at each k, mAP and MRR over everything."""
    if not ks or not all(1 <= k <= LARGEST_K for k in ks):
        raise JudgementError(f"k is from 1 to {LARGEST_K}.")
    made: dict[str, Measure] = {}
    for k in sorted(set(ks)):
        made[f"hit@{k}"] = _at(metrics.hit, k)
        made[f"recall@{k}"] = _at(metrics.recall, k)
        made[f"nDCG@{k}"] = _at(metrics.ndcg, k)
    made["mAP"] = lambda found, question: metrics.average_precision(_kept(found, question), question.grades)
    made["MRR"] = lambda found, question: metrics.reciprocal_rank(_kept(found, question), question.grades)
    return made


def _at(measure: Callable[..., float], k: int) -> Measure:
    def measured(found: Places, question: Question) -> float:
        # Where nothing fits the question, nothing can be said of it; a hit would else be a miss for ever.
        fits = any(grade > 0 for grade in question.grades.values())
        return measure(_kept(found, question), question.grades, k) if fits else math.nan

    return measured


def _kept(found: Places, question: Question) -> Sequence[str | None]:
    return [name for name in found.ranked if name not in question.junk] if question.junk else found.ranked


def _missing(
    connection: Connectable, questions: Sequence[Question], space: Space, per: Per, tenant: str | None
) -> list[str]:
    gone, several = missing(driver(connection), questions, space, per, tenant)
    if several:
        raise JudgementError(f"Several tenants have product {several[0][:200]}; say whose: --tenant.")
    return gone
