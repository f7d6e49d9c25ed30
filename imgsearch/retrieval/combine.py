"""Several examples → one vector: words and pictures to be near to, pictures to be far from."""

from __future__ import annotations

import time
from collections.abc import Sequence

from imgsearch.db import sql
from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.errors import NoSpace, QueryError, SpaceMismatch, VectorError
from imgsearch.query import Resolved


def combine(connection: Connectable, examples: Sequence[tuple[Resolved, float]]) -> Resolved:
    """Return the normalised weighted sum of resolved queries; a negative weight leads away.

    One example with a positive weight is answered as it is. Raises QueryError without one to be near to, VectorError
    when the examples cancel out, SpaceMismatch when the active space changed between them.
    """
    if not any(weight > 0 for _, weight in examples):
        raise QueryError("A search needs something to look for; add words, a picture or an image in more_like.")
    if len(examples) == 1:
        return examples[0][0]
    if len({resolved.space_id for resolved, _ in examples}) > 1:
        raise SpaceMismatch("The model was changed while this was asked; ask again.")
    began = time.perf_counter()
    values = {"vectors": [resolved.vector for resolved, _ in examples], "weights": [weight for _, weight in examples]}
    row = sql.run(driver(connection), "query", "combine", values).fetchone()
    if row is None:
        raise NoSpace
    if row["zero"]:
        raise VectorError("These examples cancel each other out; leave one of them out.")
    took_ms = (time.perf_counter() - began) * 1000
    return Resolved(
        vector=row["vector"],
        space_id=row["space_id"],
        source="given",
        took_ms=took_ms + sum(resolved.took_ms for resolved, _ in examples),
        kind="vector",
    )
