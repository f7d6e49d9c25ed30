"""What a shop says of itself (the language of its words, whether questions are kept), and what it suggests."""

from __future__ import annotations

from typing import Literal, TypedDict, cast

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver


class Suggestion(TypedDict):
    """What somebody may be typing; kind: question, words, or title (of product_id)."""

    suggestion: str
    kind: Literal["question", "words", "title"]
    product_id: str | None


def set_shop(
    connection: Connectable, *, tenant: str, language: str | None = None, keep_questions: bool | None = None
) -> None:
    """Set the language of a tenant's titles, and whether what is asked is kept; None leaves it. Raises FilterError."""
    values = {"tenant": tenant, "language": language, "keep_questions": keep_questions}
    sql.run(driver(connection), "shop", "set", values)


def suggest(connection: Connectable, typed: str, *, tenant: str | None = None, k: int = 8) -> list[Suggestion]:
    """Return at most `k` (1 to 20) words, titles and kept questions that go on from `typed`. Raises FilterError."""
    values = {"typed": typed, "tenant": tenant, "k": k}
    return cast("list[Suggestion]", list(sql.rows(driver(connection), "shop", "suggest", values)))
