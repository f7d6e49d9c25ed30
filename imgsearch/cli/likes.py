"""Examples with weights, as they are typed: text:red@0.5, image:42, product:sku-1, picture:shoe.jpg."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imgsearch.errors import UsageError
from imgsearch.query import ImageId, ProductId, Thing

LIKE = "text:WORDS, image:ID, product:SKU or picture:FILE, and perhaps @WEIGHT: product:sku-1@0.5; repeat for several."


def example_of(typed: str) -> tuple[Thing, float]:
    """Return the example that was typed, and its weight. Raises UsageError."""
    kind, colon, rest = typed.partition(":")
    value, at, weight = rest.rpartition("@")
    try:
        number = float(weight) if at else 1.0
    except ValueError:  # an @ of its own
        value, number = rest, 1.0
    value = value if at else rest
    if kind == "image" and value.isdecimal():
        return ImageId(int(value)), number
    readers: dict[str, Callable[[str], Thing]] = {"text": str, "product": ProductId, "picture": Path}
    if not colon or not value or kind not in readers:
        raise UsageError(f"{typed[:100]!r} is no example; write {LIKE}")
    return readers[kind](value), number
