"""A second look at the first of an answer: which steps rank it anew, and what they said."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgsearch.errors import FilterError

MOST_STEPS = 4
LARGEST_PARAMETERS = 4096  # bytes of JSON of what a custom step is told
Given = str | Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A number that a step takes: from `low` to `high`; whole where `default` is."""

    default: float
    low: float
    high: float


def _pool(default: int, most: int) -> Parameter:
    return Parameter(default, 2, most)


STEPS: Mapping[str, Mapping[str, Parameter]] = {
    "k_reciprocal": {
        "pool": _pool(200, 500),
        "k1": Parameter(20, 1, 100),
        "k2": Parameter(6, 1, 100),
        "weight": Parameter(0.3, 0.0, 1.0),
    },
    "expand": {"pool": _pool(200, 500), "nearest": Parameter(10, 1, 50), "alpha": Parameter(3.0, 0.0, 10.0)},
    "spatial": {"pool": _pool(50, 100), "min_inliers": Parameter(15, 6, 200)},
    "cross_encoder": {"pool": _pool(20, 100)},
    "custom": {"pool": _pool(50, 100)},
}


@dataclass(frozen=True)
class Step:
    """One step: the first `pool` rows are ranked anew by it. `given`: its other parameters."""

    name: str
    pool: int
    given: Mapping[str, Any]

    def as_plain(self) -> dict[str, Any]:
        return {"step": self.name, "pool": self.pool, "given": dict(self.given)}


@dataclass(frozen=True)
class Rerank:
    """A chain of steps, each of which ranks anew what the one before it made."""

    steps: tuple[Step, ...]

    @property
    def pool(self) -> int:
        """How many rows the widest step sees."""
        return max(step.pool for step in self.steps)

    @property
    def pictures(self) -> bool:
        """Whether a step looks at the question's own picture."""
        return any(step.name in {"spatial", "custom"} for step in self.steps)

    def as_json(self) -> str:
        return json.dumps([step.as_plain() for step in self.steps], sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class StepDone:
    """What a step did: how many of the rows it looked at stand elsewhere now, and what it cost.

    code: None where it ranked; else why it did not (see docs/rerank.md), in words in `why`.
    """

    step: str
    took_ms: float
    looked: int = 0
    moved: int = 0
    code: str | None = None
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reranked:
    """What a second look came to. code: None where a step ranked; else why the first ranking stands, in `why`.

    pool: how many rows it was about. took_ms: what the asker waited.
    """

    steps: tuple[StepDone, ...] = ()
    pool: int = 0
    took_ms: float = 0.0
    code: str | None = None
    why: str | None = None

    def as_plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        steps = [{**vars(step), "took_ms": round(step.took_ms, 1)} for step in self.steps]
        return {**vars(self), "took_ms": round(self.took_ms, 1), "steps": steps}


NOT: Mapping[str, str] = {
    "no_worker": "No query worker is running, so the first ranking stands; start one with `imgsearch worker`.",
    "time_over": "The second look took longer than it may (IMGSEARCH_RERANK_TIMEOUT); the first ranking stands.",
    "busy": "As many second looks wait already as may; the first ranking stands.",
    "behind": "This page lies behind what was ranked anew.",
    "nothing": "There are fewer than two rows to rank.",
    "nowhere": "A second look needs to write down what it asks, and this database takes no writes "
    "(IMGSEARCH_PRIMARY_URL names the one that does); the first ranking stands.",
    "not_asked": "The second look could not be asked of the database; the first ranking stands.",
    "no_step": "No step could rank; the first ranking stands.",
}


def not_reranked(code: str, *, steps: tuple[StepDone, ...] = (), pool: int = 0, took_ms: float = 0.0) -> Reranked:
    """Return why the first ranking stands."""
    return Reranked(steps=steps, pool=pool, took_ms=took_ms, code=code, why=NOT[code])


def rerank_of(given: Rerank | Given | Sequence[Given] | None) -> Rerank | None:
    """Return a chain of what was given: a step's name, {"step": name, parameter: value}, or a list of such.

    Raises FilterError for a step or a parameter that there is not, or a value out of its bounds.
    """
    if given is None or isinstance(given, Rerank):
        return given
    listed: Sequence[Given] = [given] if isinstance(given, str | Mapping) else given
    if not isinstance(listed, Sequence) or not 1 <= len(listed) <= MOST_STEPS:
        raise FilterError(f'rerank is a list of 1 to {MOST_STEPS} steps, for example ["k_reciprocal"].')
    return Rerank(tuple(map(_step, listed)))


def _step(given: Given) -> Step:
    asked = {"step": given} if isinstance(given, str) else dict(given) if isinstance(given, Mapping) else {}
    name = asked.pop("step", None)
    known = STEPS.get(name) if isinstance(name, str) else None
    if known is None or not isinstance(name, str):
        raise FilterError(f"There is no step {str(name)[:40]!r} to rerank by. There are: {', '.join(STEPS)}.")
    own = {"name": asked.pop("name", None), "parameters": asked.pop("parameters", None)} if name == "custom" else {}
    if unknown := sorted(map(str, set(asked) - set(known))):
        raise FilterError(f"{name} takes no {unknown[0][:40]!r}; it takes {', '.join(known)}.")
    found = {one: _number(name, one, asked.get(one), limits) for one, limits in known.items()}
    pool = int(found.pop("pool"))
    return Step(name, pool, _custom(own) if name == "custom" else found)


def _number(step: str, name: str, value: Any, limits: Parameter) -> float:
    if value is None:
        return limits.default
    number = hasattr(value, "__float__") and not isinstance(value, bool) and math.isfinite(value)
    whole = isinstance(limits.default, int)
    if not number or not limits.low <= value <= limits.high or (whole and int(value) != value):
        kind = "a whole number" if whole else "a number"
        shown = str(value)[:40]
        raise FilterError(f"{step}: {name} is {shown}; it must be {kind} from {limits.low:g} to {limits.high:g}.")
    return int(value) if whole else float(value)


def _custom(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a custom step is called, and told. What is run for that name only the worker's settings say."""
    name, told = own["name"], own["parameters"] if own["parameters"] is not None else {}
    if not isinstance(name, str) or not 1 <= len(name) <= 100 or not name.isidentifier():
        raise FilterError('custom wants the name of a step that the shop made, for example {"name": "fresh"}.')
    try:
        fits = isinstance(told, Mapping) and len(json.dumps(told, allow_nan=False)) <= LARGEST_PARAMETERS
    except (TypeError, ValueError):
        fits = False
    if not fits or not all(isinstance(one, str) and one.isidentifier() for one in told):
        raise FilterError(f"parameters of custom are names with plain values, {LARGEST_PARAMETERS} bytes of JSON.")
    return {"name": name, "parameters": dict(told)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a first ranking, before anything else is read of it. cursor: what continues behind it."""

    tenant: str
    image: int
    product: str | None
    distance: float
    cursor: str
    fit: float | None = None
    look: Mapping[str, Any] | None = None
    part: Mapping[str, Any] | None = None  # of its picture, where that part is what matched

    @property
    def pinned(self) -> bool:
        """Whether the shop pinned it: such rows stay where they are."""
        return self.cursor.startswith("0,0,")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The first of an answer, and how it was found."""

    rows: Sequence[Row]
    found: Mapping[str, Any] = field(default_factory=dict)
