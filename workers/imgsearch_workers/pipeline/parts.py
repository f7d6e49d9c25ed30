"""The parts of one picture: read it, ask the shop's proposer where they are, cut each out and embed it.

Cut out as a question's region is, with room around it: by the same decoder, for the same model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from imgsearch.errors import FetchRefused, ImgsearchError, ObjectMissing, PictureError, RegionError, StoreError
from imgsearch.ingest.regions import RETRY_SECONDS, Looked, Part
from imgsearch.picture import DEFAULT_LIMITS, digest
from imgsearch.picture.region import Region
from imgsearch.settings import Settings
from imgsearch.storage import FetchPolicy, Store, read
from imgsearch_workers.looking.pictures import Decoder
from imgsearch_workers.model.encoder import Pixels
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.proposers.proposed import Proposed
from imgsearch_workers.proposers.proposer import Proposer, ProposerError, Proposers

AT_ONCE, AT_ONCE_CPU = 9, 1  # crops of a pass: who uploads or asks waits for one pass at most
AWAY_SECONDS = 30.0  # until a picture is tried again that a store or a detector kept from us
ONE_COLOUR = 3  # of 255: a crop whose numbers lie no further apart shows nothing


class CannotLook(Exception):
    """Why a picture has no parts; `blames`: the picture is to blame, or may be."""

    def __init__(self, code: str, message: str, *, blames: bool = True, delay: float = RETRY_SECONDS) -> None:
        super().__init__(message)
        self.code, self.blames, self.delay = code, blames, delay


class Source(Protocol):
    """Where proposers come from."""

    def get(self, wanted: str) -> Proposer:
        """Return a proposer by the word that a shop has set. Raises ProposerError."""

    def close(self) -> None:
        """End what it holds."""


class Looker:
    """Looks at one picture at a time. Use it from one long-lived thread."""

    def __init__(self, settings: Settings, store: Store, policy: FetchPolicy, proposers: Source | None = None) -> None:
        self._store, self._policy = store, policy
        self._proposers, self._decoder = proposers or Proposers(settings), Decoder()
        self._batches: dict[int, Batch] = {}

    def look(self, looked: Looked, embedder: Embedder) -> tuple[list[Part], list[str] | None]:
        """Return the parts of a picture, and what a detector calls them. Raises CannotLook, DeviceLost."""
        data = self._read(looked)
        try:
            proposed = self._proposed(looked, data)
            cut = self._cut(embedder, data, proposed)
        except PictureError as error:
            raise CannotLook(error.code, str(error)) from error
        except ProposerError as error:
            raise CannotLook(
                error.code, str(error), blames=error.blames, delay=RETRY_SECONDS if error.blames else AWAY_SECONDS
            ) from error
        except ImgsearchError as error:  # no decoder can be started: no picture is to blame
            raise CannotLook("no_decoder", str(error), blames=False, delay=AWAY_SECONDS) from error
        vectors = self._embedded(embedder, [pixels for _, _, pixels in cut])
        parts = [
            Part(region=region, embedding=vector, label=one.label, score=one.score)
            for (one, region, _), vector in zip(cut, vectors, strict=True)
        ]
        named = looked.word not in {"grid", "salient"}
        return parts, [part.label for part in parts if part.label] if named else None

    def close(self) -> None:
        """End the processes that decode and propose."""
        self._proposers.close()
        self._decoder.close()

    def _read(self, looked: Looked) -> bytes:
        try:
            data = read(looked.uri, self._store, self._policy, DEFAULT_LIMITS.max_bytes).data
        except ObjectMissing as error:
            raise CannotLook("missing", str(error)) from error
        except FetchRefused as error:
            raise CannotLook("fetch_refused", str(error)) from error
        except StoreError as error:
            raise CannotLook("store_unavailable", str(error), blames=False, delay=AWAY_SECONDS) from error
        if digest(data) != looked.sha256:
            raise CannotLook("changed", "Its address answers other bytes than those that were embedded.")
        return data

    def _proposed(self, looked: Looked, data: bytes) -> list[Proposed]:
        proposer = self._proposers.get(looked.word)
        pixels = self._decoder.decode(data) if proposer.side else np.zeros((1, 1, 3), np.uint8)
        return proposer.propose(pixels, looked.most)[: looked.most]

    def _cut(
        self, embedder: Embedder, data: bytes, proposed: Sequence[Proposed]
    ) -> list[tuple[Proposed, Region, Pixels]]:
        """Return what a model sees of each part; one that is too small for it, or of one colour, is left out."""
        cut = []
        for one in proposed:
            try:
                region = Region.of(one.box)
                pixels = embedder.pool.decode(data, region=region).pixels
            except RegionError:
                continue
            except PictureError as error:
                if error.code != "bad_region":
                    raise
                continue
            if np.ptp(pixels.reshape(-1, 3), axis=0).max() > ONE_COLOUR:
                cut.append((one, region, pixels))
        return cut

    def _embedded(self, embedder: Embedder, crops: Sequence[Pixels]) -> list[np.ndarray]:
        """Return the vectors of crops, a few to a pass. Raises CannotLook, DeviceLost."""
        batch = self._batches.get(embedder.space_id)
        if batch is None:
            batch = self._batches[embedder.space_id] = embedder.batch.beside(AT_ONCE, AT_ONCE_CPU)
        made: list[np.ndarray] = []
        for outcome in batch.embed(crops):
            if isinstance(outcome, Exception):
                raise CannotLook("not_embeddable", str(outcome) or type(outcome).__name__) from outcome
            made.append(outcome)
        return made
