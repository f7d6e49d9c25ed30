"""What people give as a value → what is stored and compared: the same on the way in and in filters.

Nothing is changed silently. Texts are kept in Unicode's composed form (NFC): "é" is one letter whoever typed it.
A Decimal with more digits than a float holds is refused. Times with a zone are said in UTC: equal moments are equal.
"""

from __future__ import annotations

import json
import math
import operator
import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from imgsearch.errors import UsageError

NAME = 200  # characters of a product id, a category, a tenant, an attribute's name
VALUE = 10_000  # characters of one text inside attributes
DEPTH = 16  # levels of JSON inside attributes
PRICE = 1e15
POSITION = 2**31 - 1
ATTRIBUTES_BYTES = 1 << 14  # of one image's attributes, as JSON
_LARGEST = 10**100
# They would steer a terminal (C0, C1, DEL), or turn the text around them (bidi overrides, embeddings, isolates).
CONTROLS = frozenset(map(chr, (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))))
_STEERING = re.compile(f"[{''.join(sorted(CONTROLS))}\ud800-\udfff]")

Error = type[UsageError]


def text(value: object, field: str, longest: int, error: Error = UsageError) -> str:
    """Return a text as it is stored; a whole number or a UUID is its digits. Raises `error`, which names the field."""
    text = _text_of(value)
    if text is None:
        raise error(f"{field} is a text, not {_kind(value)}; give it as one.")
    text = composed(text, field, error)
    if len(text) > longest:
        raise error(f"{field} has {len(text)} characters, the limit is {longest}; shorten it.")
    return text


def line(value: object, field: str, longest: int = NAME, error: Error = UsageError) -> str:
    """Return a text that is shown in one line: without control characters. Raises `error`."""
    called = text(value, field, longest, error)
    if control := next((letter for letter in called if letter in CONTROLS), None):
        raise error(f"{field} holds the control character U+{ord(control):04X}; take it out.")
    return called


def named(value: object, field: str, error: Error = UsageError) -> str:
    """Return what is looked for by its name: a text that is not empty. SQL may have stored controls in it."""
    called = text(value, field, NAME, error)
    if not called:
        raise error(f"{field} is empty; give it a text.")
    return called


def key(value: object, field: str, error: Error = UsageError) -> str:
    """Return what something is to be called by (product id, tenant, category, a name): a line that is not empty."""
    return line(named(value, field, error), field, NAME, error)


def keys(value: object, field: str, error: Error = UsageError) -> list[str]:
    """Return several that are looked for. Raises `error` for what is no list of such texts."""
    return [named(part, field, error) for part in several(value, field, error)]


def several(value: object, field: str, error: Error = UsageError) -> list[Any]:
    """Return the values of a list, tuple or set. Raises `error` for anything else, and for a null in it."""
    if isinstance(value, str | bytes | bytearray | Enum | Mapping) or not isinstance(value, Iterable):
        raise error(f"{field} is a list, not {_kind(value)}; write it as one.")
    try:
        parts = list(value)
    except (TypeError, ValueError, OSError) as broken:  # a closed file, an array without rows
        raise error(f"{field} is a list, not {_kind(value)}; write it as one.") from broken
    if any(part is None for part in parts):
        raise error(f"{field} holds a null; leave it out.")
    return parts


def composed(text: str, field: str, error: Error = UsageError) -> str:
    """Return a text in Unicode's composed form. Raises `error` for what no database can hold."""
    if "\0" in text:
        raise error(f"{field} holds a null character (U+0000); take it out.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as unpaired:
            raise error(f"{field} holds half a character (a lone surrogate); send whole ones.") from unpaired
        text = unicodedata.normalize("NFC", text)
    return text


def whole(value: object, field: str, least: int, most: int, error: Error = UsageError) -> int:
    """Return a whole number between two; 1.0 is one, 2.7 and True are none."""
    number = _number(value)
    if number is None or (isinstance(number, float) and not number.is_integer()) or not least <= number <= most:
        raise error(f"{field} is {shown(value)}; write a whole number from {least} to {most}.")
    return int(number)


def number(value: object, field: str, least: float, most: float, error: Error = UsageError) -> float:
    """Return a number between two; a text is none."""
    read = _number(value)
    if read is None or not least <= read <= most:  # NaN is not between any two
        raise error(f"{field} is {shown(value)}; write a number from {least:g} to {most:g}.")
    return float(read)


def truth(value: object, field: str, error: Error = UsageError) -> bool:
    """Return true or false; 0 and 1, as some databases write it, are the same."""
    read = bool(value) if isinstance(value, bool) or _numpy_kind(value) == "b" else _number(value)
    if not isinstance(read, int | float) or read not in (0, 1):
        raise error(f"{field} is {shown(value)}; give True or False.")
    return bool(read)


def mapping(value: object, field: str, error: Error = UsageError) -> dict[str, Any]:
    """Return names and JSON values. Raises `error` for anything else, NaN, and what JSON does not know."""
    if not isinstance(value, Mapping):
        raise error(f"{field} is a mapping of names to values, not {_kind(value)}.")
    plain: dict[str, Any] = as_json(value, field, error)
    return plain


def as_json(value: object, field: str, error: Error = UsageError, depth: int = 0) -> Any:
    """Return a Python value as JSON: what is stored of it, and what a filter by the same value looks for.

    Decimals and numpy's numbers are numbers, sets and tuples lists, dates and times ISO 8601 (with a zone: in UTC), a
    timedelta its seconds, an Enum its value, a UUID its text. Raises `error` for the rest.
    """
    if depth > DEPTH:
        raise error(f"{field} is nested deeper than {DEPTH} levels; make it flatter.")
    if isinstance(value, Enum):
        return as_json(value.value, field, error, depth)
    if value is None or isinstance(value, bool) or _numpy_kind(value) == "b":
        return None if value is None else bool(value)
    if isinstance(value, Mapping):
        return _object(value, field, error, depth)
    if isinstance(value, list | tuple | set | frozenset) or _numpy_kind(value) == "several":
        items: Any = value.tolist() if hasattr(value, "tolist") else value
        listed = [as_json(item, field, error, depth + 1) for item in items]
        return sorted(listed, key=json.dumps) if isinstance(value, set | frozenset) else listed
    if (moment := _moment(value)) is not None:
        return moment
    if (read := _number(value)) is not None:
        if not abs(read) < _LARGEST:  # NaN is not, either
            raise error(f"{field} holds {shown(value)}, which is no number that JSON has; leave it out.")
        return read
    called = _text_of(value)
    if isinstance(value, Decimal):
        raise error(f"{field} has more digits than a number keeps; give it as a text.")
    if called is None:
        raise error(f"{field} holds {_kind(value)}, which JSON does not know; give a text, number, list or mapping.")
    if len(called) > VALUE:
        raise error(f"{field} holds a text of {len(called)} characters, the limit is {VALUE}; shorten it.")
    return composed(called, field, error)


def _object(value: Mapping[Any, Any], field: str, error: Error, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, inner in value.items():
        if not isinstance(name, str):
            raise error(f"{field} has a name that is {_kind(name)}; names are texts.")
        called = (key if error is UsageError else named)(name, f"a name in {field}", error)
        if called in plain:
            raise error(f"{field} has the name {called!r} twice; keep one.")
        plain[called] = as_json(inner, called if depth == 0 else field, error, depth + 1)
    return plain


def _moment(value: object) -> str | float | None:
    if isinstance(value, datetime):
        with suppress(OverflowError):  # within a day of the first or the last moment that Python knows
            value = value if value.tzinfo is None else value.astimezone(UTC)
        return value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else None


def _number(value: object) -> int | float | None:
    """Return the number that a value is, None for what is none (a bool, a text, a time of numpy's)."""
    if isinstance(value, Enum):
        return _number(value.value)
    if isinstance(value, bool | str | bytes):
        return None
    if isinstance(value, Decimal):
        return _of_decimal(value)
    kind = _numpy_kind(value)
    if kind == "f" or isinstance(value, float):
        return float(str(value))  # of single precision the number as it is written: 4.1, not 4.099999904632568
    try:
        return operator.index(value) if kind in "iu" else None  # type: ignore[arg-type]
    except TypeError:
        return None


def _numpy_kind(value: object) -> str:
    """Return of which kind one of numpy's values is: b, i, u, f, or another; empty for what is none of numpy's."""
    return "several" if getattr(value, "ndim", 0) else getattr(getattr(value, "dtype", None), "kind", "")


def _of_decimal(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return math.nan
    try:
        if value == value.to_integral_value() and value.adjusted() < 100:
            return int(value)
        near = float(value)
        return near if Decimal(repr(near)) == value else None
    except (InvalidOperation, OverflowError):
        return None


def _text_of(value: object) -> str | None:
    if isinstance(value, Enum):
        return _text_of(value.value)
    if isinstance(value, str | UUID) or type(value).__name__ == "__proxy__":  # the last: a translated text of Django's
        return str(value)
    read = None if isinstance(value, float | Decimal) else _number(value)
    return str(read) if isinstance(read, int) and abs(read) < _LARGEST else None


def printable(text: str, keep: str = "") -> str:
    """Return a text for a terminal: controls but `keep`, and half characters, as they are written in code: `\\x1b`."""
    return _STEERING.sub(lambda one: one[0] if one[0] in keep else one[0].encode("unicode_escape").decode(), text)


def printable_json(text: str) -> str:
    """Return JSON that was written without escapes as the same JSON for a terminal."""
    return _STEERING.sub(lambda one: f"\\u{ord(one[0]):04x}", text)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def shown(value: object) -> str:
    """Return a value for a message, in few characters that any terminal can show."""
    if isinstance(value, str | int | float | Decimal | None):
        return ascii(value)[:60] if not isinstance(value, int) or abs(value) < _LARGEST else "a very large number"
    return _kind(value)
