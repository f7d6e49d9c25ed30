"""The pictures of a second look: read from the store, decoded in the confined child, what was made of them kept beside.

Nothing is fetched from the web: where a picture stands elsewhere, its thumbnail is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from imgsearch import picture
from imgsearch.errors import FetchRefused, ImgsearchError, ObjectMissing, PictureError
from imgsearch.picture.geometry import Geometry
from imgsearch.picture.region import Region
from imgsearch.storage import Store
from imgsearch.storage.keys import KEPT
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.looking import frames
from imgsearch_workers.looking.step import QUESTION, Pixels

log = logging.getLogger("imgsearch.worker")
SIDE = 512  # pixels of the longer side that steps see
LARGEST_KEPT = 160_000  # bytes of what may be kept beside a picture


class Decoder:
    """Decodes to at most SIDE pixels in a confined process, which is started when it is first needed."""

    def __init__(self) -> None:
        self._pool: DecodePool | None = None
        self._geometry = Geometry.fit(SIDE)

    def decode(self, data: bytes, region: Region | None = None) -> Pixels:
        """Return the pixels of a picture, or of a part of it, without the bars around. Raises PictureError."""
        if self._pool is None:
            self._pool = DecodePool(1, self._geometry)
        decoded = self._pool.decode(data, region=region)
        wide, tall = self._geometry.resized((decoded.width, decoded.height))
        left, top = -((wide - SIDE) // 2), -((tall - SIDE) // 2)  # as it was put there
        return np.ascontiguousarray(decoded.pixels[top : top + tall, left : left + wide])

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


class Album:
    """The pictures of one look: `rows` by their place (uri and sha256), and the question's own."""

    def __init__(
        self,
        store: Store,
        decoder: Decoder,
        rows: Mapping[int, Mapping[str, Any]],
        own: tuple[bytes | None, Region | None],
    ) -> None:
        self._store, self._decoder, self._rows, self._own = store, decoder, rows, own

    def serve(self, said: Mapping[str, Any], blob: bytes) -> bytes:
        """Return the answer to one frame of a step: of what it wants, what there is."""
        index, kind = said.get("index"), said.get("kind", "")
        known = index == QUESTION or index in self._rows
        if not known or (kind and kind not in KEPT):
            return frames.packed({})
        assert isinstance(index, int)
        if said["want"] == "pixels":
            pixels = self._pixels(index)
            if pixels is None:
                return frames.packed({})
            return frames.packed({"shape": list(pixels.shape)}, pixels.tobytes())
        if said["want"] == "kept":
            found = self._kept(index, str(kind))
            return frames.packed({"found": found is not None}, found or b"")
        if said["want"] == "keep":
            self._keep(index, str(kind), blob)
        return frames.packed({})

    def _pixels(self, index: int) -> Pixels | None:
        try:
            data, region = self._own if index == QUESTION else (self._read(self._rows[index]), None)
            return self._decoder.decode(data, region) if data else None
        except (PictureError, ObjectMissing, FetchRefused):
            return None
        except ImgsearchError as error:  # the store is away, say
            log.warning("a second look goes without a picture: %s", error)
            return None

    def _read(self, row: Mapping[str, Any]) -> bytes | None:
        if str(row["uri"]).startswith("store:"):
            return self._store.get(row["uri"], picture.DEFAULT_LIMITS.max_bytes)
        return self._store.get_thumbnail(bytes(row["sha256"])) if row["sha256"] else None

    def _kept(self, index: int, kind: str) -> bytes | None:
        digest = self._rows[index]["sha256"] if index != QUESTION else None
        if not digest:
            return None
        try:
            return self._store.get_kept(bytes(digest), kind, LARGEST_KEPT)
        except ImgsearchError:
            return None

    def _keep(self, index: int, kind: str, data: bytes) -> None:
        digest = self._rows[index]["sha256"] if index != QUESTION else None
        if not digest or len(data) > LARGEST_KEPT:
            return
        try:
            self._store.put_kept(bytes(digest), kind, data)
        except ImgsearchError as error:  # made again the next time
            log.warning("what a second look made is not kept: %s", error)
