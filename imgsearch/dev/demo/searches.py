"""The six searches of the demo: words, a picture, and SQL filters of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search: words, or "like the first picture of this category and colour", and filters by name.

    In a title {picture} is what that picture shows: a small shop may have none of this colour, or category.
    """

    title: str
    text: str | None = None
    like_category: str | None = None
    like_colour: str | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)

    def sql(self, image_id: int | None = None) -> str:
        """Return the statement as an admin would type it."""
        query = f"imgsearch.vec_of({image_id})" if self.text is None else _literal(self.text)
        named = [f"{name} => {_literal(value)}" for name, value in self.filters.items()]
        return f"SELECT * FROM imgsearch.search({', '.join([query, *named])});"


def _literal(value: Any) -> str:
    """Return a value as SQL to read; the statement that runs has its values bound."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        import json

        value = json.dumps(value)
    return "'" + str(value).replace("'", "''") + "'"


SEARCHES = (
    Search(title="red shoes, in words", text="red shoes"),
    Search(
        title="red shoes of acme under 50",
        text="red shoes",
        filters={"tenant": "acme", "category": "shoes", "max_price": 50},
    ),
    Search(title="a blue bag, in stock", text="a blue bag", filters={"in_stock": True, "category": "bags"}),
    Search(
        title="like this {picture}, but from the smallest tenant",
        like_category="lamps",
        like_colour="black",
        filters={"tenant": "dune"},
    ),
    Search(
        title="something striped, white, from 20 to 60",
        text="white striped shirt",
        filters={"min_price": 20, "max_price": 60, "attributes": {"pattern": "striped"}},
    ),
    Search(
        title="like this {picture}, among everything of bazaar",
        like_category="shoes",
        like_colour="red",
        filters={"tenant": "bazaar"},
    ),
)
