"""Tokens of SQL, so that names in a text can be told from what stands in strings and comments.

The bracket of a call stands at its name, that of anything else behind a space: `now()`, `u (key)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<dollar>\$(?:[A-Za-z_]\w*)?\$)
      | (?P<string>(?:\b[Ee]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'))
      | (?P<name>"(?:[^"]|"")*"|[^\W\d][\w$]*)
      | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
      | (?P<other>\d\w*|.)""",
    re.VERBOSE | re.DOTALL,
)


# What is no function where a bracket follows: syntax, which PostgreSQL reads as its own, and a type.
SYNTAX = frozenset(
    ("any", "array", "bit", "coalesce", "extract", "greatest", "least", "nullif", "operator", "substring")
)


class Token(NamedTuple):
    """A piece of SQL. kind: space (also a comment), dollar (a whole quoted body), string, name, operator, other."""

    kind: str
    text: str


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, which is all of them joined."""
    at = 0
    while at < len(text):
        if text.startswith("/*", at):
            end = _end_of_comment(text, at)
            yield Token("space", text[at:end])
        else:
            match = _TOKEN.match(text, at)
            assert match is not None
            assert match.lastgroup is not None
            end = match.end()
            if match.lastgroup == "dollar":
                closed = text.find(match[0], end)
                end = len(text) if closed < 0 else closed + len(match[0])
            yield Token(match.lastgroup, text[at:end])
        at = end


def in_full(text: str) -> str:
    """Return SQL in which each call of a bare name is of PostgreSQL's own function, whatever the search_path."""
    listed = list(tokens(text))
    parts = [part for _, part in listed]
    before = ""
    for place, (kind, part) in enumerate(listed):
        if kind == "dollar":
            mark = part[: part.index("$", 1) + 1]
            parts[place] = f"{mark}{in_full(part[len(mark) : -len(mark)])}{mark}"
        elif kind == "name" and before != "." and _is_call(listed, place):
            parts[place] = f"pg_catalog.{part}"
        if kind != "space":
            before = part
    return "".join(parts)


def _is_call(listed: list[Token], place: int) -> bool:
    name = listed[place].text.lower()
    if name in SYNTAX or listed[place + 1 : place + 2] != [Token("other", "(")]:
        return False
    return name != "unnest" or not _has_comma(listed[place + 1 :])  # of several arrays it is syntax as well


def _has_comma(listed: list[Token]) -> bool:
    """Whether a comma stands in the brackets that tokens begin with, in none of those inside."""
    depth = 0
    for _, part in listed:
        depth += (part in ("(", "[")) - (part in (")", "]"))
        if (depth == 1 and part == ",") or not depth:
            return depth == 1
    return False


def _end_of_comment(text: str, at: int) -> int:
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return mark.end()
    return len(text)
