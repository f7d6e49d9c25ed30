"""A folder that OpenCLIP saved answers what OpenCLIP answers, or is refused with the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from imgsearch_workers.model import probe
from imgsearch_workers.model.checkpoint import find
from imgsearch_workers.model.kinds import encoder_of
from imgsearch_workers.model.pretrained import Pretrained
from safetensors.torch import load_file, save_file

from imgsearch.errors import ModelError
from imgsearch.picture.geometry import Geometry
from imgsearch.query.cache import canonical
from tests import tiny_models, tiny_open_clip

TEXTS = ["a red shoe", "Blue T-Shirt, with stripes!", "the quick brown fox " * 30]


def opened(folder: Path) -> Pretrained:
    checkpoint = find(str(folder))
    return encoder_of(checkpoint).opened(checkpoint, dtype="float32")


def cosines(left: Any, right: Any) -> Any:
    right = np.asarray(right, np.float64)
    return (np.asarray(left, np.float64) * right).sum(1) / np.linalg.norm(right, axis=1)


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_vectors_are_those_of_open_clip(tmp_path: Path, quick_gelu: bool) -> None:
    theirs = tiny_open_clip.save(tmp_path, quick_gelu=quick_gelu)
    ours, pictures = opened(tmp_path), probe.drawn(6, tiny_models.SIZE)
    values = (torch.from_numpy(pictures) / 255 - torch.tensor([0.48, 0.46, 0.41])) / torch.tensor([0.27, 0.26, 0.28])
    assert cosines(ours.embed_pictures(pictures), theirs.visual(values.permute(0, 3, 1, 2))).min() > 0.99999
    tokens, ids = transformers.AutoTokenizer.from_pretrained(tmp_path), torch.zeros(3, 77, dtype=torch.long)
    for row, text in enumerate(TEXTS):
        read = tokens(canonical(text), truncation=True, max_length=77)["input_ids"]
        ids[row, : len(read)] = torch.tensor(read)
    vectors = ours.embed_texts(TEXTS)
    assert cosines(vectors, theirs.encode_text(ids)).min() > 0.99999
    assert cosines(vectors[:1], vectors[1:2]).max() < 0.99
    told = ours.describe()
    assert (told.dimension, told.preprocessing, told.texts, told.match_bias) == (24, "crop-1", True, None)
    assert told.match_scale == pytest.approx(np.exp(4.6))


def test_pictures_are_squashed_where_it_says_so(tmp_path: Path) -> None:
    tiny_open_clip.save(tmp_path, resize_mode="squash", interpolation="bilinear")
    assert find(str(tmp_path)).pixels.geometry == Geometry.squash(32, "bilinear")
    tiny_open_clip.save(tmp_path)
    assert find(str(tmp_path)).pixels.geometry == Geometry.crop(32, 32)


def test_a_folder_of_both_is_read_as_transformers_saved_it(tmp_path: Path) -> None:
    tiny_open_clip.save(tmp_path)
    tiny_models.save(tmp_path, "clip")
    assert find(str(tmp_path)).kind.name == "clip"
    (tmp_path / "model.safetensors").unlink()
    assert find(str(tmp_path)).kind.name == "open_clip"


def state(folder: Path, part: str, **changes: object) -> None:
    path = folder / "open_clip_config.json"
    stated = json.loads(path.read_text())
    (stated["model_cfg"][part] if part.endswith("cfg") and part != "preprocess_cfg" else stated[part]).update(changes)
    path.write_text(json.dumps(stated))


def reweigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "open_clip_model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def pickle_it(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "timm": (
        lambda folder: state(folder, "vision_cfg", timm_model_name="vit_base_patch16_siglip_224"),
        "timm's vit_base",
    ),
    "a text tower of Hugging Face": (
        lambda folder: state(folder, "text_cfg", hf_model_name="roberta"),
        "through roberta",
    ),
    "another way to pool": (lambda folder: state(folder, "vision_cfg", pool_type="avg"), "pool_type = 'avg'"),
    "layer scale": (lambda folder: state(folder, "vision_cfg", ls_init_value=0.1), "ls_init_value"),
    "a ResNet": (lambda folder: state(folder, "vision_cfg", layers=[3, 4, 6, 3]), "layers"),
    "bars": (lambda folder: state(folder, "preprocess_cfg", resize_mode="longest"), "pads pictures"),
    "a filter of its own": (lambda folder: state(folder, "preprocess_cfg", interpolation="random"), "filter"),
    "no network": (lambda folder: (folder / "open_clip_config.json").write_text("{}"), "no model_cfg"),
    "more layers than weights": (lambda folder: state(folder, "vision_cfg", layers=3), "other weights"),
    "no heads": (lambda folder: state(folder, "vision_cfg", head_width=0), "'head_width': 0"),
    "an impossible shape": (lambda folder: state(folder, "text_cfg", heads=3), "impossible shape"),
    "a weight missing": (lambda folder: reweigh(folder, lambda weights: weights.pop("visual.proj")), "other weights"),
    "a weight too many": (
        lambda folder: reweigh(folder, lambda weights: weights.update({"visual.head.weight": torch.ones(2)})),
        "a weight visual.head.weight",
    ),
    "a weight NaN": (
        lambda folder: reweigh(folder, lambda weights: weights["ln_final.bias"].fill_(float("nan"))),
        "NaN or infinite",
    ),
    "pickled": (pickle_it, "a pickle.*save_file"),
    "no tokenizer": (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "tokenizer"),
    "half of the weights": (
        lambda folder: (folder / "open_clip_model.safetensors").write_bytes(b"\x80\x00\x00\x00\x00\x00\x00\x00{"),
        "other weights",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_clip_is_refused_with_a_cure(tmp_path: Path, case: str) -> None:
    tiny_open_clip.save(tmp_path)
    spoil, said = BROKEN[case]
    spoil(tmp_path)
    with pytest.raises(ModelError, match=said):
        opened(tmp_path)
