"""What people judged to fit which question: a CSV file of judgements by hand, of purchases, or of clicks."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from imgsearch.errors import JudgementError
from imgsearch.query import ImageId, ProductId

Per = Literal["product", "image"]
MOST = 1_000_000  # judgements of a file
MOST_QUESTIONS = 20_000
HIGHEST = 100.0  # of a grade
EVENTS = {"purchase": 3.0, "cart": 2.0, "click": 1.0, "view": 0.0}
"""What a visitor did after a question → grade. A purchase says more than a click, and a page that was seen says no."""
_ASKED = ("text", "picture", "query_image_id", "query_product_id")
_JUDGED = ("product_id", "image_id")
_SAID = ("grade", "fits", "event")
_FITS = {"1": 1.0, "true": 1.0, "yes": 1.0, "0": 0.0, "false": 0.0, "no": 0.0}


@dataclass(frozen=True)
class Box:
    """A part of a picture, in pixels from its upper left corner; right and lower are not part of it."""

    left: float
    upper: float
    right: float
    lower: float


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question and what fits it: grades by product id (or image id), above 0 where it fits.

    junk: neither right nor wrong, taken out of the answer. box: only this part of the picture was asked with.
    """

    query: str | Path | ImageId | ProductId
    grades: Mapping[str, float]
    junk: AbstractSet[str] = frozenset()
    box: Box | None = None

    @property
    def called(self) -> str:
        """What to call it in a table or a message."""
        match self.query:
            case str():
                return self.query
            case Path():
                return self.query.name
            case ImageId():
                return f"image {self.query.image_id}"
            case ProductId():
                return f"product {self.query.product_id}"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The questions of a file, and whether products or images were judged."""

    questions: tuple[Question, ...]
    per: Per


@dataclass
class _Open:
    query: str | Path | ImageId | ProductId
    grades: dict[str, float] = field(default_factory=dict)


def read(path: Path) -> Judged:
    """Return the questions of a CSV file with one judgement per line.

    Asked: one of the columns text, picture (a file, from the CSV's folder on), query_image_id, query_product_id.
    Judged: product_id, or image_id, one of the two throughout. How well it fits: `grade` (a number from 0, where 0 does
    not fit), `fits` (0 or 1), or `event` (purchase 3, cart 2, click 1, view 0); said several times the highest counts.

    Raises JudgementError with the line that cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            per, said = _columns(path, tuple(reader.fieldnames or ()))
            questions: dict[str, _Open] = {}
            for query, key, name, grade in _lines(reader, path, per, said):
                kept = questions.setdefault(key, _Open(query)).grades
                kept[name] = max(grade, kept.get(name, 0.0))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise JudgementError(f"{path} cannot be read ({error}); write a CSV file in UTF-8.") from error
    if not questions:
        raise JudgementError(f"{path} holds no judgement; write one per line.")
    if len(questions) > MOST_QUESTIONS:
        raise JudgementError(f"{path} has {len(questions):,} questions; at most {MOST_QUESTIONS:,} are asked.")
    if not any(grade > 0 for one in questions.values() for grade in one.grades.values()):
        raise JudgementError(f"{path}: nothing fits any question, so every answer would be as good; add what fits.")
    return Judged(questions=tuple(Question(query=q.query, grades=q.grades) for q in questions.values()), per=per)


def _columns(path: Path, names: tuple[str, ...]) -> tuple[Per, str]:
    known = (*_ASKED, *_JUDGED, *_SAID)
    if unknown := [name for name in names if name not in known]:
        raise JudgementError(f"{path} has an unknown column {unknown[0]!r}; there are: {', '.join(known)}.")
    judged = [name for name in _JUDGED if name in names]
    said = [name for name in _SAID if name in names]
    if len(judged) != 1 or len(said) != 1 or not any(name in names for name in _ASKED):
        raise JudgementError(
            f"{path} needs a column that asks ({', '.join(_ASKED)}), one that is judged ({' or '.join(_JUDGED)}), and "
            f"one that says how well it fits ({', '.join(_SAID)})."
        )
    return "product" if judged == ["product_id"] else "image", said[0]


def _lines(
    reader: csv.DictReader[str], path: Path, per: Per, said: str
) -> Iterator[tuple[str | Path | ImageId | ProductId, str, str, float]]:
    for many, row in enumerate(reader, 1):
        place = f"{path}, line {reader.line_num}"
        if many > MOST:
            raise JudgementError(f"{path} has more than {MOST:,} judgements; leave some out.")
        given = {name: (row.get(name) or "").strip() for name in (*_ASKED, *_JUDGED, *_SAID)}
        asked = [name for name in _ASKED if given[name]]
        if None in row or len(asked) != 1:
            raise JudgementError(f"{place}: ask one thing, in {', '.join(_ASKED)}.")
        name = given["product_id" if per == "product" else "image_id"]
        if not name or (per == "image" and not name.isdecimal()):
            raise JudgementError(f"{place}: say what is judged, in {per}_id.")
        yield _query(asked[0], given, path, place), f"{asked[0]}:{given[asked[0]]}", name, _grade(said, given, place)


def _query(column: str, given: Mapping[str, str], path: Path, place: str) -> str | Path | ImageId | ProductId:
    match column:
        case "text":
            return given["text"]
        case "picture":
            return path.parent / given["picture"]
        case "query_product_id":
            return ProductId(given["query_product_id"])
    if not given["query_image_id"].isdecimal():
        raise JudgementError(f"{place}: query_image_id is a whole number.")
    return ImageId(int(given["query_image_id"]))


def _grade(said: str, given: Mapping[str, str], place: str) -> float:
    value = given[said].lower()
    if said == "fits" and value in _FITS:
        return _FITS[value]
    if said == "event" and value in EVENTS:
        return EVENTS[value]
    if said == "grade":
        try:
            grade = float(value)
        except ValueError:
            grade = math.nan
        if 0 <= grade <= HIGHEST:
            return grade
    wanted = {"fits": "1 or 0", "event": ", ".join(EVENTS), "grade": f"a number from 0 to {HIGHEST:g}"}[said]
    raise JudgementError(f"{place}: {said} is {given[said][:40]!r}; write {wanted}.")
