"""What every door is asked to do: the same pictures, the same questions, the same changes.

A door is a module `door_<name>.py` with the functions of `Door`; add it to DOORS in test_doors.py.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from imgsearch.query import ImageId
from imgsearch.settings import Settings

TENANTS = ("acme", "bolt", "crux")
CATEGORIES = ("shoes", "hats")
WORDS = "red canvas shoe"
Found = list[tuple[int, float]]


@dataclass(frozen=True)
class Item:
    """One picture to add."""

    number: int
    variant: int = 0

    @property
    def product_id(self) -> str:
        return f"p{self.number}"

    @property
    def tenant_id(self) -> str:
        return TENANTS[self.number % 3]

    @property
    def category(self) -> str:
        return CATEGORIES[self.number % 2]

    @property
    def price(self) -> float:
        return float(self.number % 100)

    def picture(self) -> bytes:
        """A drawn picture, another one for each number and variant."""
        n = self.number * 7 + self.variant * 3331
        image = Image.new("RGB", (32, 32), (n % 256, n * 5 % 256, n * 11 % 256))
        image.paste((n * 3 % 256, n * 13 % 256, n * 17 % 256), (n % 16, n % 13, 20 + n % 9, 18 + n % 11))
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()


@dataclass(frozen=True)
class Question:
    """A search: by words, by a picture's bytes, by a picture here, or by a vector."""

    query: str | bytes | ImageId | list[float]
    filters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """Ids with distances, nearest first; which arm found them; how many SQL statements it took, where it is known."""

    found: Found
    strategy: str | None
    statements: int | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a door stands."""

    settings: Settings
    environment: dict[str, str]
    folder: Path
    vector_of: Callable[[bytes], list[float]]


class Door(Protocol):
    """What each door_<name> module offers; tenant_id and product_id name a picture."""

    def add(self, place: Place, items: list[Item]) -> None: ...
    def ask(self, place: Place, question: Question) -> Answer: ...
    def reprice(self, place: Place, item: Item, price: float) -> None: ...
    def remove(self, place: Place, item: Item) -> None: ...


def items(first: int, last: int) -> list[Item]:
    """Return the pictures with these numbers."""
    return [Item(n) for n in range(first, last)]
