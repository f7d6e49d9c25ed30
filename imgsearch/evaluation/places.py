"""The exact order of one space: what its model thinks of a question, whatever an index would find of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.evaluation.crop import cropped
from imgsearch.evaluation.judged import Per, Question
from imgsearch.query import ImageId, ProductId, resolve
from imgsearch.spaces.space import Space, named, require


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question's vector in a space (pgvector's text form), and what its answer leaves out: the question itself."""

    vector: str
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Places:
    """The order of one question in one space, as far as it matters.

    ranked: names, best first; None where something stands that nobody judged, behind the first `depth`. best: the first
    `depth` names with their distances.
    """

    ranked: Sequence[str | None]
    best: Sequence[tuple[str, float]]


def ask(
    connection: Connectable, question: Question, space: Space, per: Per, *, tenant: str | None, timeout: float
) -> Asked:
    """Return the question's vector in a space; a query worker of that space embeds what it does not know yet.

    Raises UnknownImage, QueryTimeout, QueryError, PictureError.
    """
    query = question.query
    asked = cropped(query, question.box) if isinstance(query, Path) and question.box is not None else query
    vector = resolve(connection, asked, timeout=timeout, tenant=tenant, space=space.space_id).vector
    if isinstance(query, ImageId):
        product = sql.value(driver(connection), "evaluation", "product_of", {"image_id": query.image_id})
        return Asked(vector=vector, left_out=(product if per == "product" else str(query.image_id),))
    if isinstance(query, ProductId):
        return Asked(vector=vector, left_out=(query.product_id,) if per == "product" else ())
    return Asked(vector=vector)


def places(
    connection: Connectable, asked: Asked, question: Question, space: Space, per: Per, *, depth: int, tenant: str | None
) -> Places:
    """Return where what was judged stands among everything that has a vector in the space, in one exact pass.

    Costs a comparison with every vector of the tenant: about 1 ms per thousand pictures.
    """
    judged = sorted({*question.grades, *question.junk})
    values = {
        "vector": asked.vector,
        "left_out": list(asked.left_out),
        "judged": judged,
        "depth": depth,
        "tenant": tenant,
    }
    rows = sql.rows(driver(connection), "evaluation", f"{per}_places", values, space_id=space.space_id)
    ranked: list[str | None] = [None] * (rows[-1]["place"] if rows else 0)
    for row in rows:
        ranked[row["place"] - 1] = row["name"]
    return Places(ranked=ranked, best=[(row["name"], row["distance"]) for row in rows if row["place"] <= depth])


def chosen(connection: Connectable, said: Sequence[str]) -> list[Space]:
    """Return spaces by name or number; the searched one where none is named. Raises NoSpace, UnknownSpace."""
    lent = driver(connection)
    return [named(lent, name) for name in said] or [require(lent)]


def missing(
    connection: Connection[Any], questions: Sequence[Question], space: Space, per: Per, tenant: str | None
) -> tuple[list[str], list[str]]:
    """Return the judged names that fit something and have no vector in a space, and those that several tenants have."""
    judged = sorted({name for one in questions for name, grade in one.grades.items() if grade > 0})
    values = {"judged": judged, "tenant": tenant}
    rows = sql.rows(connection, "evaluation", f"missing_{per}s", values, space_id=space.space_id)
    return [row["name"] for row in rows if not row["tenants"]], [row["name"] for row in rows if row["tenants"]]
