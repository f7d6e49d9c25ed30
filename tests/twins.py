"""Pictures that are, and are not, duplicates of each other, stored as workers store them."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import psycopg
from PIL import Image

from imgsearch.dev.demo import catalogue
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import queue, upload
from imgsearch.ingest.queue import Delivery
from imgsearch.picture import decode, hashes
from imgsearch.picture.pixels import square
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space

Connection = psycopg.Connection[Any]


@cache
def drawn(number: int) -> bytes:
    """A product of the demo shop; none of the first hundred looks like another."""
    one = [item for item in catalogue.items(400) if item.position == 0][number]
    return catalogue.draw(one)


def picture(number: int) -> Image.Image:
    return Image.open(io.BytesIO(drawn(number))).convert("RGB")


def saved(one: Image.Image, format_: str = "PNG", **how: Any) -> bytes:
    out = io.BytesIO()
    one.save(out, format_, **how)
    return out.getvalue()


def again(number: int, quality: int = 30) -> bytes:
    """The same picture as another file."""
    return saved(picture(number), "JPEG", quality=quality)


def flat(grey: int = 200) -> bytes:
    return saved(Image.new("RGB", (120, 120), (grey, grey, grey)))


def fingerprint(data: bytes) -> hashes.Pdq:
    return hashes.of_plane(square(data, 224).plane)


def add(connection: Connection, settings: Settings, data: bytes, product: str, **fields: Any) -> int:
    named = {"tenant": "acme", **fields}
    return upload.add(connection, data, product_id=product, settings=settings, **named).image_id


def delivered(connection: Connection, settings: Settings, space: Space) -> None:
    """Do what a worker does, here: decode, embed, hash, deliver."""
    encoder, store = FakeEncoder(), upload.default_store(settings)
    for claim in queue.claim(connection, worker="w", limit=500, lease_seconds=60):
        data = store.get(claim.uri, 1 << 26)
        [vector] = encoder.embed_pictures(decode(data, encoder.size)[None])
        pdq = fingerprint(data)
        made = Delivery(claim=claim, sha256=claim.sha256 or b"", embedding=vector, pdq=pdq.text, quality=pdq.quality)
        assert queue.deliver(connection, space.space_id, [made]), claim
