"""Which files make up a model, whether they fit together, and the fingerprint that names them. No torch here.

The fingerprint answers "are these vectors comparable?": it is made from whole files, whichever tower is loaded, so an
image worker and a query worker agree. It costs one read of the weights per start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from huggingface_hub import errors as hub_errors
from huggingface_hub import snapshot_download

from imgsearch.extras import install
from imgsearch.picture.geometry import Geometry
from imgsearch_workers.model import open_clip_config, processor
from imgsearch_workers.model.kinds import OPEN_CLIP, OPEN_CLIP_WEIGHTS, SIGLIP, Kind, recognise
from imgsearch_workers.model.processor import Pixels
from imgsearch_workers.model.refusal import parsed, refuse

DEMO = "demo"
"""The name of the small model that travels inside the package."""

PREPROCESSING = "squash-1"
"""How pictures become pixels and texts become tokens; a change here makes new spaces. The number stands for every
geometry: `crop-1` is what the same code makes of pictures for a model that has their middle cut out."""

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_VOCABULARIES = ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.txt", "vocab.json", "merges.txt")
_WANTED = ["*.json", "*.safetensors", "*.model", "vocab.txt", "merges.txt"]

# What of config.json changes a vector. The rest (versions, dtype, where it came from) must not change the fingerprint.
# For SigLIP it is listed; for the kinds that came later, all but what is listed here counts: a key that nobody foresaw
# then makes a new space, which is safe, rather than letting vectors be mixed.
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
_NOISE = frozenset(
    {
        *("transformers_version", "architectures", "dtype", "torch_dtype", "_name_or_path", "_commit_hash"),
        *("initializer_range", "initializer_factor", "logit_scale_init_value", "attention_dropout", "dropout"),
        *("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate", "use_cache", "return_dict"),
        *("id2label", "label2id", "problem_type", "tie_word_embeddings", "_attn_implementation"),
    }
)


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder, checked; `model` is the name it was asked for by, `revision` the hub's commit or ""."""

    model: str
    revision: str
    folder: Path
    kind: Kind
    config: Mapping[str, Any]
    pixels: Pixels
    weights: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Return how many bytes the weights have on disk."""
        return sum(path.stat().st_size for path in self.weights)

    @property
    def preprocessing(self) -> str:
        """Return the version of the way pictures become pixels."""
        return PREPROCESSING.replace("squash", self.pixels.geometry.mode)

    @cached_property
    def fingerprint(self) -> str:
        """Hash everything that decides a vector (sha256, hex): shape, weights, tokenizer, preprocessing."""
        vocabularies = [self.folder / name for name in _VOCABULARIES if (self.folder / name).is_file()]
        tokenizer = self.folder / "tokenizer_config.json"
        matters = {
            **self._shape(),
            "tokens": _only(parsed(self.model, tokenizer), _TOKENS) if tokenizer.is_file() else {},
            "files": {path.name: _digest(path) for path in (*self.weights, *vocabularies)},
            "preprocessing": self.preprocessing,
        }
        return hashlib.sha256(json.dumps(matters, sort_keys=True).encode()).hexdigest()

    def require_tokenizer(self) -> None:
        """Raise ModelError where the folder has no vocabulary to read texts with."""
        if not any((self.folder / name).is_file() for name in _VOCABULARIES):
            self.refuse("has no tokenizer; save the model's tokenizer into the same folder (tokenizer.json)")

    def refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        """Raise ModelError about this model: `why` ends with the cure."""
        refuse(self.model, why, cause)

    def _shape(self) -> dict[str, Any]:
        """Return what the fingerprint says of network and pixels."""
        numbers = [*self.pixels.mean, *self.pixels.std, self.pixels.rescale]
        if self.kind == SIGLIP:
            towers = {tower: _only(self.config.get(tower, {}), _SHAPE) for tower in _TOWERS}
            return {"shape": towers, "pixels": [self.pixels.size, *numbers]}
        geometry = list(astuple(self.pixels.geometry))
        return {"kind": self.kind.name, "shape": _without_noise(self.config), "pixels": [geometry, *numbers]}


def find(model: str, revision: str | None = None) -> Checkpoint:
    """Find and check a model: `demo`, a local folder, or a hub name that is downloaded once.

    Raises ModelError where it is missing, incomplete, broken, or of a kind that imgsearch does not know.
    """
    folder, commit = _locate(model, revision)
    kind, config = recognise(model, folder)
    if kind == OPEN_CLIP:
        pixels = open_clip_config.pixels(model, config)
        return Checkpoint(model, commit, folder, kind, config, pixels, _weights(model, folder, OPEN_CLIP_WEIGHTS))
    for tower in _TOWERS:
        if not isinstance(config.get(tower, {}), dict):
            refuse(model, f"has a broken {tower} in config.json; download or save it again")
    pixels = processor.read(model, folder, kind.processor)
    if kind.fixed:
        pixels = _fixed(model, kind, config, pixels)
    return Checkpoint(model, commit, folder, kind, config, pixels, _weights(model, folder, (_SINGLE,)))


def _locate(model: str, revision: str | None) -> tuple[Path, str]:
    """Return the folder and, from the hub, the commit it holds."""
    folder = Path(str(files("imgsearch"))) / "dev" / "demo" / "model" if model == DEMO else Path(model).expanduser()
    local = model == DEMO or folder.is_dir() or model.startswith((".", "/", "~"))
    if not local:
        return _download(model, revision)
    if model == DEMO and not folder.is_dir():
        refuse(model, f"is not installed; run: {install('dev')}")
    if not folder.is_dir():
        refuse(
            model,
            f"is missing: there is no folder {folder}; correct its path (IMGSEARCH_MODEL, or that of `space add`)",
        )
    if revision:
        refuse(model, f"is a folder and has no revision {revision!r}; leave --revision out (IMGSEARCH_MODEL_REVISION)")
    return folder, ""


def _download(model: str, revision: str | None) -> tuple[Path, str]:
    try:
        folder = Path(snapshot_download(model, revision=revision, allow_patterns=_WANTED))
    # RevisionResolutionError and EntryNotFoundError are plain Exceptions; HTTPError covers proxies.
    except (OSError, ValueError, hub_errors.EntryNotFoundError, hub_errors.HTTPError) as error:  # type: ignore[attr-defined]
        at = f" at revision {revision}" if revision else ""
        refuse(
            model,
            f"cannot be had from the hub{at} ({type(error).__name__}); check the name and the network, "
            "or with HF_HUB_OFFLINE=1 download it beforehand: `hf download <name>`",
            error,
        )
    return folder, folder.name


def _fixed(model: str, kind: Kind, config: Mapping[str, Any], pixels: Pixels) -> Pixels:
    """Check that pictures are prepared in the size that the model sees."""
    expected = config.get("vision_config", {}).get("image_size", 224)
    if pixels.size != expected:
        refuse(
            model,
            f"resizes pictures to {pixels.size} but sees {expected} pixels; save the processor that belongs to it",
        )
    if kind == SIGLIP:
        # BICUBIC whatever is stated (SigLIP 2 states BILINEAR): it is how all SigLIP vectors were made (`squash-1`).
        return replace(pixels, geometry=Geometry.squash(pixels.size))
    return pixels


def _weights(model: str, folder: Path, single: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the weight files, all present. Pickled weights (.bin) are never opened: they can run code."""
    for name in single:
        if (folder / name).is_file():
            return (folder / name,)
    if single != (_SINGLE,) or not (folder / _INDEX).is_file():
        pickled = sorted(path.name for kind in _PICKLED for path in folder.glob(kind))
        has = f" but {pickled[0]}, a pickle, which could run any code" if pickled else ""
        refuse(model, f"has no {single[0]}{has}; {_SAVE_AGAIN[single == (_SINGLE,)]}")
    shards = parsed(model, folder / _INDEX).get("weight_map", {}).values()
    paths = tuple(folder / Path(name).name for name in sorted(set(shards)))
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        refuse(model, f"lacks weight files {missing}; download it again")
    return paths


_SAVE_AGAIN = {
    True: "save it again with save_pretrained(), which writes safetensors",
    False: "in OpenCLIP: safetensors.torch.save_file(model.state_dict(), 'open_clip_model.safetensors')",
}


def _only(values: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in wanted}


def _without_noise(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _without_noise(value) for key, value in values.items() if key not in _NOISE}
    return values


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
