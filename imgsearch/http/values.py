"""Values that an address or a form writes as text."""

from __future__ import annotations

import math
import re
import unicodedata

from imgsearch.http import caps
from imgsearch.http.problem import bad_request


def text(name: str, value: str, longest: int = caps.NAME) -> str:
    """Return a text of 1 to `longest` characters that a database can hold. Raises Problem."""
    if not value or len(value) > longest:
        raise bad_request(f"{name} must have 1 to {longest} characters; it has {len(value)}.")
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise bad_request(f"{name} contains characters that are not text; send plain Unicode.")
    return value


def number(name: str, written: str, low: float, high: float, marks: tuple[str, str] = (".", ",")) -> float:
    """Return a finite number from `low` to `high`, as people write it. Raises Problem.

    marks: what stands before decimals and between thousands where the writer lives. Signs that can mean one thing alone
    mean that anywhere: 19,99 and 1.299,00 on an English page, 19.99 and 1,299.00 on a German one.
    """
    try:
        found = float(_plain(written, *marks))
    except ValueError as error:
        raise bad_request(f"{name} must be a number, for example 19{marks[0]}99.") from error
    if not math.isfinite(found) or not low <= found <= high:
        raise bad_request(f"{name} must be a number from {low:g} to {high:g}.")
    return found


_SPACES = dict.fromkeys(map(ord, " \N{NBSP}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}'\N{RIGHT SINGLE QUOTATION MARK}"))


def _plain(written: str, point: str, thousands: str) -> str:
    """Return a number as programs write it: without signs between thousands, with a point before its decimals."""
    text = "".join(str(unicodedata.decimal(sign, sign)) for sign in written.strip().translate(_SPACES))
    text = text.replace("\N{ARABIC DECIMAL SEPARATOR}", point).replace("\N{ARABIC THOUSANDS SEPARATOR}", thousands)
    for here, between in ((point, thousands), (thousands, point)):
        grouped = rf"[+-]?\d{{1,3}}(?:{re.escape(between)}\d{{3}})+(?:{re.escape(here)}\d*)?"
        # One sign before three digits is the writer's own; a second one tells which is which.
        if re.fullmatch(grouped, text) and (here == point or here in text or text.count(between) > 1):
            return text.replace(between, "").replace(here, ".")
    return text.replace(",", ".")


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
