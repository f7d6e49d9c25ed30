"""Two spaces judged side by side and blind: what to ask next, the votes, and whether one won by more than chance."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import comb
from pathlib import Path
from typing import Any, Literal

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import JudgementError
from imgsearch.evaluation.comparison import draw
from imgsearch.evaluation.judged import Question
from imgsearch.query import ImageId
from imgsearch.spaces.space import Space

Better = Literal["first", "second", "same"]
MOST = 200  # questions of one kind that a pair of spaces is judged by


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often each of two spaces was better. p: of so uneven a result if neither were, by the two-sided sign test."""

    first: int
    second: int
    same: int
    questions: int

    @property
    def p(self) -> float:
        """Return the p of the sign test (Dixon and Mood 1946): of n votes that are not "same", each is a fair coin."""
        n, least = self.first + self.second, min(self.first, self.second)
        return min(1.0, 2.0 * sum(comb(n, k) for k in range(least + 1)) / float(2**n))


def pair(spaces: Sequence[Space]) -> tuple[Space, Space]:
    """Return two spaces in the order that votes are kept in. Raises JudgementError where they are not two."""
    if len({one.space_id for one in spaces}) != 2:
        raise JudgementError("Two different spaces are compared; name both, as in `imgsearch judge 1 2`.")
    first, second = sorted(spaces, key=lambda one: one.space_id)
    return first, second


def questions(connection: Connection[Any], first: Space, second: Space, tenant: str | None) -> list[Question]:
    """Return what is asked, by turns: texts that visitors asked, where the shop keeps them, and pictures of both."""
    texts = sql.rows(connection, "vote", "texts", {"tenant": tenant, "many": MOST})
    asked = [Question(query=row["words"], grades={}) for row in texts]
    drawn = draw(connection, first, second, many=MOST, tenant=tenant)
    both = [one for pair_ in zip(asked, drawn, strict=False) for one in pair_]
    return both + asked[len(drawn) :] + drawn[len(asked) :]


def following(
    connection: Connectable, first: Space, second: Space, *, tenant: str | None, voter: str = ""
) -> Question | None:
    """Return the next question this voter has not seen; None when there is none left."""
    lent = driver(connection)
    rows = sql.rows(lent, "vote", "voted", _values(first, second, tenant) | {"voter": voter})
    seen = {row["question"] for row in rows}
    return next((one for one in questions(lent, first, second, tenant) if key_of(one) not in seen), None)


def is_turned(question: Question, first: Space, second: Space) -> bool:
    """Return whether the second space stands on the left: half of the questions, and the same one each time."""
    said = f"{key_of(question)}:{first.space_id}:{second.space_id}".encode()
    return bool(sha256(said).digest()[0] & 1)


def keep(
    connection: Connectable,
    first: Space,
    second: Space,
    question: Question,
    better: Better,
    *,
    shown: Sequence[str] = (),
    fits: Sequence[str] = (),
    tenant: str | None = None,
    voter: str = "",
) -> None:
    """Keep a vote, and which of the products that were shown fit. Raises JudgementError."""
    if better not in ("first", "second", "same"):
        raise JudgementError(f"{better!r} is no vote; it is first, second or same.")
    if not set(fits) <= set(shown):
        raise JudgementError("Something is said to fit that was not shown; open the question again.")
    given = {"question": key_of(question), "better": better, "voter": voter}
    lists = {"shown": sorted(set(shown)), "fits": sorted(set(fits))}
    sql.run(driver(connection), "vote", "keep", _values(first, second, tenant) | given | lists)


def tally(connection: Connectable, first: Space, second: Space, tenant: str | None = None) -> Tally:
    """Return how the votes on two spaces stand."""
    return Tally(**sql.rows(driver(connection), "vote", "tally", _values(first, second, tenant))[0])


def export(connection: Connectable, first: Space, second: Space, path: Path, tenant: str | None = None) -> int:
    """Write what people said fits as a file that `imgsearch evaluate` reads; return how many judgements it holds."""
    rows = sql.rows(driver(connection), "vote", "judgements", _values(first, second, tenant))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "query_image_id", "product_id", "fits"))
        for row in rows:
            kind, said = row["question"].split(":", 1)
            writer.writerow(
                (said if kind == "text" else "", said if kind == "image" else "", row["product_id"], int(row["fits"]))
            )
    return len(rows)


def key_of(question: Question) -> str:
    """Return what a vote calls its question: text:red shoe, image:42."""
    match question.query:
        case str():
            return f"text:{question.query}"
        case ImageId():
            return f"image:{question.query.image_id}"
    raise JudgementError("Texts and images are judged, nothing else.")


def question_of(key: str) -> Question:
    """Return the question that a vote calls so. Raises JudgementError."""
    kind, _, said = key.partition(":")
    if kind == "text" and said.strip():
        return Question(query=said, grades={})
    if kind == "image" and said.isdecimal() and len(said) < 19:
        return Question(query=ImageId(int(said)), grades={})
    raise JudgementError("This is no question of the list; open the page anew.")


def _values(first: Space, second: Space, tenant: str | None) -> dict[str, Any]:
    return {"first": first.space_id, "second": second.space_id, "tenant": tenant}
