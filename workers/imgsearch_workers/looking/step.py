"""What a step of a second look is: it sees the question and the candidates, and says in which order they belong.

A step of a shop is a class with one method, made once in a process and asked many times:

    class Fresh:
        def rank(self, look: Look, **parameters: object) -> Ranked:
            order = sorted(look.candidates, key=lambda one: one.attributes.get("age", 0))
            return Ranked([one.index for one in order])

It is named in IMGSEARCH_RERANKERS (`fresh=shop.ranking:Fresh`); a request says only `custom` and the name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

QUESTION = -1  # the index of the question's own picture

Vector = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One row of the first ranking by its picture. `index`: its place among those a step sees, from 0.

    vector: of length one, in float64; None where it has none (yet). distance: of the first ranking.
    """

    index: int
    image_id: int
    product_id: str
    distance: float
    category: str | None = None
    price: float | None = None
    in_stock: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)
    vector: Vector | None = None


class Pictures(Protocol):
    """Where a step gets pixels from, and keeps what it made of them; each call is answered by the worker."""

    def pixels(self, index: int) -> Pixels | None:
        """Return uint8 (height, width, 3) of a candidate's picture or the QUESTION's; None where it has none."""

    def kept(self, index: int, kind: str) -> bytes | None:
        """Return what was kept of this candidate's picture (these very bytes), None where nothing was."""

    def keep(self, index: int, kind: str, data: bytes) -> None:
        """Keep something small beside this candidate's picture, for the next look."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """A question, the candidates in their present order, and when to be done (time.monotonic())."""

    candidates: Sequence[Candidate]
    pictures: Pictures
    deadline: float
    text: str | None = None
    vector: Vector | None = None

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Ranked:
    """Which candidates come first, by their indexes; those that are not named follow in the order they had.

    details: of candidates, by index: plain values that the answer carries. looked: at how many, where not all. why:
    what people should know, where there was nothing to rank by.
    """

    order: Sequence[int] = ()
    details: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    looked: int | None = None
    why: str | None = None


class Step(Protocol):
    """One way to rank anew; raises whatever it likes: then the ranking stands as it was."""

    @property
    def rank(self) -> Callable[..., Ranked]:
        """Rank the candidates of a look, before its deadline; parameters come by their names."""
