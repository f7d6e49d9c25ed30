"""Where vectors are comparable: one space per model, its fingerprint, and the check every worker passes at start."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from psycopg import Connection

from imgsearch.db import sql
from imgsearch.errors import NoSpace, SpaceMismatch, UnknownSpace

# Devices and dtypes differ in the last bits (bf16 against fp32: cosine 0.9999); another model differs in the first.
SAME_MODEL = 0.99


class Array(Protocol):
    """A NumPy array of numbers, without importing NumPy."""

    def tolist(self) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a loaded model says of itself. Vectors are lists of `dimension` floats of length one.

    `fingerprint` is a digest of configuration, weights and preprocessing, the same on every machine; `mean` is the
    mean image vector; a probe is empty when the tower that makes it is not loaded. The probability that a text fits a
    picture is 1 / (1 + exp(-(match_scale · cosine + match_bias))), where the model was trained to say so (SigLIP).
    Not `texts`: it sees pictures only.
    """

    model: str
    revision: str
    fingerprint: str
    dimension: int
    preprocessing: str
    mean: Sequence[float] = field(default=(), repr=False)
    probe_picture: Sequence[float] = field(default=(), repr=False)
    probe_text: Sequence[float] = field(default=(), repr=False)
    match_scale: float | None = None
    match_bias: float | None = None
    texts: bool = True


@dataclass(frozen=True, kw_only=True)
class Space:
    """A space as the database knows it; `state` is building, active (searched) or standby, `kind` model or given."""

    space_id: int
    name: str
    kind: str
    state: str
    model: str
    revision: str
    fingerprint: str
    dimension: int
    preprocessing: str
    parameters: Mapping[str, Any] = field(repr=False)
    reads_texts: bool = True
    probe_picture: Sequence[float] = field(default=(), repr=False)
    probe_text: Sequence[float] = field(default=(), repr=False)


def vector_literal(vector: Sequence[float] | Array) -> str:
    """Return pgvector's text form of a vector; NumPy arrays and pgvector's own types are welcome.

    Six digits: the halfvec it becomes has three or four. All at once, because the shortest forms of 768 numbers cost
    0.65 ms, more than many a search; these cost 0.15.
    """
    numbers = numbers_of(vector)
    return "[" + ("%.6g," * len(numbers) % numbers)[:-1] + "]"


def numbers_of(vector: Sequence[float] | Array) -> tuple[Any, ...]:
    """Return what a vector holds; NumPy arrays and pgvector's own types are welcome."""
    numbers: Any = vector
    for name in ("tolist", "to_list"):
        if hasattr(numbers, name):
            numbers = getattr(numbers, name)()
    return tuple(numbers)


def active(connection: Connection[Any]) -> Space | None:
    """Return the searched space, or None when no worker has registered a model yet."""
    return _one(connection, None)


def require(connection: Connection[Any]) -> Space:
    """Return the searched space; raises NoSpace when there is none."""
    space = active(connection)
    if space is None:
        raise NoSpace
    return space


def named(connection: Connection[Any], name: str | int) -> Space:
    """Return a space by its name or number. Raises UnknownSpace."""
    space = _one(connection, str(name))
    if space is None:  # the database raises before
        raise UnknownSpace
    return space


def _one(connection: Connection[Any], name: str | None) -> Space | None:
    row = sql.run(connection, "space", "one", {"space": name}).fetchone()
    if row is None:
        return None
    for probe in ("probe_picture", "probe_text"):
        row[probe] = json.loads(row[probe]) if row[probe] else ()
    return Space(**row)


def filled_by_workers(connection: Connection[Any]) -> list[Space]:
    """Return every space whose pictures workers embed, the searched one first."""
    return [named(connection, row["space_id"]) for row in sql.rows(connection, "space", "all")]


def is_there(connection: Connection[Any], space_id: int) -> bool:
    """Return whether a space has not been dropped."""
    return bool(sql.value(connection, "space", "is_there", {"space_id": space_id}))


def is_indexed(connection: Connection[Any], space_id: int) -> bool:
    """Return whether a space has the indexes it is searched with, or is having them built."""
    return sql.value(connection, "space", "index_health", {"space_id": space_id}) in ("valid", "being built")


def ensure(connection: Connection[Any], description: Description, *, space_id: int | None = None) -> Space:
    """Return the space a worker writes to: the one it was started for, else the searched one, made where there is none.

    Raises SpaceMismatch when that space was made by another model: its vectors could not be compared.
    """
    with connection.transaction():
        sql.run(connection, "space", "lock")
        joined = active(connection) if space_id is None else named(connection, space_id)
        space = joined or _first(connection, description)
        check(space, description)
        values = _values(description) | {"space_id": space.space_id}
        sql.run(connection, "space", "add_probes", values)
        if description.match_scale is not None and description.match_bias is not None:
            sql.run(connection, "space", "add_calibration", values)
    if joined is None:
        # Not before the transaction has ended: others wait for its lock on the pictures.
        while sql.value(connection, "space", "adopt"):
            pass
    return space


def _first(connection: Connection[Any], description: Description) -> Space:
    if not description.mean:
        raise NoSpace(
            "No space exists yet and this worker cannot make one without the image tower; "
            "start an image worker first (imgsearch worker --queue images)."
        )
    name = str(add(connection, description, indexes=bool(sql.value(connection, "space", "is_small"))))
    sql.run(connection, "space", "activate", {"space": name, "force": True})  # what it holds is all there is
    return require(connection)


def add(
    connection: Connection[Any],
    description: Description,
    *,
    name: str | None = None,
    kind: str = "model",
    indexes: bool = False,
) -> int:
    """Make a space for a model, beside searches and writers, and return its number; nothing is searched in it yet.

    indexes: those it is searched with, too, under a lock: for few images. Raises SpaceTaken, SpaceBusy.
    """
    values = _values(description) | {"name": name, "kind": kind, "indexes": indexes}
    with connection.transaction():
        space_id = int(sql.value(connection, "space", "add", values))
        sql.run(connection, "space", "say_what_it_reads", {"space_id": space_id, "texts": description.texts})
        if description.match_scale is not None and description.match_bias is not None:
            sql.run(connection, "space", "add_calibration", values | {"space_id": space_id})
    return space_id


def check(space: Space, description: Description) -> None:
    """Raise SpaceMismatch unless `description` is of the model that made `space`."""
    if space.kind == "given":
        raise SpaceMismatch(
            f"The vectors of space {space.name} are brought along, no worker makes them. Give this model a space of "
            f"its own (imgsearch space add {description.model}) and name it (--space)."
        )
    cure = f"Set IMGSEARCH_MODEL={space.model} for this worker, or give it another space (--space)."
    if description.fingerprint != space.fingerprint:
        raise SpaceMismatch(
            f"This worker's model is {_named(description)}, the space {space.name} was made by {_named(space)}. {cure}"
        )
    for name in ("probe_picture", "probe_text"):
        ours, theirs = getattr(description, name), getattr(space, name)
        if ours and theirs and (similarity := cosine(ours, theirs)) < SAME_MODEL:
            raise SpaceMismatch(
                f"The weights are the same, but this machine computes another {name.replace('_', ' ')} "
                f"(cosine {similarity:.4f} < {SAME_MODEL}): its results cannot be trusted. Check torch and its device."
            )


def _named(model: Description | Space) -> str:
    """Return a model's name, its commit on the hub where it has one, and what its weights are known by."""
    return f"{model.model}{f' at {model.revision[:12]}' if model.revision else ''} ({model.fingerprint[:12]})"


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the cosine of two vectors of the same dimension."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)))


def _values(description: Description) -> dict[str, Any]:
    return {
        "model": description.model,
        "revision": description.revision,
        "fingerprint": description.fingerprint,
        "dimension": description.dimension,
        "preprocessing": description.preprocessing,
        "mean": vector_literal(description.mean) if description.mean else None,
        "probe_picture": vector_literal(description.probe_picture) if description.probe_picture else None,
        "probe_text": vector_literal(description.probe_text) if description.probe_text else None,
        "scale": description.match_scale,
        "bias": description.match_bias,
    }
