"""Cells of a CSV file as values: a column's type is decided over the whole file, so that one filter fits all its rows.

A column is of true or false, of numbers, or of JSON lists and objects where each of its cells that is not empty is one;
else it is text, all of it. Numbers with leading zeros, exponents or more than 15 digits are text: they are codes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

TRUE = frozenset({"true", "wahr", "vrai", "verdadero"})
FALSE = frozenset({"false", "falsch", "faux", "falso"})
Kind = Literal["true or false", "number", "JSON", "text"]
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_WITH_COMMA = re.compile(r"-?(0|[1-9]\d*),\d+", re.ASCII)
_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_DIGITS = 15  # that a float keeps


def truth(cell: str) -> bool | None:
    """Return true or false, as a spreadsheet of some languages writes it; None for neither."""
    text = cell.strip().lower()
    return True if text in TRUE else False if text in FALSE else None


def number(cell: str, *, comma: bool = False) -> int | float | None:
    """Return a number; None for a text, also for one with leading zeros.

    `comma`: the file may write "12,50"; "1.299" may be a thousand there, so it is none.
    """
    text = cell.strip()
    if sum(map(str.isdigit, text)) > _DIGITS:
        return None
    if comma and _WITH_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif not _NUMBER.fullmatch(text) or (comma and _THOUSANDS.fullmatch(text)):
        return None
    return float(text) if "." in text else int(text)


def price(cell: str, *, comma: bool) -> int | float | str:
    """Return a price: "12,50" is one in any file; what is none, or may be two, comes back as it is."""
    read = number(cell, comma=comma or len(cell.strip().rpartition(",")[2]) != 3)
    return cell if read is None else read


def typed(cells: Iterable[str], *, comma: bool, stays_text: bool = False) -> tuple[Kind, Callable[[str], Any]]:
    """Return the type of a column and what reads its cells. `comma`: its file may write "12,50"."""
    texts = [cell for cell in cells if cell.strip()]
    readers: list[tuple[Kind, Callable[[str], Any]]] = [
        ("true or false", truth),
        ("number", lambda cell: number(cell, comma=comma)),
        ("JSON", _json),
    ]
    for kind, read in [] if stays_text else readers:
        if texts and all(read(cell) is not None for cell in texts):
            return kind, read
    return "text", str


def _json(cell: str) -> Any:
    if cell.strip()[0] not in "[{":
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return None
