"""What was asked: words, examples and filters, as values; how they got here (JSON, form, address) is `reader`'s."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from imgsearch.retrieval.template import LARGEST_PAGE

MOST_EXAMPLES = 16
MOST_CATEGORIES = 100


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What rows must match; None: no condition. `attributes` as `imgsearch.search.search` takes them."""

    tenant: str | None = None
    categories: tuple[str, ...] | None = None
    min_price: float | None = None
    max_price: float | None = None
    in_stock: bool | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def named(self) -> dict[str, Any]:
        """Answer the arguments of `search`."""
        return {
            "tenant": self.tenant,
            "category": None if self.categories is None else list(self.categories),
            "min_price": self.min_price,
            "max_price": self.max_price,
            "in_stock": self.in_stock,
            "attributes": dict(self.attributes) or None,
        }

    def bound(self) -> dict[str, Any]:
        """Answer the values of the statements `facets` and `browse`."""
        named = self.named()
        attributes = named.pop("attributes")
        return {**named, "categories": named.pop("category"), "attributes": attributes and json.dumps(attributes)}


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """One search. `photo` is the digest of a picture asked before; `picture` its bytes, `vector` numbers."""

    text: str | None = None
    more: tuple[int, ...] = ()
    less: tuple[int, ...] = ()
    photo: bytes | None = None
    picture: bytes | None = None
    picture_url: str | None = None
    vector: tuple[float, ...] | None = None
    filters: Filters = field(default_factory=Filters)
    k: int = 10
    after: tuple[float, int] | None = None
    max_distance: float | None = None

    @property
    def likes(self) -> bool:
        """Whether there is anything to be near to."""
        return any((self.text, self.more, self.photo, self.picture, self.picture_url, self.vector is not None))

    @property
    def examples(self) -> int:
        """How many pictures and vectors to be near to or far from."""
        return len(self.more) + len(self.less) + sum(x is not None for x in (self.photo, self.picture, self.vector))

    def of_tenant(self, tenant: str | None) -> SearchRequest:
        """Answer the same search within `tenant`."""
        return replace(self, filters=replace(self.filters, tenant=tenant))


__all__ = ["LARGEST_PAGE", "MOST_CATEGORIES", "MOST_EXAMPLES", "Filters", "SearchRequest"]
