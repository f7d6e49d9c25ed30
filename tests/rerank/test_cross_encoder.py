"""A model that sees words and pictures together ranks anew, within its time; one that hangs is ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import torch

from imgsearch.dev.testing import embed
from imgsearch.errors import ModelError
from imgsearch.ingest import upload
from imgsearch.query import ImageId
from imgsearch.retrieval import Hits, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import open_store
from tests.conftest import with_settings
from tests.processes import eventually
from tests.rerank import tiny_cross
from tests.rerank.looking import looking
from tests.rerank.posters import as_file, poster

Connection = psycopg.Connection[Any]
TEXT = "a red poster with a lamp"
MANY = 10


@pytest.fixture(scope="module", params=["blip", "vilt"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross.save(tmp_path_factory.mktemp("cross") / request.param, request.param)


@pytest.fixture
def shop(settings: Settings, connection: Connection, space: Space) -> list[int]:
    store = open_store(settings.storage_url)
    found = [
        upload.add(connection, as_file(poster(n)), product_id=f"p{n}", tenant="acme", store=store).image_id
        for n in range(MANY)
    ]
    embed(connection, texts=[TEXT])
    return found


def asked(connection: Connection, query: Any = TEXT, seconds: float = 60, **step: Any) -> Hits:
    chain = [{"step": "cross_encoder", "pool": MANY, **step}]
    return search(connection, query, tenant="acme", k=MANY, rerank=chain, rerank_timeout=seconds)


@pytest.mark.slow
def test_the_order_is_the_models(
    settings: Settings, connection: Connection, space: Space, shop: list[int], model: Path
) -> None:
    from imgsearch_workers.looking.pictures import Decoder
    from imgsearch_workers.model.cross_encoder import CrossEncoder

    with looking(with_settings(settings, IMGSEARCH_RERANK_MODEL=str(model), IMGSEARCH_DEVICE="cpu"), space) as loop:
        hits = asked(connection)
        assert hits.reranked is not None
        assert hits.reranked.code is None, hits.reranked
        scores = [hit.look["cross_encoder"]["score"] for hit in hits]  # type: ignore[index]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) > MANY / 2
        here, decoder = CrossEncoder.opened(str(model), device="cpu", threads=1), Decoder()
        pixels = [decoder.decode(as_file(poster(int(hit.product_id[1:])))) for hit in hits]
        decoder.close()
        alone = [here.scores(TEXT, [one])[0] for one in pixels]
        assert np.abs(np.array(alone) - scores).max() < 1e-3
        some = asked(connection, pool=4)
        assert [hit.look is not None for hit in some] == [True] * 4 + [False] * 6

        without_words = asked(connection, ImageId(shop[0]))
        assert without_words.reranked is not None
        assert without_words.reranked.code == "nothing_to_go_by"

        # It hangs: the first ranking stands, in time, and the next one is answered by a fresh process.
        first = [hit.image_id for hit in search(connection, TEXT, tenant="acme", k=MANY)]
        process = loop._helpers["cross_encoder"]._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
        hung = asked(connection, seconds=1.0)
        assert time.monotonic() - began < 10
        assert [hit.image_id for hit in hung] == first
        assert hung.reranked is not None
        assert hung.reranked.code == "time_over"
        assert asked_neighbours(connection) is None, "other steps go on at once"
        eventually(lambda: asked(connection).reranked.code is None)  # type: ignore[union-attr]


def asked_neighbours(connection: Connection) -> str | None:
    hits = search(connection, TEXT, tenant="acme", k=MANY, rerank="k_reciprocal", rerank_timeout=20)
    return hits.reranked.code if hits.reranked else "none"


def test_without_a_model_the_answer_says_so(
    settings: Settings, connection: Connection, space: Space, shop: list[int], tmp_path: Path
) -> None:
    with looking(settings, space):
        hits = asked(connection)
    assert hits.reranked is not None
    assert hits.reranked.code == "no_model"
    broken = with_settings(settings, IMGSEARCH_RERANK_MODEL=str(tmp_path))
    with looking(broken, space):
        hits = asked(connection)
    assert hits.reranked is not None
    assert hits.reranked.code == "failed"
    assert "cannot be loaded" in str(hits.reranked.why)
    assert len(hits) == MANY


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    import transformers
    from imgsearch_workers.model.cross_encoder import CrossEncoder

    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is a bert"):
        CrossEncoder.opened(str(tmp_path))


def test_a_pickle_is_never_opened(model: Path, tmp_path: Path) -> None:
    from imgsearch_workers.model.cross_encoder import CrossEncoder
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    folder.mkdir()
    for file in model.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(model / "model.safetensors"), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        CrossEncoder.opened(str(folder), device="cpu")
