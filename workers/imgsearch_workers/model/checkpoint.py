"""Which files make up a model, whether they fit together, and the fingerprint that names them. No torch here.

The fingerprint answers "are these vectors comparable?": it is made from whole files, whichever tower is loaded, so an
image worker and a query worker agree. It costs one read of the weights per start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from huggingface_hub import errors as hub_errors
from huggingface_hub import snapshot_download

from imgsearch.errors import ModelError
from imgsearch.extras import install

DEMO = "demo"
"""The name of the small model that travels inside the package."""

PREPROCESSING = "squash-1"
"""How pictures become pixels and texts become tokens; a change here makes a new space."""

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_VOCABULARIES = ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.txt", "vocab.json", "merges.txt")
_WANTED = ["*.json", "*.safetensors", "*.model", "vocab.txt", "merges.txt"]

# What of config.json changes a vector. The rest (versions, dtype, where it came from) must not change the fingerprint.
_TOWERS = ("vision_config", "text_config")
_VISION = ("image_size", "patch_size", "num_channels", "vision_use_head")
_TEXT = ("vocab_size", "max_position_embeddings", "projection_size")
_LAYERS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "layer_norm_eps",
)
_SHAPE = (*_LAYERS, *_VISION, *_TEXT)
_TOKENS = ("tokenizer_class", "do_lower_case", "add_bos_token", "add_eos_token", "eos_token", "pad_token", "unk_token")


@dataclass(frozen=True)
class Pixels:
    """How a model wants its pixels: `(value * rescale - mean) / std` per channel, on a square of `size`."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rescale: float


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder, checked; `model` is the name it was asked for by, `revision` the hub's commit or ""."""

    model: str
    revision: str
    folder: Path
    config: Mapping[str, Any]
    pixels: Pixels
    weights: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Return how many bytes the weights have on disk."""
        return sum(path.stat().st_size for path in self.weights)

    @cached_property
    def fingerprint(self) -> str:
        """Hash everything that decides a vector (sha256, hex): shape, weights, tokenizer, preprocessing."""
        vocabularies = [self.folder / name for name in _VOCABULARIES if (self.folder / name).is_file()]
        tokenizer = self.folder / "tokenizer_config.json"
        matters = {
            "shape": {tower: _only(self.config.get(tower, {}), _SHAPE) for tower in _TOWERS},
            "pixels": [self.pixels.size, *self.pixels.mean, *self.pixels.std, self.pixels.rescale],
            "tokens": _only(_read(tokenizer), _TOKENS) if tokenizer.is_file() else {},
            "files": {path.name: _digest(path) for path in (*self.weights, *vocabularies)},
            "preprocessing": PREPROCESSING,
        }
        return hashlib.sha256(json.dumps(matters, sort_keys=True).encode()).hexdigest()

    def require_tokenizer(self) -> None:
        """Raise ModelError where the folder has no vocabulary to read texts with."""
        if not any((self.folder / name).is_file() for name in _VOCABULARIES):
            self.refuse("has no tokenizer; save the model's tokenizer into the same folder (tokenizer.json)")

    def refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        """Raise ModelError about this model: `why` ends with the cure."""
        _refuse(self.model, why, cause)


def find(model: str, revision: str | None = None) -> Checkpoint:
    """Find and check a SigLIP model: `demo`, a local folder, or a hub name that is downloaded once.

    Raises ModelError where it is missing, incomplete, broken, or not a fixed-resolution SigLIP.
    """
    folder, commit = _locate(model, revision)
    if not (folder / "config.json").is_file():
        _refuse(model, f"has no config.json in {folder}; point IMGSEARCH_MODEL at a folder of save_pretrained()")
    config = _parsed(model, folder / "config.json")
    _check_kind(model, config)
    return Checkpoint(model, commit, folder, config, _pixels(model, folder, config), _weights(model, folder))


def _locate(model: str, revision: str | None) -> tuple[Path, str]:
    """Return the folder and, from the hub, the commit it holds."""
    folder = Path(str(files("imgsearch"))) / "dev" / "demo" / "model" if model == DEMO else Path(model).expanduser()
    local = model == DEMO or folder.is_dir() or model.startswith((".", "/", "~"))
    if not local:
        return _download(model, revision)
    if model == DEMO and not folder.is_dir():
        _refuse(model, f"is not installed; run: {install('dev')}")
    if not folder.is_dir():
        _refuse(model, f"is missing: there is no folder {folder}; correct IMGSEARCH_MODEL")
    if revision:
        _refuse(model, f"is a folder and has no revision {revision!r}; unset IMGSEARCH_MODEL_REVISION")
    return folder, ""


def _download(model: str, revision: str | None) -> tuple[Path, str]:
    try:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=_WANTED))
    # RevisionResolutionError and EntryNotFoundError are plain Exceptions; HTTPError covers proxies.
    except (OSError, ValueError, hub_errors.EntryNotFoundError, hub_errors.HTTPError) as error:  # type: ignore[attr-defined]
        at = f" at revision {revision}" if revision else ""
        _refuse(
            model,
            f"cannot be had from the hub{at} ({type(error).__name__}); check the name and the network, "
            "or with HF_HUB_OFFLINE=1 download it beforehand: `hf download <name>`",
            error,
        )
    return folder, folder.name


def _check_kind(model: str, config: Mapping[str, Any]) -> None:
    kind = config.get("model_type")
    if kind == "siglip2":
        _refuse(model, "is a NaFlex SigLIP 2; use a fixed-resolution one such as google/siglip2-base-patch16-256")
    if kind != "siglip":
        _refuse(model, f"is a {kind!r} model; use a SigLIP such as google/siglip2-base-patch16-256")
    for tower in _TOWERS:
        if not isinstance(config.get(tower, {}), dict):
            _refuse(model, f"has a broken {tower} in config.json; download or save it again")


def _weights(model: str, folder: Path) -> tuple[Path, ...]:
    """Return the weight files, all present. Pickled weights (.bin) are never opened: they can run code."""
    if (folder / _SINGLE).is_file():
        return (folder / _SINGLE,)
    if not (folder / _INDEX).is_file():
        _refuse(model, f"has no {_SINGLE}; save it again with save_pretrained(), which writes safetensors")
    shards = _parsed(model, folder / _INDEX).get("weight_map", {}).values()
    paths = tuple(folder / Path(name).name for name in sorted(set(shards)))
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        _refuse(model, f"lacks weight files {missing}; download it again")
    return paths


def _pixels(model: str, folder: Path, config: Mapping[str, Any]) -> Pixels:
    """Read how pictures are normalised; a key that is absent has the default of the stock SigLIP image processor."""
    found = [path for path in (folder / name for name in _PROCESSORS) if path.is_file()]
    if not found:
        _refuse(model, f"has no {_PROCESSORS[1]}; save the model's processor into the same folder")
    stated = _parsed(model, found[0])
    if "image_processor" not in stated and found[0].name == _PROCESSORS[0] and len(found) > 1:
        stated = _parsed(model, found[1])
    stated = stated.get("image_processor", stated)
    size = stated.get("size", {"height": 224, "width": 224})
    expected = config.get("vision_config", {}).get("image_size", 224)
    if size != {"height": expected, "width": expected}:
        _refuse(model, f"resizes pictures to {size} but sees {expected} pixels; save the processor that belongs to it")
    if not all(stated.get(step, True) for step in ("do_resize", "do_rescale", "do_normalize")):
        _refuse(model, "has a processor that leaves out a step (do_resize, do_rescale, do_normalize); set all three")
    mean, std = (tuple(map(float, stated.get(key) or (0.5,) * 3)) for key in ("image_mean", "image_std"))
    if len(mean) != 3 or len(std) != 3 or 0.0 in std:
        _refuse(model, "has an image_mean or image_std that is not three usable numbers; correct its processor")
    return Pixels(int(expected), mean, std, float(stated.get("rescale_factor", 1 / 255)))


def _only(values: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in wanted}


def _read(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return values


def _parsed(model: str, path: Path) -> dict[str, Any]:
    try:
        return _read(path)
    except (OSError, ValueError) as error:
        _refuse(model, f"has an unreadable {path.name} ({error}); download or save it again", error)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse(model: str, why: str, cause: Exception | None = None) -> NoReturn:
    raise ModelError(f"The model {model!r} {why}.") from cause
