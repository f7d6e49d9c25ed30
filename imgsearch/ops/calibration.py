"""A shop's judgements (what fits which question) → what turns a distance into the probability that it fits."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import CalibrationError
from imgsearch.query import ImageId, Resolved, resolve
from imgsearch.spaces import space
from imgsearch.spaces.calibration import Bin, Curve, Method, Numbers, calibration_error, fit, reliability

Kind = Literal["text", "picture"]
LEAST, LEAST_OF_EACH = 50, 10  # judgements
MOST = 100_000
FOLDS = 5
_COLUMNS = ("text", "picture", "query_image_id", "image_id", "product_id", "position", "fits")
_SAID = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Whether something fits a question: a text, a picture's file, or an image.

    What is judged is an image by its id, a picture of a product by its position, or a product by its nearest picture.
    """

    query: str | Path | ImageId
    fits: bool
    image_id: int | None = None
    product_id: str | None = None
    position: int | None = None

    @property
    def kind(self) -> Kind:
        """What it is asked with."""
        return "text" if isinstance(self.query, str) else "picture"


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What was fitted. Errors are expected calibration errors on judgements of other questions than those fitted to;
    `before` is that of what was used until now, None where there was nothing. `bins` are of the same judgements.
    """

    kind: Kind
    curve: Curve
    judged: int
    fitting: int
    questions: int
    before: float | None
    error: float
    bins: Sequence[Bin]


def read(path: Path) -> list[Judgement]:
    """Return the judgements of a CSV file: one of the columns text, picture (a file, from the CSV's folder on) and
    query_image_id; image_id, or product_id and perhaps position; fits, which is 0 or 1. Raises CalibrationError.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "fits" not in (reader.fieldnames or ()) or (unknown := set(reader.fieldnames or ()) - {*_COLUMNS}):
                what = (
                    f"an unknown column {min(unknown)!r}" if "fits" in (reader.fieldnames or ()) else "no column fits"
                )
                raise CalibrationError(f"{path} has {what}; there are: {', '.join(_COLUMNS)}.")
            found = list(_read(reader, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CalibrationError(f"{path} cannot be read ({error}); write a CSV file in UTF-8.") from error
    return found


def calibrate(
    connection: Connectable,
    judgements: Iterable[Judgement],
    *,
    tenant: str | None = None,
    kind: Kind | None = None,
    method: Method = "platt",
    keep: bool = True,
    timeout: float = 10,
) -> list[Calibrated]:
    """Fit what turns a distance into a match, for texts and for pictures, and use it from the commit on.

    tenant: whose judgements they are; None: of all that have none of their own. kind: only those of that kind. keep:
    store it, or only measure. `timeout` in seconds bounds the wait for a query worker, for each question.

    Raises CalibrationError, and what `imgsearch.resolve` raises.
    """
    given = [one for one in judgements if kind in (None, one.kind)]
    if len(given) > MOST:
        raise CalibrationError(f"There are {len(given):,} judgements; at most {MOST:,} are read. Leave some out.")
    lent, made = driver(connection), []
    for one in sorted({judgement.kind for judgement in given}) or [kind or "text"]:
        mine = [judgement for judgement in given if judgement.kind == one]
        _require_enough(mine, one)
        cosines, spaces = _cosines(connection, mine, tenant, timeout)
        fits, groups = np.array([j.fits for j in mine]), np.array([_fold(j) for j in mine])
        values = {"kind": one, "tenant": tenant or ""}
        found = _fitted(one, cosines, fits, groups, method, sql.rows(lent, "calibration", "current", values))
        made.append(found)
        if keep:
            curve = {
                "scale": found.curve.scale,
                "bias": found.curve.bias,
                "cosines": list(found.curve.cosines) or None,
                "matches": list(found.curve.matches) or None,
            }
            figures = {"space_id": spaces, "judged": found.judged, "error": found.error}
            sql.run(lent, "calibration", "store", values | curve | figures)
    return made


def forget(connection: Connectable, *, kind: Kind, tenant: str | None = None) -> bool:
    """Use no judgements any more; return whether there were any.

    A model's own figures come back when a worker starts.
    """
    return bool(sql.rows(driver(connection), "calibration", "forget", {"kind": kind, "tenant": tenant or ""}))


def _require_enough(judgements: Sequence[Judgement], kind: Kind) -> None:
    good = sum(one.fits for one in judgements)
    if len(judgements) < LEAST or not LEAST_OF_EACH <= good <= len(judgements) - LEAST_OF_EACH:
        raise CalibrationError(
            f"There are {len(judgements)} judgements by {kind}, {good} of what fits; at least {LEAST} are needed, "
            f"{LEAST_OF_EACH} of what fits and {LEAST_OF_EACH} of what does not. Judge whole pages of answers."
        )


def _fitted(
    kind: Kind,
    cosines: Numbers,
    fits: NDArray[np.bool_],
    groups: NDArray[np.int64],
    method: Method,
    current: Sequence[dict[str, Any]],
) -> Calibrated:
    """Fit to all of it; measure on each fifth what was fitted to the other four."""
    curve = fit(cosines, fits, method)
    said = np.zeros(len(cosines))
    for held_out in range(FOLDS):
        here = groups % FOLDS == held_out
        rest = fits[~here]
        # A fold whose rest is of one kind only is told by the whole: there is nothing to hold out against.
        said[here] = (fit(cosines[~here], rest, method) if rest.any() and not rest.all() else curve)(cosines[here])
    was = Curve(*(current[0][name] for name in ("scale", "bias", "cosines", "matches"))) if current else None
    return Calibrated(
        kind=kind,
        curve=curve,
        judged=len(fits),
        fitting=int(fits.sum()),
        questions=len(np.unique(groups)),
        before=calibration_error(was(cosines), fits) if was else None,
        error=calibration_error(said, fits),
        bins=reliability(said, fits),
    )


def _cosines(
    connection: Connectable, judgements: Sequence[Judgement], tenant: str | None, timeout: float
) -> tuple[Numbers, int]:
    """Return the cosine of each judgement's picture to its question, and the space they are of."""
    cosines = np.zeros(len(judgements))
    searched = space.require(driver(connection)).space_id
    questions: dict[str | Path | ImageId, list[int]] = {}
    for place, one in enumerate(judgements):
        questions.setdefault(one.query, []).append(place)
    for query, places in questions.items():
        resolved: Resolved = resolve(connection, query, timeout=timeout, tenant=tenant)
        mine = [judgements[place] for place in places]
        values = {
            "vector": resolved.vector,
            "image_ids": [one.image_id for one in mine],
            "product_ids": [one.product_id for one in mine],
            "positions": [one.position for one in mine],
            "tenant": tenant,
        }
        for place, one, row in zip(
            places, mine, sql.rows(driver(connection), "calibration", "distances", values), strict=True
        ):
            if row["distance"] is None:
                raise CalibrationError(f"{_called(one)} does not exist or has no vector yet; leave it out.")
            cosines[place] = 1 - row["distance"]
    return cosines, searched


def _called(one: Judgement) -> str:
    if one.image_id is not None:
        return f"Image {one.image_id}"
    return f"Product {one.product_id}" + ("" if one.position is None else f", picture {one.position},")


def _fold(one: Judgement) -> int:
    """Return a number of the question alone: all its judgements are held out together."""
    return int.from_bytes(sha256(str(one.query).encode()).digest()[:6])


def _read(reader: csv.DictReader[str], path: Path) -> Iterator[Judgement]:
    for many, row in enumerate(reader, 1):
        place = f"{path}, line {reader.line_num}"
        if many > MOST:
            raise CalibrationError(f"{path} has more than {MOST:,} judgements; leave some out.")
        given = {name: (row.get(name) or "").strip() for name in _COLUMNS}
        asked = [name for name in ("text", "picture", "query_image_id") if given[name]]
        if None in row or len(asked) != 1:
            raise CalibrationError(f"{place}: give one question, in text, picture or query_image_id.")
        if bool(given["image_id"]) == bool(given["product_id"]):
            raise CalibrationError(f"{place}: give what is judged, in image_id or in product_id.")
        if given["fits"].lower() not in _SAID:
            raise CalibrationError(f"{place}: fits is {given['fits'][:40]!r}; write 1 or 0.")
        try:
            numbers = {
                name: int(given[name]) if given[name] else None for name in _COLUMNS[2:6] if name != "product_id"
            }
        except ValueError as error:
            raise CalibrationError(f"{place}: query_image_id, image_id and position are whole numbers.") from error
        query = {"text": given["text"], "picture": path.parent / given["picture"]}.get(asked[0])
        yield Judgement(
            query=query if query is not None else ImageId(numbers["query_image_id"] or 0),
            fits=_SAID[given["fits"].lower()],
            image_id=numbers["image_id"],
            product_id=given["product_id"] or None,
            position=numbers["position"],
        )
