"""What a worker asks of a model: pictures and texts in, vectors out. No torch here.

IMGSEARCH_MODEL names the model: `demo`, a folder or a hub name is a SigLIP; `package.module:Name` is an encoder of
your own, anything callable without arguments whose result has the methods of `Encoder`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import ModelError
from imgsearch.extras import needed
from imgsearch.settings import Settings
from imgsearch.spaces.space import Description

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]
_OWN = re.compile(r"(?P<module>\w+(\.\w+)*):(?P<name>\w+)")


class Encoder(Protocol):
    """A loaded model. `size`: its input in pixels; `dimension`: of its vectors; `decoder`: the module of the child
    process that decodes for it, `imgsearch_workers.decoding.child` unless it wants its pixels in another way.
    """

    @property
    def size(self) -> int: ...
    @property
    def dimension(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def decoder(self) -> str: ...

    def embed_pictures(self, pixels: Pixels) -> Vectors:
        """Embed (B, size, size, 3) uint8 → (B, dimension) float32 of length one."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts → (B, dimension) float32 of length one."""
        ...

    def describe(self, *, with_mean: bool = True) -> Description:
        """Return the name, fingerprint and probes a space knows the model by; `with_mean`: it may make a new space."""
        ...

    def free_memory(self) -> None:
        """Hand the device's memory back, after it ran out."""
        ...


class SharedEncoder:
    """One encoder for two queues: one forward pass at a time."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._lock = encoder, threading.Lock()
        self.size, self.dimension = encoder.size, encoder.dimension
        self.device, self.decoder = encoder.device, encoder.decoder

    def embed_pictures(self, pixels: Pixels) -> Vectors:
        with self._lock:
            return self._encoder.embed_pictures(pixels)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            return self._encoder.embed_texts(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        return count_tokens(self._encoder, texts)

    def describe(self, *, with_mean: bool = True) -> Description:
        with self._lock:
            return self._encoder.describe(with_mean=with_mean)

    def free_memory(self) -> None:
        self._encoder.free_memory()


def count_tokens(encoder: Encoder, texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return (tokens, tokens that are read) of each text; nothing where an encoder of your own cannot tell.

    An encoder that reads no more than so many tokens has a method of this name.
    """
    counted: list[tuple[int, int]] = getattr(encoder, "count_tokens", lambda _: [])(texts)
    return counted


def load(settings: Settings, model: str, *, with_texts: bool) -> Encoder:
    """Load the model named `model`; `with_texts`: for queries, which are texts and pictures.

    Raises ModelError.
    """
    if own := _OWN.fullmatch(model):
        # Only from the setting: the name of a space comes from the database, which must not choose what we import.
        if settings.model != model:
            raise ModelError(f"The vectors here were made by an encoder of your own; set IMGSEARCH_MODEL={model}.")
        return _load_own(model, own["module"], own["name"])
    with needed("worker", f"The model {model}"):
        from imgsearch_workers.model.siglip import BOTH, IMAGE, SiglipEncoder

    return SiglipEncoder.load(
        model,
        revision=settings.model_revision or None,
        towers=BOTH if with_texts else IMAGE,
        device=settings.device,
        threads=settings.threads,
    )


def _load_own(model: str, module: str, name: str) -> Encoder:
    try:
        encoder: Encoder = getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ModelError(
            f"IMGSEARCH_MODEL={model} cannot be loaded ({type(error).__name__}: {error}); "
            "name a class that can be called without arguments, as package.module:Name."
        ) from error
    missing = [part for part in _PARTS if not hasattr(encoder, part)]
    if missing:
        raise ModelError(f"IMGSEARCH_MODEL={model} is not an encoder: it lacks {', '.join(missing)}.")
    return encoder


_PARTS = ("size", "dimension", "device", "decoder", "embed_pictures", "embed_texts", "describe", "free_memory")
