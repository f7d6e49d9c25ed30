"""Several examples → one vector: things to be near to, and things that are "not this".

What is rejected turns the question a little and never round. With q the normalised weighted sum of what is near, and
n that of what is rejected:

    q' = q - strength · min(q·n / 2, 1/4) · n        where q·n > 0, else q

Taking (q·n) n away would be Widdows' orthogonal negation (2003), n is Rocchio's mean of what does not fit (1971); half
of it, and at most a quarter of the question's length, was measured: docs/decisions/0011-not-this.md. The cosine of q'
to q is at least 0.97, whatever is rejected. The formula stands in SQL, imgsearch.combine(), for every door alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from imgsearch import values
from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import NoSpace, QueryError, SpaceChanged, VectorError
from imgsearch.query.question import Resolved

HEAVIEST = 1_000_000  # what single precision holds beside its inverse; the same in imgsearch.combine()
MOST = 64  # examples of one question; imgsearch.combine() refuses more


def combine(connection: Connectable, examples: Sequence[tuple[Resolved, float]]) -> Resolved:
    """Return the vector of resolved examples; a weight below zero means "not this", -1 or less in full strength.

    One example with a positive weight is answered as it is. Raises QueryError without one to be near to, VectorError
    when those cancel out, SpaceChanged when the active space changed between them.
    """
    checked_weights([weight for _, weight in examples])
    if not any(weight > 0 for _, weight in examples):
        raise QueryError("A search needs something to look for; add words, a picture or an image in more_like.")
    if len(examples) == 1:
        return examples[0][0]
    if len({resolved.space_id for resolved, _ in examples}) > 1:
        raise SpaceChanged("The model was changed while this was asked; ask again.")
    began = time.perf_counter()
    vectors, weights = [resolved.vector for resolved, _ in examples], [float(weight) for _, weight in examples]
    bound = {"vectors": vectors, "weights": weights, "space": examples[0][0].space_id}
    row = sql.run(driver(connection), "query", "combine", bound).fetchone()
    if row is None:
        raise NoSpace
    if row["vector"] is None:
        raise VectorError("These examples cancel each other out; leave one of them out.")
    took_ms = (time.perf_counter() - began) * 1000
    return Resolved(
        vector=row["vector"],
        space_id=row["space_id"],
        source="given",
        took_ms=took_ms + sum(resolved.took_ms for resolved, _ in examples),
        kind="vector",
        rejected=_rejected(examples),
        products=tuple(dict.fromkeys(product for one, _ in examples for product in one.products)),
        words=" ".join(one.words for one, weight in examples if one.words and weight > 0) or None,
        key=_key(examples),
        truncated=next((one.truncated for one, _ in examples if one.truncated), None),
    )


def checked_weights(weights: Sequence[Any]) -> None:
    """Raise QueryError where there are too many examples, or a weight is no number, too small or too large."""
    try:
        numbers = [values.number(weight, "weight", -HEAVIEST, HEAVIEST, QueryError) for weight in weights]
    except QueryError:
        numbers = [0]
    if len(weights) > MOST or not all(abs(number) >= 1 / HEAVIEST for number in numbers):
        raise QueryError(
            f"A search takes at most {MOST} examples, with weights from {1 / HEAVIEST:g} to {HEAVIEST:g} or their "
            "negatives; leave some out."
        )


def _key(examples: Sequence[tuple[Resolved, float]]) -> str:
    """Return what tells these examples from others."""
    parts = (f"{one.kind}:{one.key or one.image_id or one.vector}:{float(weight)!r}" for one, weight in examples)
    return sha256("\0".join(parts).encode()).hexdigest()


def _rejected(examples: Sequence[tuple[Resolved, float]]) -> tuple[int, ...]:
    """Return the images that must not come back."""
    here = (one.image_id for one, weight in examples if weight < 0 and one.image_id is not None)
    before = (image for one, _ in examples for image in one.rejected)
    return tuple(dict.fromkeys((*before, *here)))
