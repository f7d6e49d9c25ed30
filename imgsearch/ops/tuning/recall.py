"""Today's recall: questions drawn from the stored images and asked texts, their exact answers, and what is found."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.errors import UsageError
from imgsearch.ops.tuning.shapes import Picture, shapes
from imgsearch.retrieval.filters import Filters

NOISE = 0.2  # how far a question lies from the picture it was drawn from, as a part of its length
SAME = 1e-6  # a picture as far away as the k-th is as right as that one
PER_SHAPE = 100  # questions
KINDS = ("picture", "text")

Tick = Callable[[str, int, int], None]
Rest = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A query with filters of one shape, and the distances of its true answer."""

    shape: str
    kind: str  # of KINDS
    values: Mapping[str, Any] = field(repr=False)
    truth: Sequence[float] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Recall of one shape of filter: mean and worst of its questions, the median time, and which ways answered.

    rows: the true answers of all its questions; missed: those that were not found.
    """

    shape: str
    questions: int
    rows: int
    missed: int
    recall: float
    worst: float
    p50_ms: float
    ways: Mapping[str, int]


def measure(
    connection: psycopg.Connection[Any], *, k: int = 10, seconds: float = 60, seed: int = 1, tick: Tick | None = None
) -> list[Measured]:
    """Return today's recall@k per shape of filter, within about `seconds` at most.

    `connection` is in autocommit: each question is a read-only transaction of its own, so that nobody who changes
    tables or spaces waits for all of them. Raises UsageError when there is nothing to measure with, NoSpace.
    """
    deadline = time.monotonic() + seconds
    questions = draw(connection, k=k, deadline=time.monotonic() + 0.7 * seconds, seed=seed, tick=tick)
    return answer(connection, questions, None, deadline=deadline, tick=tick)


def draw(
    connection: psycopg.Connection[Any],
    *,
    k: int,
    deadline: float,
    seed: int,
    tick: Tick | None = None,
    rest: Rest | None = None,
) -> list[Question]:
    """Return questions of every shape in turn with their exact answers, as many as the time allows."""
    with _gently(connection, deadline):
        pictures = sql.rows(connection, "tuning", "sample")
        texts = [row["vector"] for row in sql.rows(connection, "tuning", "texts")]
    if not pictures:
        raise UsageError("There is nothing to measure with; add images first.")
    numbers = Random(seed)
    known = shapes(pictures)
    questions: list[Question] = []
    for turn in count():
        for name, shape in known.items():
            if turn == PER_SHAPE or (questions and time.monotonic() > deadline):
                return questions
            picture = numbers.choice(pictures)
            filters = shape(picture, numbers)
            if filters is None:
                continue
            # Texts, where some were asked, are every second question: they lie apart from the images.
            text = bool(texts) and turn % 2 == 1
            vector = numbers.choice(texts) if text else _like(picture, pictures, numbers)
            values = {
                "filters": Filters(**filters).as_json(),
                "vector": vector,
                "k": k,
                "per_product": turn % 4 >= 2,  # a walk for a row per product meets other difficulties
            }
            began = time.perf_counter()
            try:
                with _gently(connection, deadline):
                    truth = sql.value(connection, "tuning", "truth", values)
            except psycopg.errors.QueryCanceled:
                if questions:
                    return questions
                raise UsageError("No exact answer was computed in time; allow more with --seconds.") from None
            if truth:
                questions.append(Question(shape=name, kind=KINDS[text], values=values, truth=truth))
            if rest:
                rest(time.perf_counter() - began)
            if tick:
                tick("exact answers", turn * len(known) + list(known).index(name), PER_SHAPE * len(known))
    return questions


def answer(
    connection: psycopg.Connection[Any],
    questions: Sequence[Question],
    parameters: Mapping[str, Any] | None,
    *,
    deadline: float,
    tick: Tick | None = None,
    rest: Rest | None = None,
) -> list[Measured]:
    """Ask the questions with these parameters (None: those in use); return the recall per shape.

    Stops early at the deadline, with what was answered until then.
    """
    using = {"parameters": json.dumps(parameters) if parameters else ""}
    found: dict[str, list[tuple[int, int, float, str]]] = {}
    for number, question in enumerate(questions):
        if found and time.monotonic() > deadline:
            break
        with _gently(connection, deadline + 5):
            sql.run(connection, "tuning", "use", using)
            began = time.perf_counter()
            row = sql.rows(connection, "tuning", "ask", question.values)[0]
            took_ms = (time.perf_counter() - began) * 1000
        right = sum(distance <= question.truth[-1] + SAME for distance in row["distances"])
        found.setdefault(question.shape, []).append((right, len(question.truth), took_ms, row["strategy"]))
        if tick:
            tick("searches", number + 1, len(questions))
        if rest:
            rest(took_ms / 1000)
    return [_summary(shape, answers) for shape, answers in found.items()]


def _summary(shape: str, answers: Sequence[tuple[int, int, float, str]]) -> Measured:
    rows = sum(true for _, true, _, _ in answers)
    return Measured(
        shape=shape,
        questions=len(answers),
        rows=rows,
        missed=rows - sum(right for right, _, _, _ in answers),
        recall=statistics.fmean(right / true for right, true, _, _ in answers),
        worst=min(right / true for right, true, _, _ in answers),
        p50_ms=statistics.median(took for _, _, took, _ in answers),
        ways=dict(Counter(way for _, _, _, way in answers)),
    )


def _like(picture: Picture, pictures: Sequence[Picture], numbers: Random) -> str:
    """Return a vector near the picture's, or between it and another of its category, which is harder to find."""
    vector = json.loads(picture["vector"])
    others = [one for one in pictures if one["category"] == picture["category"] and one is not picture]
    if others and numbers.random() < 0.5:
        other = json.loads(numbers.choice(others)["vector"])
        vector = [(one + two) / 2 for one, two in zip(vector, other, strict=True)]
    step = NOISE / len(vector) ** 0.5
    return "[" + ",".join(f"{number + numbers.gauss(0, step):.6f}" for number in vector) + "]"


@contextmanager
def _gently(connection: psycopg.Connection[Any], deadline: float) -> Iterator[None]:
    """A read-only transaction that costs a live database little: whoever wants its locks waits for one question."""
    left = max(1, round(1000 * (deadline - time.monotonic())))
    with connection.transaction():
        sql.run(connection, "tuning", "gentle", {"milliseconds": str(left)})
        yield
