"""Folders of the newer kinds that cannot be trusted: each is refused with a cure, and fingerprints tell them apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from imgsearch_workers.model import processor
from imgsearch_workers.model.checkpoint import find
from imgsearch_workers.model.kinds import encoder_of
from imgsearch_workers.model.processor import _STOCK, Pixels
from safetensors.torch import load_file, save_file
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from imgsearch.errors import ModelError, TextsNotUnderstood
from imgsearch.picture.geometry import Geometry
from tests import tiny_models


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    kinds = ("clip", "naflex", "dinov2", "dinov3")
    return {kind: tiny_models.save(tmp_path_factory.mktemp("model"), kind, shortest=40) for kind in kinds}


@pytest.fixture
def copy(saved: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda kind: Path(shutil.copytree(saved[kind], tmp_path / "model"))


def load(folder: Path) -> None:
    checkpoint = find(str(folder))
    encoder_of(checkpoint).opened(checkpoint)


def state(folder: Path, name: str, **changes: object) -> None:
    path = folder / f"{name}.json"
    stated = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in stated.items() if value != "absent"}))


def unlink(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def drop(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights.pop(name)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return spoil


def stated(**changes: object) -> Callable[[Path], None]:
    return lambda folder: state(folder, "preprocessor_config", **changes)


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "clip without its projection": ("clip", drop("visual_projection.weight"), "lacks 1 weights"),
    "clip of another size": ("clip", stated(crop_size={"height": 64, "width": 64}), "sees 32 pixels"),
    "clip without tokenizer": ("clip", unlink("tokenizer.json"), "no tokenizer|unusable tokenizer"),
    "clip that ends elsewhere": (
        "clip",
        lambda folder: state(
            folder,
            "config",
            text_config={**json.loads((folder / "config.json").read_text())["text_config"], "eos_token_id": 7},
        ),
        "end elsewhere",
    ),
    "clip with a broken tower": (
        "clip",
        lambda folder: state(folder, "config", vision_config=7),
        "broken vision_config",
    ),
    "clip of an impossible shape": (
        "clip",
        lambda folder: state(folder, "config", projection_dim="many"),
        "config.json that CLIP does not have|cannot be loaded",
    ),
    "naflex of other patches": ("naflex", stated(patch_size=16), "patches of 16 but sees 8"),
    "naflex of endless patches": ("naflex", stated(max_num_patches=100_000), "not possible"),
    "dino without its norm": ("dinov2", drop("layernorm.weight"), "lacks 1 weights"),
    "dino without size": ("dinov2", lambda folder: state(folder, "config", hidden_size="absent"), "no hidden_size"),
    "dino pickled": (
        "dinov2",
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "a pickle, which could run any code; save it again with save_pretrained",
    ),
    "dino with no processor": ("dinov2", unlink("preprocessor_config.json"), "no preprocessor_config.json"),
    "a processor nobody knows": ("dinov2", stated(image_processor_type="MagicImageProcessor"), "MagicImageProcessor"),
    "a processor that keeps the shape": ("dinov2", stated(do_center_crop=False), "docs|cut one out"),
    "a processor of an oblong": ("dinov3", stated(size={"height": 32, "width": 48}), "squash them to a square"),
    "a processor that pads": ("dinov3", stated(do_pad=True), "pads pictures"),
    "a filter that is none": ("dinov3", stated(resample=9), "filter 9"),
    "pictures of no size": ("dinov3", stated(size={"height": 0, "width": 0}), "not possible"),
    "pictures without end": ("dinov3", stated(size={"height": 9999, "width": 9999}), "not possible"),
    "no deviation": ("dinov3", stated(image_std=[0, 1, 1]), "three usable numbers"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_is_refused_with_a_cure(copy: Callable[[str], Path], case: str) -> None:
    kind, spoil, said = BROKEN[case]
    folder = copy(kind)
    spoil(folder)
    with pytest.raises(ModelError, match=said):
        load(folder)


def test_a_text_asked_of_a_dino_is_typed_and_tells_the_cure(saved: dict[str, Path]) -> None:
    checkpoint = find(str(saved["dinov2"]))
    encoder = encoder_of(checkpoint).opened(checkpoint)
    with pytest.raises(TextsNotUnderstood, match="ask with a picture"):
        encoder.embed_texts(["a red shoe"])
    assert encoder.count_tokens(["a red shoe"]) == []


NOISE = {"transformers_version": "9.9", "dtype": "bfloat16", "_name_or_path": "/elsewhere", "initializer_range": 0.5}


@pytest.mark.parametrize("kind", ["clip", "naflex", "dinov2", "dinov3"])
def test_a_fingerprint_names_what_decides_a_vector(
    saved: dict[str, Path], copy: Callable[[str], Path], kind: str
) -> None:
    before, folder = find(str(saved[kind])).fingerprint, copy(kind)
    state(folder, "config", **NOISE)
    assert find(str(folder)).fingerprint == before
    seen = [before]
    for change in ({"image_mean": [0.4, 0.4, 0.4]}, {"resample": 1}):
        state(folder, "preprocessor_config", **change)
        seen.append(find(str(folder)).fingerprint)
    state(folder, "config", layer_norm_eps=0.5)
    seen.append(find(str(folder)).fingerprint)
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values())).add_(torch.tensor(1))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    seen.append(find(str(folder)).fingerprint)
    assert len(set(seen)) == 5


STOCK = {
    "SiglipImageProcessor": SiglipImageProcessorPil,
    "Siglip2ImageProcessor": Siglip2ImageProcessorPil,
    "CLIPImageProcessor": CLIPImageProcessorPil,
    "BitImageProcessor": BitImageProcessorPil,
    "ViTImageProcessor": ViTImageProcessorPil,
}


@pytest.mark.parametrize("name", STOCK)
def test_what_a_processor_leaves_unsaid_is_what_transformers_does(tmp_path: Path, name: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": name}))
    stock = STOCK[name]()
    found = processor.read("it", tmp_path, name)
    assert (found.mean, found.std) == (tuple(stock.image_mean), tuple(stock.image_std))
    assert processor._FILTERS.index(found.geometry.filter) == stock.resample
    if name == "Siglip2ImageProcessor":
        assert found.geometry == Geometry.patches(stock.patch_size, stock.max_num_patches)
    else:
        cropped = bool(getattr(stock, "do_center_crop", False))
        assert found.geometry.mode == ("crop" if cropped else "squash")
        assert found.geometry.size == 224
    assert set(STOCK) | {"DINOv3ViTImageProcessor"} == set(_STOCK)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224}, Geometry.crop(224, 224)),
        ({"size": {"shortest_edge": 256}, "crop_size": 224}, Geometry.crop(224, 256)),
        ({"image_processor_type": "CLIPImageProcessorFast", "resample": 2}, Geometry.crop(224, 224, "bilinear")),
        ({"size": {"height": 32, "width": 32}, "do_center_crop": False}, Geometry.squash(32)),
        ({"size": {"height": 32, "width": 32}, "crop_size": {"height": 32, "width": 32}}, Geometry.squash(32)),
    ],
)
def test_what_files_said_over_the_years_is_understood(tmp_path: Path, said: dict[str, object], meant: Geometry) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found: Pixels = processor.read("it", tmp_path, "CLIPImageProcessor")
    assert found.geometry == meant
