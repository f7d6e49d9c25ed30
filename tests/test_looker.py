"""One picture is looked at: of other bytes nothing is made, and a part that shows nothing gets no vector."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model.encoder import SharedEncoder
from imgsearch_workers.pipeline.batch import Batch
from imgsearch_workers.pipeline.embedder import Embedder
from imgsearch_workers.pipeline.parts import CannotLook, Looker
from PIL import Image, ImageDraw

from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest.regions import Looked
from imgsearch.settings import Settings
from imgsearch.storage import FetchPolicy, open_store
from imgsearch.storage.store import uri_of
from tests.test_region_fill import png, scene


@pytest.fixture
def embedder() -> Iterator[Embedder]:
    encoder = SharedEncoder(FakeEncoder())
    pool = DecodePool(1, encoder.size)
    yield Embedder(space_id=1, batch=Batch(encoder, 4), pool=pool, probe=np.zeros((4, 4, 3), np.uint8))
    pool.close()


def claimed(settings: Settings, data: bytes, digest: bytes, word: str = "grid") -> Looked:
    """Return a picture that is ours to look at, and lies in the store under its own digest."""
    open_store(settings.storage_url).put(data)
    named = {"tenant_id": "acme", "image_id": 1, "space_id": 1, "proposer": f"{word} 9", "word": word, "most": 9}
    return Looked(**named, uri=uri_of(sha256(data).digest()), sha256=digest, attempts=1)  # type: ignore[arg-type]


def test_other_bytes_than_those_that_were_embedded_are_not_looked_at(settings: Settings, embedder: Embedder) -> None:
    """Their boxes would be shown over a picture that they were not cut from."""
    looker = Looker(settings, open_store(settings.storage_url), FetchPolicy())
    data = scene()
    try:
        with pytest.raises(CannotLook) as refused:
            looker.look(claimed(settings, data, sha256(b"others").digest()), embedder)
        assert (refused.value.code, refused.value.blames) == ("changed", True)
        assert len(looker.look(claimed(settings, data, sha256(data).digest()), embedder)[0]) == 9
    finally:
        looker.close()


def test_a_part_of_one_colour_gets_no_vector(settings: Settings, embedder: Embedder) -> None:
    """It would be as near to every plain ground as to any other."""
    picture = Image.new("RGB", (300, 300), (240, 240, 240))
    ImageDraw.Draw(picture).ellipse((20, 20, 60, 60), fill=(200, 30, 30))
    data = png(picture)
    looker = Looker(settings, open_store(settings.storage_url), FetchPolicy())
    try:
        parts, _ = looker.look(claimed(settings, data, sha256(data).digest()), embedder)
    finally:
        looker.close()
    assert 1 <= len(parts) <= 2
    assert all(part.region.numbers[0] < 0.2 and part.region.numbers[1] < 0.2 for part in parts)
