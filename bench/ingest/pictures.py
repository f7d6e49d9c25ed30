"""JPEGs as shops have them, in the store and in the table: as large and as detailed as photographs, no two the same."""

from __future__ import annotations

import io
from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import psycopg
from PIL import Image

from imgsearch.storage import Store

DRAWN = 24  # different drawings; further pictures differ from these by a comment in the file
QUALITY = 87


def drawn(side: int) -> list[bytes]:
    """Draw some JPEGs of `side` pixels: noise at every scale, as photographs have it, about 1.5 bits per pixel."""
    chance = np.random.default_rng(7)
    made = []
    for _ in range(DRAWN):
        canvas = np.full((side, side, 3), 128.0)
        for octave in range(2, 10):
            cells = min(side, 2**octave)
            noise = chance.normal(0, 90 / octave**1.6, (cells, cells, 3)).astype(np.float32)
            layers = [Image.fromarray(noise[..., c]).resize((side, side), Image.Resampling.BICUBIC) for c in range(3)]
            canvas += np.stack([np.asarray(layer) for layer in layers], axis=-1)
        out = io.BytesIO()
        Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=QUALITY)
        made.append(out.getvalue())
    return made


def files(side: int, count: int, first: int = 0) -> Iterator[bytes]:
    """Return `count` JPEGs, no two with the same bytes, each as long to decode as the drawing it is made from."""
    originals = drawn(side)
    for number in range(first, first + count):
        comment = f"{number:012d}".encode()
        data = originals[number % DRAWN]
        yield data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + data[2:]


def insert(connection: psycopg.Connection[object], rows: list[tuple[str, bytes]], first: int) -> None:
    """Add rows (uri, sha256) as a bulk load does, in one COPY and one transaction; they wait from the commit on."""
    with connection.transaction(), connection.cursor() as cursor:
        into = "COPY imgsearch.image (tenant_id, product_id, category, price, uri, sha256) FROM STDIN"
        with cursor.copy(into) as copy:
            for number, (uri, digest) in enumerate(rows, first):
                copy.write_row(("shop", f"p{number}", f"c{number % 20}", number % 100, uri, digest))


def stored(store: Store, side: int, count: int) -> list[tuple[str, bytes]]:
    """Put `count` JPEGs into the store; return (uri, sha256) of each."""
    return [(store.put(data), sha256(data).digest()) for data in files(side, count)]
