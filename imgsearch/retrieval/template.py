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
group as text, and the caller's rows are those whose group, as text, is that label. Where parts of pictures weigh, the
statement is another, with one more slot, `regions`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from imgsearch.db import sql
from imgsearch.errors import FilterError

LARGEST_PAGE = 1000
LARGEST_OFFSET = 1_000_000_000
DEEPEST_BY_BITS = 2000  # a page that ends farther down is found by comparing every candidate
_LEADING = {"tenant_id", "category", "price"}  # what an index with the bits begins with
_COVERED = {*_LEADING, "image_id", "in_stock"}  # and what it holds

Name = Literal["query", "candidates", "sampled", "last", "space", "max_distance", "regions"]
_SLOT = re.compile(r"\{(\w+)\}|%\((\w+)\)s")


@dataclass(frozen=True)
class Slot:
    """Where a door puts its own SQL (query, candidates, sampled) or a bound value (those of `Name` behind them)."""

    name: str


def pieces(
    *, last: int | None, repeats: bool, names: AbstractSet[str], groups: int = 0, regions: bool = False
) -> Iterator[str | Slot]:
    """Yield the statement's text and its slots in order.

    last: None ranks all. repeats: the candidates may hold a picture more than once. names: of the columns that the
    conditions speak of. groups: how many columns tell a group; 0 for a row per picture. regions: parts of pictures
    weigh, as much as the value `regions` says.
    """
    exact = "" if last is not None and last <= DEEPEST_BY_BITS else "_exact"
    columns = ", ".join(f"c.group{n}" for n in range(groups))
    text = _of_parts(exact, columns, repeats) if regions else _of_wholes(exact, columns)
    text = _put(
        text,
        distinct="DISTINCT" if repeats else "",
        access=f"'{_access(repeats=repeats, names=names)}'",
        columns=columns,
        group=_label(columns, groups),
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


def checked_weight(given: Any) -> float:
    """Return how much regions weigh: 0 where nothing is said. Raises FilterError for what is not from 0 to 1."""
    try:
        weight = 0.0 if given is None else float(given)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight <= 1:
        raise FilterError(
            f"regions is {given!r}; it must be from 0 (whole pictures) to 1 (the best of the whole and its parts)."
        )
    return weight


def _of_wholes(exact: str, columns: str) -> str:
    """Return the statement where whole pictures are ranked."""
    named = sql.statements("nearest")
    statement = _bare(_put(named["nearest_groups" + exact if columns else "nearest" + exact], asked=named["asked"]))
    return _put(statement, context="groups_context" if columns else "nearest_context", plan="nearest_plan")


def _of_parts(exact: str, columns: str, repeats: bool) -> str:
    """Return the statement where parts of pictures weigh."""
    named = {name: _bare(text) for name, text in sql.statements("nearest_regions").items()}
    told = f"c.tenant_id, c.image_id, {columns}" if columns else "c.tenant_id, c.image_id"
    wanted = f"DISTINCT {told}" if repeats and not columns else told
    each = named["each_group" if columns else "each_picture"]
    each = _put(each, compared=_put(named["compared"], told=told))
    not_found = "true" if exact else "NOT EXISTS (SELECT 1 FROM imgsearch_walk w WHERE w.trusted)"
    met = _put(each, these=_put(named["met"], columns=wanted), needed="true")
    every = _put(each, these=_put(named["every"], columns=wanted), needed=not_found)
    statement = _put(named["nearest" + exact], asked=_bare(sql.statements("nearest")["asked"]), met=met, every=every)
    return _put(statement, context="nearest_regions_context", plan="nearest_regions_plan")


def _bare(text: str) -> str:
    """Return a statement without its comments, which speak of slots as well."""
    return re.sub(r"^ *--.*\n", "", text, flags=re.MULTILINE)


def _put(text: str, **parts: str) -> str:
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def _label(columns: str, groups: int) -> str:
    """Return the group of a candidate as text."""
    return f'({columns})::text COLLATE "C"' if groups == 1 else f'ROW({columns})::text COLLATE "C"'


def _access(*, repeats: bool, names: AbstractSet[str]) -> Literal["join", "row", "leading", "index"]:
    """Return how the bits of the candidates are read, which `imgsearch_internal.bits_cost_ms()` puts a price on."""
    if repeats:
        return "join"
    if not names <= _COVERED:
        return "row"
    return "leading" if names & _LEADING or not names else "index"
