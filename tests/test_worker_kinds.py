"""A worker with a model of another kind: from the upload to the answer, in the shapes that the model wants."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.model.checkpoint import find
from imgsearch_workers.model.encoder import SharedEncoder, embed_texts, stacked
from imgsearch_workers.model.kinds import encoder_of
from imgsearch_workers.model.pretrained import Pretrained
from imgsearch_workers.pipeline.batch import Batch
from PIL import Image

from imgsearch.errors import TextsNotUnderstood
from imgsearch.ingest import upload
from imgsearch.picture.geometry import Geometry
from imgsearch.picture.pixels import square
from imgsearch.query import resolve
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.storage import open_store
from tests import tiny_models
from tests.conftest import with_settings
from tests.processes import WorkerProcess, eventually
from tests.test_encoder_kinds import SHAPES, files, ours

pytestmark = pytest.mark.slow  # all of them together

Connection = psycopg.Connection[Any]


def opened(folder: Path) -> Pretrained:
    checkpoint = find(str(folder))
    return encoder_of(checkpoint).opened(checkpoint)


@pytest.mark.parametrize("kind", ["clip", "naflex", "dinov2"])
def test_from_the_upload_to_the_answer(
    connection: Connection, settings: Settings, environment: dict[str, str], tmp_path: Path, kind: str
) -> None:
    folder = tiny_models.save(tmp_path / "model", kind, shortest=40)
    with_model = with_settings(settings, MODEL=str(folder))
    store, uploads = open_store(settings.storage_url), files(SHAPES)
    with WorkerProcess(with_model, {**environment, "IMGSEARCH_MODEL": str(folder)}, tmp_path / "log"):
        ids = [
            upload.add(connection, data, product_id=f"p{n}", tenant="acme", store=store).image_id
            for n, data in enumerate(uploads)
        ]
        stored = "SELECT embedding::text FROM imgsearch.vectors ORDER BY image_id"
        eventually(lambda: len(connection.execute(stored).fetchall()) == len(ids), 120, "embedding")
        held = np.array([json.loads(text) for (text,) in connection.execute(stored).fetchall()])
        assert (held * ours(opened(folder), uploads)).sum(1).min() > 0.9995  # halfvec, and bfloat16 where it is native
        assert search(connection, uploads[2], per="image", tenant="acme")[0].image_id == ids[2]
        [(space, reads)] = connection.execute("SELECT preprocessing, reads_texts FROM imgsearch.space").fetchall()
        assert (space, reads) == {
            "clip": ("crop-1", True),
            "naflex": ("patches-1", True),
            "dinov2": ("crop-1", False),
        }[kind]
        if reads:
            assert resolve(connection, "a red shoe").source == "worker"
        else:
            with pytest.raises(TextsNotUnderstood):
                resolve(connection, "a red shoe")


def test_a_decoder_gives_grids_of_the_pictures_own_shape() -> None:
    with DecodePool(1, Geometry.patches(8, 16)) as pool:
        shapes = [pool.decode(data).pixels.shape for data in files([(64, 64), (31, 119), (640, 64)])]
    assert shapes == [(32, 32, 3), (64, 16, 3), (8, 80, 3)]


@pytest.mark.parametrize("geometry", [Geometry.crop(32, 40), Geometry.fit(32), Geometry.patches(8, 16)])
def test_a_picture_of_any_length_is_prepared_within_a_childs_memory(geometry: Geometry) -> None:
    with DecodePool(1, geometry) as pool:
        for data in files([(20_000, 1), (1, 20_000), (5_000, 40)]):
            decoded = pool.decode(data)
            assert decoded.pixels.shape[:2] == geometry.seen((decoded.width, decoded.height))[::-1]


def test_a_turned_picture_is_cut_where_its_upright_self_is() -> None:
    [upright] = files([(90, 60)])
    picture = Image.open(BytesIO(upright))
    for turn, method in (
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ):
        stored, exif = BytesIO(), Image.Exif()
        exif[0x0112] = turn
        picture.transpose(method).save(stored, "PNG", exif=exif)
        for geometry in (Geometry.crop(32, 40), Geometry.fit(32), Geometry.patches(8, 16)):
            one, other = (square(data, geometry) for data in (upright, stored.getvalue()))
            assert (one.width, one.height) == (other.width, other.height)
            difference = np.frombuffer(one.pixels, np.uint8).astype(int) - np.frombuffer(other.pixels, np.uint8)
            assert abs(difference).max() <= 2


def test_one_pass_takes_pictures_of_several_sizes(tmp_path: Path) -> None:
    encoder = opened(tiny_models.save(tmp_path, "naflex"))
    pictures = [np.full((height, width, 3), 99, np.uint8) for height, width in ((32, 32), (16, 64), (64, 16))]
    assert isinstance(stacked(pictures), list)
    assert all(isinstance(vector, np.ndarray) for vector in Batch(SharedEncoder(encoder), 8).embed(pictures))
    with pytest.raises(ValueError, match="patches of 8"):
        encoder.embed_pictures([np.zeros((33, 32, 3), np.uint8)])  # type: ignore[arg-type]


class Eye:
    """An encoder of one's own that sees, and has no way to read."""

    size, dimension, device, decoder = 32, 48, "cpu", "imgsearch_workers.decoding.child"


def test_an_encoder_without_a_way_to_read_says_so() -> None:
    with pytest.raises(TextsNotUnderstood, match="ask with a picture"):
        embed_texts(Eye(), ["a red shoe"])  # type: ignore[arg-type]
