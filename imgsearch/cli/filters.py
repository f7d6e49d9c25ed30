"""The filters as options of a command, made from the fields of `Filters`, and what was typed as its value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args, get_origin, get_type_hints

import typer

from imgsearch.cli.options import in_place_of, typed
from imgsearch.errors import FilterError
from imgsearch.retrieval.filters import HELP, NAMES, Filters

_KINDS: dict[Any, Any] = {
    str: str,
    bool: bool,
    float: float,
    datetime: str,
    Sequence[str]: list[str],
    Sequence[int]: list[int],
    Sequence[float]: str,
    Mapping[str, Any]: str,
}
_OWN_KINDS: dict[str, Any] = {"category": list[str], "attributes": list[str]}
_SPELLED = {
    "in_stock": ["--in-stock/--sold-out"],
    "duplicates": ["--duplicates/--no-duplicates"],
    "attributes": ["--attribute", "-a"],
}
_FORMS = {
    "attributes": "As name=value.",
    "condition": 'As JSON: {"any": [{"category": "shoes"}]}.',
    "created_after": "For example 2026-01-31.",
    "near": "As 48.14,11.58,5.",
}


def _option(name: str) -> tuple[Any, Any]:
    """Return the type and the option of one filter."""
    known = (_KINDS[one] for one in get_args(get_type_hints(Filters)[name]) if one in _KINDS)
    kind = _OWN_KINDS.get(name) or next(known)
    many = get_origin(kind) is list
    # A list is one option that is repeated, so its name is in the singular.
    usual = "--" + (name.removesuffix("s") if many else name).replace("_", "-")
    said = [HELP[name], _FORMS.get(name), "Repeat for several." if many else None]
    return kind, typer.Option(None, *_SPELLED.get(name, [usual]), help=" ".join(filter(None, said)))


OPTIONS: dict[str, tuple[Any, Any]] = {name: _option(name) for name in NAMES}


def filters_of(given: dict[str, Any]) -> Filters:
    """Return the filters of what was typed. Raises FilterError."""
    found = typed(given)
    for name, read in _READERS.items():
        if name in found:
            found[name] = read(found[name])
    return Filters.from_mapping(found)


def attributes(pairs: list[str]) -> dict[str, Any]:
    """Read name=value; a value that is JSON (true, 42, {"min": 3}, ["a", "b"]) means that, anything else its text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise FilterError(f"{pair!r} is not name=value; write for example -a colour=red.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _time(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise FilterError(
            f"{value!r} is not a time; write for example 2026-01-31 or 2026-01-31T12:00+01:00."
        ) from error
    return found.astimezone()  # one without a zone is in this machine's


def _place(value: str) -> list[float]:
    try:
        return [float(part) for part in value.split(",")]
    except ValueError as error:
        raise FilterError(
            f"{value!r} is no place; write latitude,longitude,kilometres: --near 48.14,11.58,5."
        ) from error


def _tree(value: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except ValueError as error:
        raise FilterError(f"--condition is not JSON ({error}).") from error
    if not isinstance(found, dict):
        raise FilterError('--condition takes a JSON object, for example {"not": {"category": "shoes"}}.')
    return found


_READERS: dict[str, Callable[[Any], Any]] = {
    "attributes": attributes,
    "created_after": _time,
    "created_before": _time,
    "taken_after": _time,
    "taken_before": _time,
    "near": _place,
    "condition": _tree,
}

with_filters = in_place_of("filters", OPTIONS, filters_of)
