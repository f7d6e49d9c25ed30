"""Filters within filters: what somebody may see, which whatever they ask can only narrow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from imgsearch.errors import FilterError
from imgsearch.retrieval.filters import Filters

VALUES = 100  # in a list of a limit: it is asked as a part of `condition`
CONDITIONS = 20  # of a limit; those of a request have room beside them
LEVELS = 4  # of groups in its `condition`
_NO_LIMITS = ("tenant", "exclude_image_ids", "duplicates")
_COLUMNS = ("category", "min_price", "max_price", "in_stock")


def conditions_of(limits: Filters) -> list[dict[str, Any]]:
    """Return the same filters as conditions of a tree, all of which must hold. Raises FilterError for what is none."""
    plain: dict[str, Any] = json.loads(limits.as_json())
    if wrong := sorted(set(plain) & set(_NO_LIMITS)):
        raise FilterError(f"A limit cannot hold {wrong[0]!r}; use the other filters.")
    found: list[dict[str, Any]] = []
    for name, asked in plain.items():
        if name == "attributes":
            found += [{f"attributes.{one}": value} for one, value in asked.items()]
        elif name == "condition":
            found.append(asked)
        else:
            column, operator = _AS_CONDITION[name]
            found.append({column: {operator: asked}})
    return found


_AS_CONDITION = {
    "category": ("category", "in"),
    "min_price": ("price", "min"),
    "max_price": ("price", "max"),
    "in_stock": ("in_stock", "is"),
    "product_ids": ("product_id", "in"),
    "exclude_product_ids": ("product_id", "not_in"),
    "created_after": ("created_at", "min"),
    "created_before": ("created_at", "below"),
    "taken_after": ("taken_at", "min"),
    "taken_before": ("taken_at", "below"),
    "near": ("near", "in"),
}


def within(asked: Filters, limits: Filters | None) -> Filters:
    """Return filters that hold where both do. Raises FilterError.

    The limits join `condition`: counts beside a search leave out a facet's own filter, but never that. Where a column
    is not filtered by, they stand there too, so that an index answers them.
    """
    if limits is None:
        return asked
    condition = dict(asked.condition or {})
    besides = condition.get("all", [])
    if not isinstance(besides, Sequence) or isinstance(besides, str):
        raise FilterError('"all" wants a list of conditions, for example {"all": [{"category": "shoes"}]}.')
    condition["all"] = [*besides, *conditions_of(limits)]
    columns = {name: getattr(limits, name) for name in _COLUMNS if getattr(asked, name) is None}
    return replace(asked, **columns, condition=condition)


def captures_of(filters: Filters) -> list[tuple[str, Any]]:
    """Return each condition on when or where images were taken, in groups too: (its name, its value)."""
    named = ((name, getattr(filters, name)) for name in ("taken_after", "taken_before", "near"))
    return [*((name, value) for name, value in named if value is not None), *_captures_in(filters.condition or {})]


def _captures_in(node: Any) -> Iterator[tuple[str, Any]]:
    for part in node if isinstance(node, list | tuple) else [node]:
        for name, value in part.items() if isinstance(part, Mapping) else ():
            if name in {"any", "all", "not"}:
                yield from _captures_in(value)
            elif name in {"taken_at", "near"}:
                yield name, value


def radius_of(near: Any) -> float | None:
    """Return the kilometres of a condition `near`: [latitude, longitude, kilometres]; None: it names no circle."""
    circle = near.get("in") if isinstance(near, Mapping) else near
    if not isinstance(circle, Sequence) or isinstance(circle, str) or len(circle) != 3:
        return None
    return float(circle[2]) if isinstance(circle[2], int | float) else None


def checked(limits: Filters) -> Filters:
    """Return limits that leave a request room for filters of its own. Raises FilterError."""
    listed = conditions_of(limits)
    if not listed:
        raise FilterError("These filters leave out nothing; name what the key is for, for example a category.")
    values, conditions = _counted(listed)
    if values > VALUES:
        raise FilterError(f"A list of a key's filters holds {values} values; at most {VALUES} are allowed.")
    if conditions > CONDITIONS:
        raise FilterError(f"A key's filters make {conditions} conditions; at most {CONDITIONS} are allowed.")
    if limits.condition is not None and _depth(limits.condition) > LEVELS:
        raise FilterError(f"A key's condition is nested deeper than {LEVELS} levels.")
    return limits


def _counted(node: Any) -> tuple[int, int]:
    """Return the length of the longest list of values, and how many conditions there are."""
    parts = node if isinstance(node, list) else [node]
    longest = conditions = 0
    for part in parts:
        for name, value in part.items() if isinstance(part, dict) else ():
            if name in {"any", "all", "not"}:
                found = _counted(value)
            else:
                lists = [
                    one for one in (value.values() if isinstance(value, dict) else [value]) if isinstance(one, list)
                ]
                found = (max(map(len, lists), default=0), len(value) if isinstance(value, dict) else 1)
            longest, conditions = max(longest, found[0]), conditions + found[1]
    return longest, conditions


def _depth(node: Any) -> int:
    inner = [value for name, value in node.items() if name in {"any", "all", "not"}] if isinstance(node, dict) else []
    parts = [part for value in inner for part in (value if isinstance(value, list) else [value])]
    return 1 + max(map(_depth, parts), default=0)
