"""The worked example of an encoder of one's own: faces, found, aligned, embedded; and what has none is set aside."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
import torch
from imgsearch_workers.model.encoder import geometry_of, load, reads_texts
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from examples.faces.alignment import TEMPLATE, align, similarity
from examples.faces.encoder import FaceEncoder, NoFaceError
from examples.faces.iresnet import IResNet
from imgsearch.errors import ModelError, TextsNotUnderstood
from imgsearch.ingest import upload
from imgsearch.picture.pixels import square
from imgsearch.query import resolve
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.storage import open_store
from tests.conftest import with_settings
from tests.processes import WorkerProcess, eventually

Connection = psycopg.Connection[Any]
DOTS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]  # eyes, nose, corners of the mouth
NAME = "examples.faces.encoder:FaceEncoder"


def find(pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Find the face that `drawn` draws, by its five coloured dots: the stand-in for a detector."""
    points = []
    for colour in DOTS:
        rows, columns = np.nonzero((abs(pixels.astype(int) - colour) < 60).all(2))
        if len(rows) < 4:
            return []
        points.append([columns.mean(), rows.mean()])
    return [np.array(points)]


def drawn(person: int, *, angle: float = 0, scale: float = 2, at: tuple[int, int] = (420, 300)) -> bytes:
    """Draw somebody's face, turned and anywhere in a picture of 800 x 600; a person is a pattern on skin and ground."""
    face = Image.new("RGB", (112, 112), (200, 170 - 9 * person, 150))
    pen = ImageDraw.Draw(face)
    for stripe in range(0, 112, 7 + 5 * person):
        pen.rectangle((stripe, 0, stripe + 3, 111), fill=(90 + 20 * person, 90, 60))
    for (x, y), colour in zip(TEMPLATE, DOTS, strict=True):
        pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=colour)
    picture = Image.new("RGB", (800, 600), (230, 230, 230))
    turned = face.resize((int(112 * scale),) * 2).rotate(
        angle, Image.Resampling.BICUBIC, expand=True, fillcolor="#e6e6e6"
    )
    picture.paste(turned, (at[0] - turned.width // 2, at[1] - turned.height // 2))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def noise() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((300, 200), 50).convert("RGB").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A random network of the shape of ArcFace's, 16 times narrower."""
    shape = {"layers": [1, 1, 1, 1], "width": 4, "dimension": 32}
    torch.manual_seed(0)
    save_file(IResNet(**shape).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(shape))
    monkeypatch.setenv("FACE_MODEL", str(tmp_path))
    monkeypatch.setenv("FACE_FINDER", "tests.test_faces:find")
    return tmp_path


def seen(encoder: FaceEncoder, data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(square(data, encoder.geometry).pixels, np.uint8).reshape(640, 640, 3)


def test_five_points_come_to_lie_where_they_belong() -> None:
    for angle in (0.0, 0.5, -2.0, 3.1):
        turn = 3.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = TEMPLATE @ turn.T + [40, -9]
        matrix = similarity(points)
        np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-9)
    assert np.linalg.det(similarity(TEMPLATE * [-1, 1])[:, :2]) > 0  # the mirror image is not mirrored back
    with pytest.raises(ValueError, match="no face"):
        similarity(np.ones((5, 2)))


def test_a_face_is_the_same_however_it_is_turned(folder: Path) -> None:
    encoder = FaceEncoder()
    upright, turned = (seen(encoder, drawn(1, **how)) for how in ({}, {"angle": 35, "scale": 3, "at": (300, 320)}))
    one, other = (align(picture, find(picture)[0]).astype(int) for picture in (upright, turned))
    assert abs(one - other)[8:-8, 8:-8].mean() < 12
    someone = seen(encoder, drawn(4))
    vectors = encoder.embed_pictures(np.stack([upright, turned, someone]))
    assert vectors.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_pictures_without_a_face_are_named(folder: Path) -> None:
    encoder = FaceEncoder()
    with pytest.raises(NoFaceError, match="No face") as caught:
        encoder.embed_pictures(np.stack([seen(encoder, noise()), seen(encoder, drawn(1)), seen(encoder, noise())]))
    assert caught.value.rows == (0, 2)


def test_it_is_an_encoder_that_reads_no_texts(folder: Path, settings: Settings) -> None:
    encoder = load(with_settings(settings, MODEL=NAME), NAME, with_texts=True)
    assert geometry_of(encoder).mode == "fit"
    assert not reads_texts(encoder)
    assert not encoder.describe().texts


def test_half_a_folder_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="FACE_MODEL"):
        FaceEncoder()


def test_a_worker_finds_people_and_sets_aside_what_has_none(
    connection: Connection, settings: Settings, environment: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    here = str(Path(__file__).parent.parent)
    told = {"FACE_MODEL": str(folder), "FACE_FINDER": "tests.test_faces:find", "IMGSEARCH_MODEL": NAME}
    environ = {**environment, **told, "PYTHONPATH": f"{here}:{here}/workers"}
    store = open_store(settings.storage_url)
    with WorkerProcess(with_settings(settings, MODEL=NAME), environ, tmp_path / "log") as worker:
        people = [drawn(1), drawn(1, angle=20), drawn(4), noise()]
        ids = [
            upload.add(connection, data, product_id=f"p{n}", tenant="acme", store=store).image_id
            for n, data in enumerate(people)
        ]
        done = "SELECT count(*) FROM imgsearch.vectors", "SELECT error_code, error FROM imgsearch.failures"
        eventually(lambda: connection.execute(done[0]).fetchone() == (3,), 120, "embedding")
        [(code, why)] = eventually(lambda: connection.execute(done[1]).fetchall(), 60, "the refusal")
        assert (code, "No face was found" in why) == ("not_embeddable", True)
        found = search(connection, drawn(1, angle=-15), per="image", tenant="acme")
        assert {hit.image_id for hit in found[:2]} == set(ids[:2])
        with pytest.raises(TextsNotUnderstood):
            resolve(connection, "a smiling face")
        assert worker.process.poll() is None
