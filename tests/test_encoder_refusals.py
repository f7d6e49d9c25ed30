"""A model that cannot be trusted is refused with a cure, a model is named by one fingerprint, nonsense never leaves."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from imgsearch_workers.model import probe
from imgsearch_workers.model.checkpoint import find
from imgsearch_workers.model.device_errors import NonsenseError, is_out_of_memory, is_sticky
from imgsearch_workers.model.siglip import SiglipEncoder
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from imgsearch.errors import ModelError
from tests import tiny_siglip

IMAGE, TEXT = frozenset({"image"}), frozenset({"text"})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_siglip.save(tmp_path_factory.mktemp("saved"), "demo")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def state(folder: Path, place: str = "config.json", **changes: object) -> None:
    """Change keys of one of the folder's JSON files; `file:key` reaches one level down."""
    name, _, key = place.partition(":")
    stated = json.loads((folder / name).read_text())
    (stated[key] if key else stated).update(changes)
    (folder / name).write_text(json.dumps(stated))


def reweigh(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
    """Change (or with None drop) the weight whose name ends so."""
    weights = load_file(folder / "model.safetensors")
    (key,) = [key for key in weights if key.endswith(name)]
    changed = change(weights.pop(key))
    save_file(weights if changed is None else {**weights, key: changed}, folder / "model.safetensors", {"format": "pt"})


def test_the_fingerprint_is_the_same_whichever_tower_is_loaded(saved: Path, folder: Path) -> None:
    # `folder` is a copy elsewhere: where a model lies must not matter.
    whole, image, text = (
        SiglipEncoder.load(str(saved)),
        SiglipEncoder.load(str(folder), towers=IMAGE),
        SiglipEncoder.load(str(folder), towers=TEXT),
    )
    told = [encoder.describe() for encoder in (whole, image, text)]
    assert len({one.fingerprint for one in told}) == 1
    assert [len(one.probe_picture) for one in told] == [32, 32, 0]
    assert [len(one.probe_text) for one in told] == [32, 0, 32]
    assert [len(one.mean) for one in told] == [32, 32, 0]
    np.testing.assert_allclose(told[0].probe_picture, told[1].probe_picture, atol=1e-6)
    assert whole.describe(with_mean=False).mean == []


def test_the_mean_is_that_of_the_fixed_pictures(saved: Path) -> None:
    encoder = SiglipEncoder.load(str(saved))
    expected = encoder.embed_pictures(probe.drawn(32, encoder.size)).mean(0)
    np.testing.assert_allclose(encoder.describe().mean, expected, atol=1e-6)


@pytest.mark.parametrize(
    "noise",
    [{"transformers_version": "9.9"}, {"architectures": ["X"]}, {"dtype": "bfloat16"}, {"_name_or_path": "/elsewhere"}],
)
def test_what_changes_no_vector_changes_no_fingerprint(saved: Path, folder: Path, noise: dict[str, object]) -> None:
    state(folder, **noise)
    assert find(str(folder)).fingerprint == find(str(saved)).fingerprint


CHANGES: dict[str, Callable[[Path], object]] = {
    "a weight": lambda folder: reweigh(folder, "vision_model.head.probe", lambda weight: weight + 0.01),
    "a weight of the other tower": lambda folder: reweigh(folder, "text_model.head.bias", lambda weight: weight + 0.01),
    "an activation": lambda folder: state(folder, "config.json:vision_config", hidden_act="gelu"),
    "the normalisation": lambda folder: state(
        folder, "processor_config.json:image_processor", image_mean=[0.4, 0.5, 0.5]
    ),
    "the vocabulary": lambda folder: (folder / "tokenizer.json").write_text(
        (folder / "tokenizer.json").read_text().replace('"shoe"', '"boot"')
    ),
    "the tokenizer's class": lambda folder: state(folder, "tokenizer_config.json", do_lower_case=True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_vectors_changes_the_fingerprint(saved: Path, folder: Path, change: str) -> None:
    CHANGES[change](folder)
    assert find(str(folder)).fingerprint != find(str(saved)).fingerprint


def test_weights_in_several_files_are_all_read(folder: Path) -> None:
    single = SiglipEncoder.load(str(folder))
    pictures = probe.drawn(2, single.size)
    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    np.testing.assert_allclose(
        SiglipEncoder.load(str(folder)).embed_pictures(pictures), single.embed_pictures(pictures), atol=1e-6
    )
    before = find(str(folder)).fingerprint
    tensors = load_file(shards[-1])
    save_file({key: value + 1 for key, value in tensors.items()}, shards[-1], {"format": "pt"})
    assert find(str(folder)).fingerprint != before
    shards[-1].unlink()
    with pytest.raises(ModelError, match="lacks weight files"):
        SiglipEncoder.load(str(folder))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "no config.json"),
    "config is not JSON": (lambda folder: (folder / "config.json").write_text("{"), "unreadable config.json"),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "unreadable config.json"),
    "NaFlex": (lambda folder: state(folder, model_type="siglip2"), "of the kind 'naflex'"),
    "CLIP": (lambda folder: state(folder, model_type="clip"), "of the kind 'clip'"),
    "a language model": (lambda folder: state(folder, model_type="bert"), "is a 'bert' model"),
    "no tower": (lambda folder: state(folder, vision_config=7), "broken vision_config"),
    "impossible shape": (
        lambda folder: state(folder, "config.json:vision_config", hidden_size="x"),
        "cannot be loaded",
    ),
    "other shape than the weights": (
        lambda folder: state(folder, "config.json:vision_config", intermediate_size=65),
        "download or save it again",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
    "weights cut off": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:9000]),
        "cannot be loaded",
    ),
    "a weight missing": (lambda folder: reweigh(folder, "vision_model.head.probe", lambda _: None), "lacks 1 weights"),
    "a weight NaN": (
        lambda folder: reweigh(folder, "text_model.final_layer_norm.bias", lambda weight: weight * float("nan")),
        "NaN or infinite",
    ),
    "answers zero": (
        lambda folder: [
            reweigh(folder, f"text_model.head.{name}", lambda weight: weight * 0) for name in ("weight", "bias")
        ],
        "answers NaN or zero",
    ),
    "no processor": (lambda folder: (folder / "processor_config.json").unlink(), "no preprocessor_config.json"),
    "processor of another size": (
        lambda folder: state(folder, "processor_config.json:image_processor", size={"height": 64, "width": 64}),
        "sees 32 pixels",
    ),
    "processor leaves out a step": (
        lambda folder: state(folder, "processor_config.json:image_processor", do_normalize=False),
        "leaves out a step",
    ),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer"),
    "tokenizer is not JSON": (lambda folder: (folder / "tokenizer.json").write_text("{"), "unusable tokenizer"),
    "tokenizer without eos": (
        lambda folder: state(folder, "tokenizer.json", post_processor=None),
        "does not end texts with eos",
    ),
    "towers of two lengths": (
        lambda folder: [
            state(folder, "config.json:text_config", projection_size=8),
            reweigh(folder, "text_model.head.weight", lambda weight: weight[:8].clone()),
            reweigh(folder, "text_model.head.bias", lambda weight: weight[:8].clone()),
        ],
        "32 numbers for pictures, 8 for texts",
    ),
    "vocabulary too large": (
        lambda folder: state(folder, "config.json:text_config", vocab_size=50),
        "for a vocabulary of 50",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_is_refused_with_a_cure(folder: Path, case: str, capfd: pytest.CaptureFixture[str]) -> None:
    spoil, said = BROKEN[case]
    spoil(folder)
    with pytest.raises(ModelError, match=said) as caught:
        SiglipEncoder.load(str(folder))
    assert str(caught.value).startswith(f"The model {str(folder)!r} ")
    told = capfd.readouterr()
    assert told.out + told.err == ""


def test_a_model_that_is_not_there_is_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(ModelError, match="there is no folder"):
        SiglipEncoder.load(str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="hf download"):
        SiglipEncoder.load("nobody/has-this-model", revision="v1")
    with pytest.raises(ModelError, match="hf download"):
        SiglipEncoder.load("not a name at all")
    with pytest.raises(ModelError, match="has no revision 'main'"):
        SiglipEncoder.load(str(saved), revision="main")
    with pytest.raises(ModelError, match="IMGSEARCH_DEVICE"):
        SiglipEncoder.load(str(saved), device="quantum")


def test_a_text_only_folder_without_a_tokenizer_still_embeds_pictures(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    encoder = SiglipEncoder.load(str(folder), towers=IMAGE)
    assert len(encoder.embed_pictures(probe.drawn(1, encoder.size))) == 1
    with pytest.raises(ModelError, match="no text tower"):
        encoder.embed_texts(["a red shoe"])


def test_nonsense_never_leaves_and_names_its_rows(folder: Path) -> None:
    encoder = SiglipEncoder.load(str(folder), towers=TEXT)
    assert encoder._tokenize is not None
    good, bad = encoder.embed_texts(["a red shoe"]), int(encoder._tokenize(["lamp"])[0, 0])
    encoder._text.embeddings.token_embedding.weight[bad] = float("nan")
    with pytest.raises(NonsenseError) as caught:
        encoder.embed_texts(["a red shoe", "a lamp", "green bag", "lamp"])
    assert caught.value.rows == (1, 3)
    assert isinstance(caught.value, ModelError)
    assert pickle.loads(pickle.dumps(caught.value)).rows == (1, 3)  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(encoder.embed_texts(["a red shoe"]), good)


def test_the_allocator_saying_no_is_out_of_memory_and_not_sticky() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 45)
    assert is_out_of_memory(caught.value)
    assert not is_sticky(caught.value)


@pytest.mark.parametrize(
    ("error", "memory", "sticky"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True, False),
        (torch.AcceleratorError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True, False),
        (MemoryError(), True, False),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), False, True),
        (torch.AcceleratorError("unspecified launch failure"), False, True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False, True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("CUDA error"), False, False),
        (NonsenseError([3]), False, False),
    ],
)
def test_faults_are_told_apart(error: BaseException, memory: bool, sticky: bool) -> None:
    assert (is_out_of_memory(error), is_sticky(error)) == (memory, sticky)
