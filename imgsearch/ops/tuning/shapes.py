"""The shapes of filters to measure with, drawn from what the images hold: tenants, categories, prices, attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from imgsearch.retrieval.filters import FilterArguments

Picture = Mapping[str, Any]
Shape = Callable[
    [Picture, Random], FilterArguments | None
]  # the filter for a query near this picture; None: not for this one


def shapes(pictures: Sequence[Picture]) -> dict[str, Shape]:
    """Return {name: shape} for these sampled images; shapes that would not filter anything are left out.

    With the query's neighbourhood (its own category), across it (price, tenant), and against it (another category):
    how a filter lies to the query decides which way of searching is right.
    """
    found: dict[str, Shape] = {"no filter": lambda picture, numbers: {}}
    if len({p["tenant_id"] for p in pictures}) > 1:
        found["tenant"] = lambda picture, numbers: {"tenant": picture["tenant_id"]}
    categories = sorted({p["category"] for p in pictures if p["category"] is not None})
    if len(categories) > 1:
        found["its category"] = lambda picture, numbers: _own(picture)
        found["another category"] = lambda picture, numbers: {
            "category": [numbers.choice([c for c in categories if c != picture["category"]])]
        }
        # Against the neighbourhood and yet wide: there a walk meets what matches late, and may be believed too early.
        found["not its category"] = lambda picture, numbers: {
            "category": [c for c in categories if c != picture["category"]]
        }
        found["other categories, 30%"] = lambda picture, numbers: _others(pictures, picture, numbers)
    prices = sorted(p["price"] for p in pictures if p["price"] is not None)
    if len(set(prices)) > 20:
        for part in (0.5, 0.1, 0.02):
            found[f"price, {part:.0%}"] = _band(prices, part)
    if len({p["in_stock"] for p in pictures}) > 1:
        found["in stock"] = lambda picture, numbers: {"in_stock": True}
    found |= {f"attribute {name}": _attribute(name) for name in _names(pictures)}
    if {"tenant", "its category", "price, 50%"} <= set(found):
        band = found["price, 50%"]
        found["tenant, category, price"] = lambda picture, numbers: (
            {"tenant": picture["tenant_id"]} | (_own(picture) or {}) | (band(picture, numbers) or {})
        )
    return found


def _own(picture: Picture) -> FilterArguments | None:
    return None if picture["category"] is None else {"category": [picture["category"]]}


def _others(pictures: Sequence[Picture], picture: Picture, numbers: Random) -> FilterArguments | None:
    """Categories that hold about 30 % of the images, without the picture's own."""
    sizes = Counter(p["category"] for p in pictures if p["category"] not in (None, picture["category"]))
    chosen: list[str] = []
    for name in numbers.sample(sorted(sizes), len(sizes)):
        chosen.append(name)
        if sum(sizes[one] for one in chosen) >= 0.3 * len(pictures):
            return {"category": chosen}
    return None


def _band(prices: Sequence[float], part: float) -> Shape:
    """A price band that holds this part of the images, anywhere among them."""

    def band(picture: Picture, numbers: Random) -> FilterArguments:
        width = max(1, round(part * len(prices)))
        low = numbers.randrange(len(prices) - width + 1)
        return {"min_price": prices[low], "max_price": prices[low + width - 1]}

    return band


def _attribute(name: str) -> Shape:
    def same(picture: Picture, numbers: Random) -> FilterArguments | None:
        if not isinstance(picture["attributes"].get(name), str | int | float | bool):
            return None
        return {"attributes": {name: picture["attributes"][name]}}

    return same


def _names(pictures: Sequence[Picture]) -> list[str]:
    """Return two attributes that many images have and whose values repeat: those are filtered by."""
    values: dict[str, Counter[str]] = {}
    for picture in pictures:
        for name, value in picture["attributes"].items():
            if isinstance(value, str | int | float | bool):
                values.setdefault(name, Counter())[repr(value)] += 1
    hot = [name for name, seen in values.items() if 1 < len(seen) < seen.total() / 4 and seen.total() > 20]
    return sorted(hot, key=lambda name: -values[name].total())[:2]
