"""Give a shop pictures whose vectors are known, on Django's own connection, so also within a TestCase."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from django.db import connections
from PIL import Image

from imgsearch.db.psycopg_connection import driver
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import queue
from imgsearch.ingest.queue import Delivery
from imgsearch.spaces.space import Space, ensure
from tests.django.shop.models import Product, Store


def space(alias: str = "default") -> Space:
    """Return the active space, made if there is none."""
    return ensure(driver(connections[alias]), FakeEncoder().describe())


def photo(*colour: int) -> bytes:
    """Return a JPEG, alike for like colours."""
    out = io.BytesIO()
    picture = Image.new("RGB", (64, 64), (40, 40, 40))
    picture.paste(colour, (0, 0, 64, 40))
    picture.save(out, "JPEG")
    return out.getvalue()


def point(x: float, y: float) -> list[float]:
    """Return a vector in a plane of the space: distances are easy to tell."""
    return [1.0, x, y] + [0.0] * (FakeEncoder.dimension - 3)


def embed_waiting(vector_of: Callable[[int, int], Sequence[float]], alias: str = "default") -> int:
    """Deliver every waiting picture; `vector_of` answers its vector from product id and position."""
    lent: Any = driver(connections[alias])
    found = queue.claim(lent, worker="test", limit=10_000, lease_seconds=60)
    rows = lent.execute("SELECT image_id, product_id, position FROM imgsearch.image").fetchall()
    names = {row[0]: row[1:] for row in rows}
    made = [
        Delivery(
            claim=c, sha256=c.sha256 or b"", embedding=_unit(vector_of(names[c.image_id][0], names[c.image_id][1]))
        )
        for c in found
    ]
    djangos, lent.cursor_factory = lent.cursor_factory, psycopg.Cursor  # Django's writes values into the text
    try:
        number = space(alias).space_id
        done = len(queue.deliver(lent, number, made))
        while queue.merge_tail(lent, number):  # many at once wait outside the graph, until workers move them
            pass
        return done
    finally:
        lent.cursor_factory = djangos


def _unit(vector: Sequence[float]) -> list[float]:
    length = sum(x * x for x in vector) ** 0.5
    return [x / length for x in vector]


def shop(slug: str = "acme") -> Store:
    return Store.objects.get_or_create(slug=slug)[0]


def product(store: Store, **fields: Any) -> Product:
    """Save a product without a photo: its pictures are added by hand."""
    return Product.objects.create(store=store, **fields)
