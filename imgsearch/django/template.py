"""Put compiled SQL into the braces of a named statement, parameters in the order in which they are met."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from string import Formatter
from typing import Any, NamedTuple

from imgsearch.db import sql


class Part(NamedTuple):
    """SQL with `%s` for each of its parameters."""

    sql: str
    params: tuple[Any, ...]


def fill(name: str, parts: Mapping[str, Part]) -> Part:
    """Return the statement `name` of django.sql with each `{part}` filled in, as often as it occurs."""
    met: list[Part] = []
    for literal, slot, _, _ in Formatter().parse(_text(name)):
        met += [Part(literal, ()), *([] if slot is None else [parts[slot]])]
    return join(met)


def join(parts: Iterable[Part]) -> Part:
    """Return the parts as one."""
    met = tuple(parts)
    return Part("".join(part.sql for part in met), tuple(value for part in met for value in part.params))


@cache
def _text(name: str) -> str:
    """Return a statement without its comments: it may stand in the middle of a line."""
    return re.sub(r"^--.*\n", "", sql.statements("django")[name], flags=re.MULTILINE)
