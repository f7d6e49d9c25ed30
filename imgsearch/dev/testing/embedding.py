"""Vectors without a worker and without a model, for the tests of a shop: in the test's own transaction, in one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import psycopg

from imgsearch.db.psycopg_connection import Connectable, driver
from imgsearch.dev.testing.encoder import FakeEncoder
from imgsearch.errors import UnknownImage
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery
from imgsearch.query import cache
from imgsearch.query.memory import forget_answers
from imgsearch.spaces.space import Space, ensure

_STEP = 500


def embed(
    connection: Connectable,
    *,
    texts: Mapping[str, str] | Iterable[str] = (),
    vectors: Mapping[str, Sequence[float]] | None = None,
) -> int:
    """Embed every picture that waits, as a worker would, and return how many; makes the space of FakeEncoder first.

    connection: psycopg's, SQLAlchemy's or Django's; everything happens in its transaction, also within a TestCase.
    texts: what the tests will search for; with a mapping text → product_id the text looks like that product's first
    picture. vectors: product_id → the first numbers of its pictures' vector (the others are 0); pictures of other
    products have the vector of their address, so different ones are unlike each other. Nothing is fetched or decoded.
    """
    lent: Any = driver(connection)
    theirs, lent.cursor_factory = lent.cursor_factory, psycopg.Cursor  # Django's writes values into the text
    try:
        space = ensure(lent, FakeEncoder().describe())
        done = _pictures(lent, space, vectors or {})
        _texts(lent, space, texts if isinstance(texts, Mapping) else dict.fromkeys(texts))
    finally:
        lent.cursor_factory = theirs
    return done


def _pictures(lent: Any, space: Space, vectors: Mapping[str, Sequence[float]]) -> int:
    done = 0
    while claims := queue.claim(lent, worker="test", limit=_STEP, lease_seconds=60, spaces=[space.space_id]):
        keys = [claim.image_id for claim in claims]
        rows = lent.execute("SELECT image_id, product_id FROM imgsearch.image WHERE image_id = ANY (%s)", (keys,))
        product = dict(rows.fetchall())
        made = [
            Delivery(
                claim=claim,
                sha256=claim.sha256 or sha256(claim.uri.encode()).digest(),
                embedding=_vector(vectors.get(product[claim.image_id]), claim.uri),
            )
            for claim in claims
        ]
        done += len(queue.deliver(lent, space.space_id, made))
    return done


def _texts(lent: Any, space: Space, texts: Mapping[str, str | None]) -> None:
    forget_answers()  # another test of this process may have asked the same text
    for text, product in texts.items():
        vector = _vector(None, text) if product is None else _looks(lent, text, product)
        cache.answer(lent, space.space_id, cache.ask(lent, cache.of_text(text)), np.asarray(vector))


def _looks(lent: Any, text: str, product: str) -> Sequence[float]:
    first = "SELECT imgsearch.vec_of(image_id)::text FROM imgsearch.image WHERE product_id = %s ORDER BY position"
    found = lent.execute(first, (product,)).fetchone()
    if found is None:
        raise UnknownImage(f"{text!r} shall look like product {product}, which has no picture here.")
    looks: list[float] = json.loads(found[0])
    return looks


def _vector(first: Sequence[float] | None, name: str) -> Sequence[float]:
    if first is None:
        drawn: list[float] = FakeEncoder().embed_texts([name])[0].tolist()
        return drawn
    length = sum(x * x for x in first) ** 0.5
    return [x / length for x in first] + [0.0] * (FakeEncoder.dimension - len(first))
