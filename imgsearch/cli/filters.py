"""The filters as options of a command: every field of `Filters` once, and the one place that makes its value."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import typer

from imgsearch.errors import FilterError
from imgsearch.retrieval.filters import Filters

# A list is one option that is repeated, so its name is in the singular.
OPTIONS: dict[str, tuple[Any, Any]] = {
    "tenant": (str, typer.Option(None, "--tenant", help="Only this tenant's images.")),
    "category": (list[str], typer.Option(None, "--category", help="Only this category; repeat for several.")),
    "min_price": (float, typer.Option(None, "--min-price", help="Only from this price.")),
    "max_price": (float, typer.Option(None, "--max-price", help="Only up to this price.")),
    "in_stock": (bool, typer.Option(None, "--in-stock/--sold-out", help="Only what is (not) in stock.")),
    "attributes": (
        list[str],
        typer.Option(None, "--attribute", "-a", help="Only where name=value; repeat for several."),
    ),
    "product_ids": (list[str], typer.Option(None, "--product-id", help="Only this product; repeat for several.")),
    "exclude_product_ids": (
        list[str],
        typer.Option(None, "--exclude-product-id", help="Not this product; repeat for several."),
    ),
    "exclude_image_ids": (
        list[int],
        typer.Option(None, "--exclude-image-id", help="Not this image; repeat for several."),
    ),
    "created_after": (str, typer.Option(None, "--created-after", help="Only added at this time or later: 2026-01-31.")),
    "created_before": (str, typer.Option(None, "--created-before", help="Only added before this time.")),
    "condition": (
        str,
        typer.Option(None, "--condition", help='A tree of conditions as JSON: {"any": [{"category": "shoes"}]}.'),
    ),
}


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all filters in place of its parameter `filters`."""

    @wraps(command)
    def run(**given: Any) -> None:
        filters = filters_of({name: given.pop(name) for name in OPTIONS})
        command(filters=filters, **given)

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name != "filters":
            parameters.append(parameter)
            continue
        for name, (kind, option) in OPTIONS.items():
            parameters.append(inspect.Parameter(name, parameter.kind, default=option, annotation=kind))
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def filters_of(given: dict[str, Any]) -> Filters:
    """Return the filters of what was typed. Raises FilterError."""
    typed = {name: value for name, value in given.items() if value is not None and value != []}
    for name, read in _READERS.items():
        if name in typed:
            typed[name] = read(typed[name])
    return Filters.from_mapping(typed)


def _attributes(pairs: list[str]) -> dict[str, Any]:
    """Read name=value; a value that is JSON (true, 42, {"min": 3}, ["a", "b"]) means that, anything else its text."""
    attributes: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise FilterError(f"{pair!r} is not name=value; write for example -a colour=red.")
        try:
            attributes[name] = json.loads(value)
        except ValueError:
            attributes[name] = value
    return attributes


def _time(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise FilterError(
            f"{value!r} is not a time; write for example 2026-01-31 or 2026-01-31T12:00+01:00."
        ) from error
    return found.astimezone()  # one without a zone is in this machine's


def _tree(value: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except ValueError as error:
        raise FilterError(f"--condition is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise FilterError('--condition takes a JSON object, for example {"not": {"category": "shoes"}}.')
    return found


_READERS: dict[str, Callable[[Any], Any]] = {
    "attributes": _attributes,
    "created_after": _time,
    "created_before": _time,
    "condition": _tree,
}
