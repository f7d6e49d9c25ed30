"""The encoder answers what the stock SigLIP path answers, and differs from each silent mistake."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imgsearch_workers.model import probe
from imgsearch_workers.model.__main__ import main
from imgsearch_workers.model.siglip import BOTH, SiglipEncoder
from PIL import Image
from transformers import AutoModel, AutoProcessor, AutoTokenizer

from imgsearch.errors import ModelError
from imgsearch.picture import decode
from imgsearch.query.cache import canonical
from tests import tiny_siglip

LAYOUTS = ("demo", "siglip", "siglip2")
TEXTS = ["a red shoe", "Blue T-Shirt, with stripes!", "three dotted_cups   and a LAMP", "the quick brown fox " * 9]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {layout: tiny_siglip.save(tmp_path_factory.mktemp(layout), layout) for layout in LAYOUTS}


@pytest.fixture(scope="module")
def encoders(folders: dict[str, Path]) -> dict[str, SiglipEncoder]:
    return {layout: SiglipEncoder.load(str(folder), dtype="float32") for layout, folder in folders.items()}


def cosines(left: Any, right: Any) -> Any:
    left, right = (np.asarray(side, np.float64) for side in (left, right))
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


def photos(count: int, width: int, height: int) -> list[bytes]:
    """Make JPEGs of the fixed pictures, squashed into another shape, as uploads would bring them."""
    answer = []
    for pixels in probe.drawn(count, 480):
        file = io.BytesIO()
        Image.fromarray(pixels).resize((width, height)).save(file, "JPEG", quality=88)
        answer.append(file.getvalue())
    return answer


def stock_pictures(folder: Path, pictures: list[Image.Image]) -> Any:
    values = AutoProcessor.from_pretrained(folder)(images=pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval().get_image_features(pixel_values=values).pooler_output


def stock_texts(folder: Path, texts: list[str], **how: Any) -> Any:
    """Embed as the stock processor and model do; `how` overrides the right way with a wrong one."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side=how.pop("padding_side", "right"))
    masked = how.pop("masked", False)
    asked = {"padding": "max_length", "max_length": tiny_siglip.LENGTH, "truncation": True, **how}
    given = tokenizer(texts, return_tensors="pt", return_attention_mask=True, **asked)
    if not masked:
        del given["attention_mask"]
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval().get_text_features(**given).pooler_output


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_have_length_one(encoders: dict[str, SiglipEncoder], layout: str) -> None:
    encoder = encoders[layout]
    for vectors in (encoder.embed_pictures(probe.drawn(5, encoder.size)), encoder.embed_texts(TEXTS)):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == encoder.dimension == tiny_siglip.DIMENSION
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pixels_are_normalised_like_the_stock_processor_does(
    encoders: dict[str, SiglipEncoder], folders: dict[str, Path], layout: str
) -> None:
    pixels = probe.drawn(8, tiny_siglip.SIZE)
    stock = stock_pictures(folders[layout], [Image.fromarray(one) for one in pixels])
    assert cosines(encoders[layout].embed_pictures(pixels), stock).min() > 0.999999


@pytest.mark.parametrize("layout", ["siglip", "siglip2"])
def test_files_become_the_vectors_of_the_stock_processor(tmp_path: Path, layout: str) -> None:
    # At the size of real models: we resize BICUBIC, SigLIP 2 states BILINEAR, and on 32 pixels that shows (0.996).
    folder = tiny_siglip.save(tmp_path, layout, image_size=256, patch_size=32)
    encoder = SiglipEncoder.load(str(folder), towers=frozenset({"image"}), dtype="float32")
    uploads = photos(12, 480, 360) + photos(4, 1600, 1200)
    ours = encoder.embed_pictures(np.stack([decode(data, encoder.size) for data in uploads]))
    stock = stock_pictures(folder, [Image.open(io.BytesIO(data)) for data in uploads])
    assert cosines(ours, stock).min() >= 0.9995


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_pooling_head_is_asked_with_the_patches_laid_in_their_order(
    encoders: dict[str, SiglipEncoder], layout: str
) -> None:
    """Laid otherwise it copies its weights once for each patch: half of all time on the CPU."""
    encoder, laid = encoders[layout], []
    note = encoder._image.head.attention.register_forward_pre_hook(
        lambda _, given: laid.append((given[1].transpose(0, 1).is_contiguous(), given[1] is given[2]))
    )
    encoder.embed_pictures(probe.drawn(3, encoder.size))
    note.remove()
    assert laid == [(True, True)]


def test_another_mean_and_deviation_are_obeyed(tmp_path: Path) -> None:
    folder = tiny_siglip.save(tmp_path, "demo")
    settings = folder / "processor_config.json"
    settings.write_text(settings.read_text().replace("0.5", "0.3", 3))
    assert "0.3" in settings.read_text()
    pixels = probe.drawn(4, tiny_siglip.SIZE)
    stock = stock_pictures(folder, [Image.fromarray(one) for one in pixels])
    assert cosines(SiglipEncoder.load(str(folder), dtype="float32").embed_pictures(pixels), stock).min() > 0.999999


@pytest.mark.parametrize("layout", LAYOUTS)
def test_texts_become_the_vectors_of_the_stock_processor(
    encoders: dict[str, SiglipEncoder], folders: dict[str, Path], layout: str
) -> None:
    stock = stock_texts(folders[layout], [canonical(text) for text in TEXTS])
    assert cosines(encoders[layout].embed_texts(TEXTS), stock).min() > 0.999999


def test_siglip_1_canonicalises_by_itself_as_we_do(
    encoders: dict[str, SiglipEncoder], folders: dict[str, Path]
) -> None:
    texts = ["Blue Shirt, with stripes!", "three dotted cups?"]
    assert cosines(encoders["siglip"].embed_texts(texts), stock_texts(folders["siglip"], texts)).min() > 0.999999


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "mistake",
    [{"masked": True}, {"padding": "longest"}, {"padding_side": "left"}],
    ids=["attention mask", "pads to the longest", "pads left"],
)
def test_each_silent_mistake_would_be_seen(
    encoders: dict[str, SiglipEncoder], folders: dict[str, Path], layout: str, mistake: dict[str, Any]
) -> None:
    texts = ["a red shoe", "green bag"]
    ours = encoders[layout].embed_texts(texts)
    assert cosines(ours, stock_texts(folders[layout], texts)).min() > 0.999999
    assert cosines(ours, stock_texts(folders[layout], texts, **mistake)).max() < 0.999


@pytest.mark.parametrize("layout", ["demo", "siglip2"])
def test_capitals_and_punctuation_would_be_seen(
    encoders: dict[str, SiglipEncoder], folders: dict[str, Path], layout: str
) -> None:
    texts = ["A Red Canvas Shoe.", "GREEN leather bag!"]
    ours = encoders[layout].embed_texts(texts)
    np.testing.assert_array_equal(ours, encoders[layout].embed_texts(["a red canvas shoe", "green leather bag"]))
    assert cosines(ours, stock_texts(folders[layout], texts)).max() < 0.999


def test_a_batch_answers_what_its_members_answer(encoders: dict[str, SiglipEncoder]) -> None:
    encoder, pictures = encoders["demo"], probe.drawn(9, tiny_siglip.SIZE)
    alone = np.concatenate([encoder.embed_pictures(pictures[n : n + 1]) for n in range(9)])
    np.testing.assert_allclose(encoder.embed_pictures(pictures), alone, atol=2e-6)
    alone = np.concatenate([encoder.embed_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.embed_texts(TEXTS), alone, atol=2e-6)


def test_nothing_in_nothing_out(encoders: dict[str, SiglipEncoder]) -> None:
    assert encoders["demo"].embed_texts([]).shape == (0, tiny_siglip.DIMENSION)
    assert encoders["demo"].embed_pictures(probe.drawn(0, tiny_siglip.SIZE)).shape == (0, tiny_siglip.DIMENSION)


def test_a_tower_alone_answers_what_the_whole_answers(
    encoders: dict[str, SiglipEncoder], folders: dict[str, Path]
) -> None:
    image = SiglipEncoder.load(str(folders["demo"]), towers=frozenset({"image"}), dtype="float32")
    text = SiglipEncoder.load(str(folders["demo"]), towers=frozenset({"text"}), dtype="float32")
    pictures = probe.drawn(3, tiny_siglip.SIZE)
    np.testing.assert_array_equal(image.embed_pictures(pictures), encoders["demo"].embed_pictures(pictures))
    np.testing.assert_array_equal(text.embed_texts(TEXTS), encoders["demo"].embed_texts(TEXTS))


def test_arrays_that_cannot_be_written_or_are_views_are_welcome(encoders: dict[str, SiglipEncoder]) -> None:
    pictures = probe.drawn(4, tiny_siglip.SIZE)
    frozen = np.frombuffer(pictures.tobytes(), np.uint8).reshape(pictures.shape)
    expected = encoders["demo"].embed_pictures(pictures)
    np.testing.assert_array_equal(encoders["demo"].embed_pictures(frozen), expected)
    np.testing.assert_allclose(encoders["demo"].embed_pictures(pictures[::2]), expected[::2], atol=2e-6)
    with pytest.raises(ValueError, match="uint8"):
        encoders["demo"].embed_pictures(pictures.astype(np.float32))  # type: ignore[arg-type]


def test_threads_may_share_an_encoder(encoders: dict[str, SiglipEncoder]) -> None:
    expected, wrong = encoders["demo"].embed_texts(TEXTS), list[float]()

    def embed() -> None:
        for _ in range(20):
            alone, together = encoders["demo"].embed_texts(TEXTS[:1]), encoders["demo"].embed_texts(TEXTS)
            wrong.append(max(abs(alone - expected[:1]).max(), abs(together - expected).max()))

    threads = [threading.Thread(target=embed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 80
    assert max(wrong) < 1e-5


def test_bfloat16_turns_vectors_by_almost_nothing(encoders: dict[str, SiglipEncoder], folders: dict[str, Path]) -> None:
    half = SiglipEncoder.load(str(folders["demo"]), dtype="bfloat16")
    pictures = probe.drawn(8, tiny_siglip.SIZE)
    assert half.embed_texts(TEXTS).dtype == np.float32
    assert cosines(half.embed_pictures(pictures), encoders["demo"].embed_pictures(pictures)).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(half.embed_pictures(pictures), axis=1), 1, atol=1e-6)


def test_the_command_line_says_what_the_model_is_and_nothing_else(folders: dict[str, Path]) -> None:
    command = [
        sys.executable,
        "-m",
        "imgsearch_workers.model",
        "--model",
        str(folders["siglip2"]),
        "--seconds=0",
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=True)
    for word in (
        "kind        siglip, squash-1",
        "device",
        "1 threads",
        f"dimension   {tiny_siglip.DIMENSION}",
        "fingerprint",
        "img/s",
        "text/s",
    ):
        assert word in told.stdout
    assert told.stderr == ""


def test_the_command_line_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["encoder", "--model", "/there/is/no/such/folder"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == ModelError.exit_code
    assert "IMGSEARCH_MODEL" in capsys.readouterr().err


def test_vectors_of_before_there_were_other_kinds_stay_comparable() -> None:
    """The fingerprint of the demo's model is what spaces out there were made by; its vectors are what they hold."""
    encoder = SiglipEncoder.load("demo", threads=1, dtype="float32")
    told = encoder.describe(with_mean=False)
    assert told.fingerprint == "c65953e84c7429f3bc87ab122d7596cc0c428cbfb9fcff3ff470ebbdd73992c1"
    assert told.preprocessing == "squash-1"
    np.testing.assert_allclose(told.probe_picture[:6], [-0.0597, 0.0759, 0.1454, -0.0968, 0.0302, -0.0037], atol=6e-5)
    np.testing.assert_allclose(told.probe_text[:6], [0.0093, 0.0967, -0.0773, -0.0536, -0.0686, 0.0253], atol=6e-5)


def test_the_demo_model_answers(record_property: Callable[[str, object], None]) -> None:
    encoder = SiglipEncoder.load("demo", towers=BOTH)
    vectors = encoder.embed_texts(["a red shoe", "red shoes", "a blue lamp"])
    record_property("dimension", encoder.dimension)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    encoder.free_memory()
