"""Values that an address or a form writes as text."""

from __future__ import annotations

import math

from imgsearch.http import caps
from imgsearch.http.problem import bad_request


def text(name: str, value: str, longest: int = caps.NAME) -> str:
    """Return a text of 1 to `longest` characters that a database can hold. Raises Problem."""
    if not value or len(value) > longest:
        raise bad_request(f"{name} must have 1 to {longest} characters; it has {len(value)}.")
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise bad_request(f"{name} contains characters that are not text; send plain Unicode.")
    return value


def number(name: str, written: str, low: float, high: float) -> float:
    """Return a finite number from `low` to `high`; a decimal comma is one too. Raises Problem."""
    try:
        found = float(written.strip().replace(",", "."))
    except ValueError as error:
        raise bad_request(f"{name} must be a number, for example 19.99.") from error
    if not math.isfinite(found) or not low <= found <= high:
        raise bad_request(f"{name} must be a number from {low:g} to {high:g}.")
    return found


def whole(name: str, written: str, low: int, high: int) -> int:
    """Return a whole number from `low` to `high`. Raises Problem."""
    digits = written.strip()
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 20 or not low <= int(digits) <= high:
        raise bad_request(f"{name} must be a whole number from {low} to {high}.")
    return int(digits)


def truth(name: str, written: str) -> bool:
    """Return what yes and no, true and false, 1 and 0 say. Raises Problem."""
    lowered = written.strip().lower()
    if lowered in {"true", "1", "yes", "on", "false", "0", "no"}:
        return lowered in {"true", "1", "yes", "on"}
    raise bad_request(f"{name} must be true or false.")
