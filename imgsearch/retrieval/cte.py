"""The nearest pictures among a SELECT's, as a CTE that SQLAlchemy compiles around the shared statement."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CTE, BigInteger, Boolean, ColumnElement, Float, Integer, Select, Text, column, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import TextualSelect
from sqlalchemy.sql.visitors import InternalTraversal

from imgsearch.retrieval.template import DEEPEST_BY_BITS, Slot, pieces

_COLUMNS: list[ColumnElement[Any]] = [
    column("tenant_id", Text),
    column("image_id", BigInteger),
    column("distance", Float(53)),
    column("strategy", Text),
    column("complete", Boolean),
    column("label", Text),
]
_LABEL: ColumnElement[Any] = column("label", Text)


class BitsOf(ColumnElement[str]):
    """`imgsearch_internal.bits_of(<row of imgsearch.image>)`, the row named by `table.*`.

    The bare name of a table is its row only where no table of the SELECT has a column of that name; many a shop has a
    column `image`.
    """

    __visit_name__ = "imgsearch_bits_of"
    inherit_cache = True
    type = Text()
    _traverse_internals = [("column", InternalTraversal.dp_clauseelement)]  # noqa: RUF012  # SQLAlchemy's own protocol

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column


@compiles(BitsOf)
def _compile_bits(element: BitsOf, compiler: Any, **options: Any) -> str:
    table, _, _ = compiler.process(element.column).rpartition(".")
    return f"imgsearch_internal.bits_of({table}.*)"


class _Nearest(TextClause):
    """The shared statement with the caller's candidates in it."""

    __visit_name__ = "imgsearch_nearest"
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012  # SQLAlchemy's own protocol: what makes two statements the same
        ("query", InternalTraversal.dp_clauseelement),
        ("candidates", InternalTraversal.dp_clauseelement),
        ("sampled", InternalTraversal.dp_clauseelement),
        ("last", InternalTraversal.dp_clauseelement),
        ("max_distance", InternalTraversal.dp_clauseelement),
        ("space", InternalTraversal.dp_clauseelement),
        ("repeats", InternalTraversal.dp_boolean),
        ("names", InternalTraversal.dp_plain_obj),
        ("groups", InternalTraversal.dp_plain_obj),
        ("deep", InternalTraversal.dp_boolean),
    ]

    def __init__(
        self,
        values: dict[str, ColumnElement[Any] | Select[Any] | None],
        *,
        repeats: bool,
        names: frozenset[str],
        groups: int,
        deep: bool,
    ) -> None:
        super().__init__("")
        self.query = values["query"]
        self.candidates = values["candidates"]
        self.sampled = values["sampled"]
        self.last = values["last"]
        self.max_distance = values["max_distance"]
        self.space = values["space"]
        self.repeats = repeats
        self.names = names
        self.groups = groups
        self.deep = deep


@compiles(_Nearest)
def _compile(element: _Nearest, compiler: Any, **options: Any) -> str:
    last = DEEPEST_BY_BITS + 1 if element.deep else 1
    compiled = ""
    for piece in pieces(
        last=last,
        repeats=element.repeats,
        names=element.names,
        groups=element.groups,
    ):
        compiled += compiler.process(getattr(element, piece.name)) if isinstance(piece, Slot) else piece
    return compiled


def found(
    candidates: Select[Any],
    sampled: Select[Any],
    query: ColumnElement[Any],
    *,
    repeats: bool,
    names: frozenset[str],
    groups: int,
    last: int,
    max_distance: float | None,
    space_id: int | None,
) -> CTE:
    """Return the `last` nearest of `candidates` (tenant_id, image_id, bits, group0, …) to `query`.

    One row per picture, or, where so many columns tell groups, one per group with its `label`.

    sampled: those of the candidates (image_id, bits) that are in the sample, for a guess how many there are.
    """
    values: dict[str, Any] = {
        "query": query,
        "candidates": candidates,
        "sampled": sampled,
        "last": literal(last, Integer),
        "max_distance": literal(max_distance, Float(53)),
        "space": literal(space_id, Integer),
    }
    text = _Nearest(values, repeats=repeats, names=names, groups=groups, deep=last > DEEPEST_BY_BITS)
    return TextualSelect(text, [*_COLUMNS]).cte("imgsearch_found")
