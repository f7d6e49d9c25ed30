"""Vectors that people bring: checked, in the form that the database reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

from imgsearch.errors import VectorError
from imgsearch.spaces import space as spaces


def checked(vector: Sequence[float], dimension: int) -> str:
    """Return a vector in pgvector's text form. Raises VectorError for a wrong dimension, zero, NaN or infinity."""
    try:
        literal = spaces.vector_literal(vector)
    except (TypeError, ValueError, OverflowError) as error:
        raise VectorError("The query is neither text, picture, image id nor a sequence of numbers.") from error
    numbers = [float(number) for number in literal[1:-1].split(",")] if len(literal) > 2 else []
    if len(numbers) != dimension:
        raise VectorError(f"The vector has {len(numbers)} numbers, the space has {dimension}; use its model.")
    if not all(map(math.isfinite, numbers)) or not any(numbers):
        raise VectorError("The vector is zero or holds NaN or infinity; embed it again.")
    if max(map(abs, numbers)) > 60000:
        raise VectorError("The vector does not fit half precision; scale it to length one.")
    return literal
