"""The statement behind every `nearest()`, in pieces, for doors that compile the caller's own SELECT into it.

A door compiles four things of its own: the query's vector (an SQL expression of type halfvec), the caller's SELECT
reduced to the columns `tenant_id, image_id, bits` (`imgsearch_internal.bits_of(<row of imgsearch.image>)`), the same
of the sampled images (`image_id, bits` of imgsearch.image_sample, whose columns are those of imgsearch.image), and
values. It puts them between the pieces that `pieces()` yields and makes the whole a materialized CTE or a sub-select:

    WITH found AS MATERIALIZED (<pieces>)
    SELECT <the caller's columns>, found.distance FROM <the caller's FROM>, found
    WHERE <the caller's WHERE> AND found.tenant_id = image.tenant_id AND found.image_id = image.image_id
    ORDER BY found.distance, found.image_id LIMIT <limit> OFFSET <offset>

`last` is limit + offset; found has the columns tenant_id, image_id, distance, strategy, complete, one row per picture.
A row per group instead: the candidates have the columns group0, group1, … as well, found has `label`, which is the
group as text, and the caller's rows are those whose group, as text, is that label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from imgsearch.db import sql
from imgsearch.errors import FilterError

LARGEST_PAGE = 1000
LARGEST_OFFSET = 1_000_000_000
DEEPEST_BY_BITS = 2000  # a page that ends farther down is found by comparing every candidate
_LEADING = {"tenant_id", "category", "price"}  # what an index with the bits begins with
_COVERED = {*_LEADING, "image_id", "in_stock"}  # and what it holds

Name = Literal["query", "candidates", "sampled", "last", "space", "max_distance"]
_SLOT = re.compile(r"\{(\w+)\}|%\((\w+)\)s")


@dataclass(frozen=True)
class Slot:
    """Where a door puts its own SQL (query, candidates, sampled) or a bound value (those of `Name` behind them)."""

    name: str


def pieces(*, last: int | None, repeats: bool, names: AbstractSet[str], groups: int = 0) -> Iterator[str | Slot]:
    """Yield the statement's text and its slots in order.

    last: None ranks all. repeats: the candidates may hold a picture more than once. names: of the columns that the
    conditions speak of. groups: how many columns tell a group; 0 for a row per picture.
    """
    exact = "" if last is not None and last <= DEEPEST_BY_BITS else "_exact"
    columns = ", ".join(f"c.group{n}" for n in range(groups))
    text = _put(
        _bare(sql.statements("nearest")["nearest" + exact]),
        distinct="DISTINCT" if repeats else "",
        first="DISTINCT ON (label)" if groups else "DISTINCT" if repeats else "",
        order="ORDER BY label, d, image_id" if groups else "",
        access=f"'{_access(repeats=repeats, names=names)}'",
        columns=f", {columns}" if groups else "",
        group=_label(columns, groups),
        per="'label'" if groups else "NULL",
    )
    end = 0
    for found in _SLOT.finditer(text):
        yield text[end : found.start()]
        yield Slot(found[1] or found[2])
        end = found.end()
    yield text[end:]


def checked_distance(given: float | None) -> float | None:
    """Return a `max_distance`. Raises FilterError for NaN: to Postgres it is the largest number, and cuts nothing."""
    if given is not None and math.isnan(given):
        raise FilterError("max_distance is no number; it is a distance from 0 (the same) to 2.")
    return given


def _bare(text: str) -> str:
    """Return a statement without its comments, which speak of slots as well."""
    return re.sub(r"^ *--.*\n", "", text, flags=re.MULTILINE)


def _put(text: str, **parts: str) -> str:
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def _label(columns: str, groups: int) -> str:
    """Return the group of a candidate as text, of type text where there is none."""
    if not groups:
        return "NULL::text"
    return f'({columns})::text COLLATE "C"' if groups == 1 else f'ROW({columns})::text COLLATE "C"'


def _access(*, repeats: bool, names: AbstractSet[str]) -> Literal["join", "row", "leading", "index"]:
    """Return how the bits of the candidates are read, which `imgsearch_internal.bits_ms()` puts a price on."""
    if repeats:
        return "join"
    if not names <= _COVERED:
        return "row"
    return "leading" if names & _LEADING or not names else "index"
