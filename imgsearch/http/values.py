"""One value of a request: the right type within its bounds, or a sentence about what is wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from imgsearch.http.problem import bad_request

LARGEST_ID = 2**63 - 1
DEEPEST = 16


def text(name: str, value: Any, longest: int = 200) -> str:
    """Answer a text of 1 to `longest` characters that a database can hold."""
    if not isinstance(value, str):
        raise bad_request(f"{name} must be a text.")
    if not value or len(value) > longest:
        raise bad_request(f"{name} must have 1 to {longest} characters; it has {len(value)}.")
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise bad_request(f"{name} holds characters that are no text; send plain Unicode.")
    return value


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Answer a finite number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_request(f"{name} must be a number.")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found) or not low <= found <= high:
        raise bad_request(f"{name} must be a number from {low:g} to {high:g}.")
    return found


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Answer a whole number from `low` to `high`; JSON writes one also as 1.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad_request(f"{name} must be a whole number from {low} to {high}.")
    return value


def number_in(name: str, written: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Answer the number that a form or an address writes; a decimal comma is one too."""
    try:
        return number(name, float(written.strip().replace(",", ".")), low, high)
    except ValueError as error:
        raise bad_request(f"{name} must be a number, for example 19.99.") from error


def whole_in(name: str, written: str, low: int, high: int) -> int:
    """Answer the whole number that a form or an address writes."""
    digits = written.strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 20:
        raise bad_request(f"{name} must be a whole number from {low} to {high}.")
    return whole(name, int(digits), low, high)


def truth_in(name: str, written: str) -> bool:
    """Answer the truth that a form or an address writes."""
    lowered = written.strip().lower()
    if lowered in {"true", "1", "yes", "on", "false", "0", "no"}:
        return lowered in {"true", "1", "yes", "on"}
    raise bad_request(f"{name} must be true or false.")


def ids(name: str, value: Any, most: int) -> tuple[int, ...]:
    """Answer up to `most` different image ids."""
    if not isinstance(value, list | tuple) or len(value) > most:
        raise bad_request(f"{name} must be a list of at most {most} image ids.")
    return tuple(dict.fromkeys(whole(name, one, 1, LARGEST_ID) for one in value))


def attributes(name: str, value: Any) -> dict[str, Any]:
    """Answer a JSON object whose names and texts a database can hold."""
    if not isinstance(value, dict):
        raise bad_request(f"{name} must be a JSON object.")
    _plain(name, value, 0)
    return value


def document(body: bytes) -> dict[str, Any]:
    """Answer the JSON object of a request's body; NaN and Infinity are no JSON."""
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_request("The body is not JSON in UTF-8; send one JSON object.", "not_json") from error
    if not isinstance(found, dict):
        raise bad_request("The body must be one JSON object.", "not_json")
    return found


def only(given: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse names that mean nothing here: a misspelt filter must not silently match everything."""
    unknown = sorted(set(given) - known)
    if unknown:
        shown = ", ".join(repr(name[:40]) for name in unknown[:3])
        raise bad_request(f"{shown} means nothing here; known are {', '.join(sorted(known))}.", "unknown_field")


def _plain(name: str, value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise bad_request(f"{name} is nested too deeply.")
    if isinstance(value, str) and value:
        text(name, value, 10_000)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key:
                text(name, key)
            _plain(name, inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _plain(name, inner, depth + 1)
    elif isinstance(value, int | float) and not abs(value) < 10**100:  # NaN is not, either
        raise bad_request(f"{name} holds a number that is too large.")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
