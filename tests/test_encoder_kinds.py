"""Every kind of model answers what transformers' own pipeline answers, from the file to the vector."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from imgsearch_workers.model import probe
from imgsearch_workers.model.checkpoint import find
from imgsearch_workers.model.encoder import stacked
from imgsearch_workers.model.kinds import encoder_of
from imgsearch_workers.model.pretrained import Pretrained
from PIL import Image

from imgsearch.picture.pixels import square
from imgsearch.query.cache import canonical
from tests import tiny_models, tiny_siglip

KINDS = ("clip", "naflex", "dinov2", "dinov2 with registers", "dinov3", "dinov3 convnext")
READERS = ("clip", "naflex")
# Less than four times what the models see: larger pictures are averaged first, to be quick.
SHAPES = [(100, 80), (80, 100), (33, 32), (40, 90), (120, 60), (31, 119), (64, 64), (90, 31)]
TEXTS = ["a red shoe", "Blue T-Shirt, with stripes!", "three dotted_cups   and a LAMP", "the quick brown fox " * 20]
REAL = 224  # pixels, so that what the decoder leaves out for speed weighs as it does with real models


def opened(folder: Path, **how: Any) -> Pretrained:
    checkpoint = find(str(folder))
    return encoder_of(checkpoint).opened(checkpoint, dtype="float32", **how)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    # 40 before the middle of 32 is cut out, as 256 and 224 of DINOv2.
    return {kind: tiny_models.save(tmp_path_factory.mktemp("model"), kind, shortest=40) for kind in KINDS}


@pytest.fixture(scope="module")
def encoders(folders: dict[str, Path]) -> dict[str, Pretrained]:
    return {kind: opened(folder) for kind, folder in folders.items()}


def files(shapes: Sequence[tuple[int, int]], kind: str = "PNG") -> list[bytes]:
    """Make files of the fixed pictures in these shapes."""
    answer = []
    for number, shape in enumerate(shapes):
        file = io.BytesIO()
        drawn = Image.fromarray(probe.drawn(number + 1, 480)[-1])
        drawn.resize(shape, Image.Resampling.BILINEAR).save(file, kind, **({"quality": 88} if kind == "JPEG" else {}))
        answer.append(file.getvalue())
    return answer


def ours(encoder: Pretrained, uploads: Sequence[bytes]) -> Any:
    """Embed as a worker does: decoded by the geometry, then stacked."""
    pictures = []
    for data in uploads:
        done = square(data, encoder.geometry)
        width, height = encoder.geometry.seen((done.width, done.height))
        pictures.append(np.frombuffer(done.pixels, np.uint8).reshape(height, width, 3))
    return encoder.embed_pictures(stacked(pictures))


def prepared(folder: Path, uploads: Sequence[bytes]) -> dict[str, torch.Tensor]:
    """Prepare pictures as transformers does."""
    images = [Image.open(io.BytesIO(data)).convert("RGB") for data in uploads]
    if "DINOv3" in (folder / "preprocessor_config.json").read_text():
        return {"pixel_values": torch.cat([dinov3_pixels(image, find(str(folder)).pixels.size) for image in images])}
    values: dict[str, torch.Tensor] = transformers.AutoImageProcessor.from_pretrained(folder)(
        images, return_tensors="pt"
    )
    return dict(values)


def dinov3_pixels(image: Image.Image, size: int) -> torch.Tensor:
    """Do what DINOv3ViTImageProcessor does through torchvision, which calls this: rescale, resize, normalise floats."""
    values = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 255
    how = {"mode": "bilinear", "antialias": True, "align_corners": False}
    resized = torch.nn.functional.interpolate(values, (size, size), **how)  # type: ignore[arg-type]
    mean, std = (torch.tensor(three)[None, :, None, None] for three in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (resized - mean) / std


def theirs(folder: Path, uploads: Sequence[bytes]) -> Any:
    model = transformers.AutoModel.from_pretrained(folder).eval()
    values = prepared(folder, uploads)
    with torch.no_grad():
        answer = model.get_image_features(**values) if hasattr(model, "get_image_features") else model(**values)
    return answer.pooler_output


def cosines(left: Any, right: Any) -> Any:
    left, right = (np.asarray(side, np.float64) for side in (left, right))
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_become_the_vectors_of_transformers(
    encoders: dict[str, Pretrained], folders: dict[str, Path], kind: str, record_property: Callable[[str, object], None]
) -> None:
    uploads = files(SHAPES)
    vectors = ours(encoders[kind], uploads)
    same = cosines(vectors, theirs(folders[kind], uploads))
    record_property("smallest_cosine", float(same.min()))
    assert same.min() >= 0.9999
    assert cosines(vectors[:-1], vectors[1:]).max() < 0.99  # the pictures do differ
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors.shape[1] == encoders[kind].dimension


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("dinov3")])
def test_every_pixel_is_that_of_the_models_own_processor(
    encoders: dict[str, Pretrained], folders: dict[str, Path], kind: str
) -> None:
    encoder, uploads = encoders[kind], files(SHAPES)
    stock = prepared(folders[kind], uploads)
    for row, data in enumerate(uploads):
        done = square(data, encoder.geometry)
        width, height = encoder.geometry.seen((done.width, done.height))
        values = encoder._normalised(np.frombuffer(done.pixels, np.uint8).reshape(height, width, 3))
        if kind == "naflex":
            down, across = stock["spatial_shapes"][row].tolist()
            assert (down * tiny_models.PATCH, across * tiny_models.PATCH) == (height, width)
            patches = stock["pixel_values"][row, : down * across]
            expected = patches.reshape(down, across, 8, 8, 3).transpose(1, 2).reshape(height, width, 3)
        else:
            expected = stock["pixel_values"][row].permute(1, 2, 0)
        # Values are 1/127 apart; the order of the arithmetic alone differs.
        torch.testing.assert_close(values, expected, atol=2e-6, rtol=0)


def test_a_pixel_of_dinov3_is_rounded_once_more_than_torchvision_does(
    encoders: dict[str, Pretrained], folders: dict[str, Path]
) -> None:
    uploads = files(SHAPES)
    stock = prepared(folders["dinov3"], uploads)["pixel_values"]
    pixels = np.stack([np.frombuffer(square(d, encoders["dinov3"].geometry).pixels, np.uint8) for d in uploads])
    values = encoders["dinov3"]._normalised(pixels.reshape(len(uploads), 32, 32, 3)).permute(0, 3, 1, 2)
    assert float((values - stock).abs().max()) < 1.01 / 255 / 0.224


@pytest.mark.parametrize("kind", KINDS)
def test_large_photographs_become_the_vectors_of_transformers(
    tmp_path: Path, kind: str, record_property: Callable[[str, object], None]
) -> None:
    """Photographs are decoded to about twice what the model sees, and averaged: a quarter of the time."""
    folder = tiny_models.save(tmp_path, kind, size=REAL, shortest=256)
    uploads = files([(1600, 1200), (900, 1200), (2000, 2000), (1200, 500)], "JPEG")
    vectors = ours(opened(folder), uploads)
    same = cosines(vectors, theirs(folder, uploads))
    record_property("smallest_cosine", float(same.min()))
    assert same.min() >= 0.9999
    assert cosines(vectors[:-1], vectors[1:]).max() < 0.999


@pytest.mark.parametrize("kind", READERS)
def test_texts_become_the_vectors_of_transformers(
    encoders: dict[str, Pretrained], folders: dict[str, Path], kind: str
) -> None:
    length = {"clip": tiny_models.LENGTH, "naflex": tiny_siglip.LENGTH}[kind]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders[kind], padding_side="right")
    how = {"padding": "max_length", "max_length": length, "truncation": True, "return_tensors": "pt"}
    given = tokenizer([canonical(text) for text in TEXTS], **how)
    if kind == "naflex":
        given = {"input_ids": given["input_ids"]}
    with torch.no_grad():
        stock = transformers.AutoModel.from_pretrained(folders[kind]).eval().get_text_features(**given).pooler_output
    vectors = encoders[kind].embed_texts(TEXTS)
    assert cosines(vectors, stock).min() >= 0.999999
    assert cosines(vectors[:-1], vectors[1:]).max() < 0.999
    alone = np.concatenate([encoders[kind].embed_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=2e-6)


def test_clip_counts_77_tokens(encoders: dict[str, Pretrained]) -> None:
    [(short, read), (long, part)] = encoders["clip"].count_tokens(["red shoe", "red shoe " * 60])
    assert (short, read) == (4, 4)
    assert (long, part) == (122, 77)


def test_a_batch_of_grids_answers_what_each_answers(encoders: dict[str, Pretrained]) -> None:
    uploads = files(SHAPES)
    alone = np.concatenate([ours(encoders["naflex"], [data]) for data in uploads])
    np.testing.assert_allclose(ours(encoders["naflex"], uploads), alone, atol=3e-6)


def test_what_a_space_is_told(encoders: dict[str, Pretrained]) -> None:
    told = {kind: encoder.describe() for kind, encoder in encoders.items()}
    assert {kind: one.preprocessing for kind, one in told.items()} == {
        "clip": "crop-1",
        "naflex": "patches-1",
        "dinov2": "crop-1",
        "dinov2 with registers": "crop-1",
        "dinov3": "squash-1",
        "dinov3 convnext": "squash-1",
    }
    assert [kind for kind, one in told.items() if one.texts] == list(READERS)
    assert told["clip"].match_scale == pytest.approx(14.28, abs=0.01)
    assert (told["clip"].match_bias, told["dinov2"].match_scale) == (None, None)
    assert told["naflex"].match_bias is not None
    assert len({one.fingerprint for one in told.values()}) == len(KINDS)
    assert all(len(one.mean) == len(one.probe_picture) == one.dimension for one in told.values())
