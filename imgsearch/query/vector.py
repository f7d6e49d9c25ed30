"""Vectors that people bring: checked, in the form that the database reads."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from imgsearch.errors import VectorError
from imgsearch.query.question import Crop, ImageId, ProductId, Query, Resolved
from imgsearch.spaces import space as spaces


def checked(vector: Sequence[float], dimension: int | None = None) -> str:
    """Return a vector in pgvector's text form. Raises VectorError for a wrong dimension, zero, NaN or infinity.

    dimension: None where the database says whether it is right.
    """
    try:
        numbers = spaces.numbers_of(vector)
        literal = spaces.vector_literal(numbers)
        floats = tuple(map(float, numbers))
    except (TypeError, ValueError, OverflowError) as error:
        raise VectorError("The query is neither text, picture, image id nor a sequence of numbers.") from error
    if dimension not in (None, len(numbers)):
        raise VectorError(f"The vector has {len(numbers)} numbers, the space has {dimension}; use its model.")
    if not all(map(math.isfinite, floats)) or not any(floats):
        raise VectorError("The vector is zero or holds NaN or infinity; embed it again.")
    if max(map(abs, floats)) > 60000:
        raise VectorError("The vector does not fit half precision; scale it to length one.")
    return literal


def of_numbers(query: Query) -> Resolved | None:
    """Return the question that a plain vector is, without asking the database; None for any other.

    Its space is 0, the searched one: the statement that it is part of says whether its dimension is right.
    Raises VectorError.
    """
    began = time.perf_counter()
    if isinstance(query, str | bytes | Path | Crop | ImageId | ProductId | Resolved):
        return None
    if isinstance(query, list | tuple) and query and isinstance(query[0], tuple):
        return None
    literal = checked(cast("Sequence[float]", query))
    took_ms = (time.perf_counter() - began) * 1000
    return Resolved(vector=literal, space_id=0, source="given", took_ms=took_ms, kind="vector")
