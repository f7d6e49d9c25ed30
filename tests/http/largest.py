"""The largest filters that are allowed, by name, and those one step above."""

from __future__ import annotations

from functools import cache
from typing import Any

from imgsearch.http import caps

Json = dict[str, Any]
OPERATORS = ("is", "not", "in", "not_in", "has", "min", "max", "above", "below", "exists")
COLOURS = [f"v{n}" for n in range(caps.VALUES)]


def texts(letter: str, many: int, length: int = 190) -> list[str]:
    """Return so many different texts of a length."""
    return [f"{letter}{n}".ljust(length, "x") for n in range(many)]


def attributes(names: int, values: int = caps.VALUES) -> Json:
    """Return a filter of lists."""
    return {f"a{n}": {"in": [f"v{value}" for value in range(values)]} for n in range(names)}


def every_operator() -> Json:
    """Return a filter of all names with all operators."""
    lists = {"in": COLOURS, "not_in": COLOURS, "exists": True}
    return {f"a{n}": {one: lists.get(one, "v5") for one in OPERATORS} for n in range(caps.ATTRIBUTES)}


def tree(conditions: int, operator: str = "not_in", prefix: str = "w") -> Json:
    """Return a flat tree."""
    listed = [f"{prefix}{value}" for value in range(caps.VALUES)]
    return {"all": [{f"attributes.a{n % 20}": {operator: listed}} for n in range(conditions)]}


def nested(levels: int) -> Json:
    """Return a deep tree."""
    found: Json = {"category": "x"}
    for _ in range(levels - 1):
        found = {"not": found}
    return found


def grouped(objects: int) -> Json:
    """Return a tree of so many objects that hold nothing, on three levels."""
    lists = [{"any": [{}] * 48} for _ in range((objects - 1) // 49)]
    return {"any": [*lists, *[{}] * (objects - 1 - 49 * len(lists))]}


def sized(size: int, name: str) -> Json:
    """Return JSON of exactly so many bytes, as Python and Postgres write it."""
    listed = ["x" * 650 for _ in range(90)]
    left = size - len(f'{{"{name}": {{"in": [{", ".join(chr(34) + one + chr(34) for one in listed)}, ""]}}}}')
    return {name: {"in": [*listed, "y" * left]}}


def lists(many: int) -> Json:
    """Return the lists of a filter."""
    return {
        "category": texts("c", many),
        "product_ids": texts("p", many),
        "exclude_product_ids": texts("q", many),
        "exclude_image_ids": list(range(10**12, 10**12 + many)),
    }


@cache
def at_most() -> dict[str, Json]:
    """Return the largest filters by name."""
    found: dict[str, Json] = {name: {name: value} for name, value in lists(caps.IDS).items()}
    found |= {
        "attributes": {"attributes": attributes(caps.ATTRIBUTES)},
        "short lists": {"attributes": attributes(caps.ATTRIBUTES, 10)},
        "operators": {"attributes": every_operator()},
        "filter bytes": {"attributes": sized(caps.FILTER_BYTES, "a1")},
        "conditions": {"condition": tree(caps.CONDITIONS)},
        "conditions that match": {"condition": tree(caps.CONDITIONS, "in", "v")},
        "nots": {"condition": {"any": [{"not": one} for one in tree(caps.CONDITIONS)["all"]]}},
        "groups": {"condition": grouped(caps.GROUPS)},
        "levels": {"condition": nested(caps.LEVELS)},
        "bytes of a condition": {"condition": sized(caps.FILTER_BYTES, "attributes.a1")},
    }
    columns: Json = {"min_price": 0.5, "max_price": 1e6, "in_stock": True}
    times: Json = {"created_after": "2020-01-01T00:00:00Z", "created_before": "2090-01-01T00:00:00Z"}
    times |= {"taken_after": "2020-01-01T00:00:00Z", "taken_before": "2090-01-01T00:00:00Z"}
    times |= {"near": [48.14, 11.58, caps.KILOMETRES]}
    most = {**columns, **times, "attributes": every_operator(), "condition": tree(caps.CONDITIONS)}
    found["everything"] = {**lists(caps.IDS), **most}
    matching = {**columns, **times, "attributes": attributes(caps.ATTRIBUTES), "condition": tree(caps.CONDITIONS)}
    found["everything that matches"] = {
        **matching,
        "category": [f"c{n}" for n in range(1000)],
        "exclude_product_ids": texts("q", 1000),
        "exclude_image_ids": list(range(10**12, 10**12 + 1000)),
    }
    return found


@cache
def above() -> dict[str, list[Json]]:
    """Return what is one step above, by the same names."""
    found: dict[str, list[Json]] = {name: [{name: value}] for name, value in lists(caps.IDS + 1).items()}
    found |= {
        "attributes": [
            {"attributes": attributes(caps.ATTRIBUTES + 1, 1)},
            {"attributes": {"a1": [*COLOURS, "one more"]}},
            {"condition": {"attributes.a1": [*COLOURS, "one more"]}},
        ],
        "near": [{"near": [0, 0, caps.KILOMETRES + 1]}, {"near": [0, 0]}, {"near": [0, 181, 1]}],
        "filter bytes": [{"attributes": sized(caps.FILTER_BYTES + 1, "a1")}],
        "conditions": [{"condition": {"all": [tree(caps.CONDITIONS), {"price": 1}]}}],
        "groups": [{"condition": grouped(caps.GROUPS + 1)}],
        "levels": [{"condition": nested(caps.LEVELS + 1)}],
        "bytes of a condition": [{"condition": sized(caps.FILTER_BYTES + 1, "attributes.a1")}],
    }
    return found
