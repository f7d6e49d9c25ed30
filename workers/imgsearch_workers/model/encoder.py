"""What a worker asks of a model: pictures and texts in, vectors out. No torch here.

IMGSEARCH_MODEL names the model: `demo`, a folder or a hub name is of one of the kinds in `kinds.py`;
`package.module:Name` is an encoder of your own, anything callable without arguments whose result has the methods of
`Encoder`; see docs/models.md.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import ModelError, TextsNotUnderstood
from imgsearch.extras import needed
from imgsearch.picture.geometry import Geometry
from imgsearch.settings import Settings
from imgsearch.spaces.space import Description

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]
_OWN = re.compile(r"(?P<module>\w+(\.\w+)*):(?P<name>\w+)")


class Encoder(Protocol):
    """A loaded model. `size`: its input in pixels; `dimension`: of its vectors; `decoder`: the module of the child
    process that decodes for it, `imgsearch_workers.decoding.child` unless it wants its pixels in another way.

    It may have more: `geometry` (imgsearch.picture.geometry; without one pictures are squashed to size x size);
    `reads_texts`, which is true where it has `embed_texts`; `count_tokens`, see below.
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
        """Embed (B, size, size, 3) uint8 → (B, dimension) float32 of length one.

        Where the geometry lets pictures differ in size, and they do, it is a list of (height, width, 3).
        """
        ...

    def describe(self, *, with_mean: bool = True) -> Description:
        """Return the name, fingerprint and probes a space knows the model by; `with_mean`: it may make a new space."""
        ...

    def free_memory(self) -> None:
        """Hand the device's memory back, after it ran out."""
        ...


@runtime_checkable
class TextEncoder(Encoder, Protocol):
    """A model that understands texts."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts → (B, dimension) float32 of length one."""
        ...


class SharedEncoder:
    """One encoder for two queues: one forward pass at a time."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._lock = encoder, threading.Lock()
        self.size, self.dimension = encoder.size, encoder.dimension
        self.device, self.decoder = encoder.device, encoder.decoder
        self.geometry, self.reads_texts = geometry_of(encoder), reads_texts(encoder)

    def embed_pictures(self, pixels: Pixels) -> Vectors:
        with self._lock:
            return self._encoder.embed_pictures(pixels)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        with self._lock:
            return embed_texts(self._encoder, texts)

    def count_tokens(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        return count_tokens(self._encoder, texts)

    def describe(self, *, with_mean: bool = True) -> Description:
        with self._lock:
            return self._encoder.describe(with_mean=with_mean)

    def free_memory(self) -> None:
        self._encoder.free_memory()


def geometry_of(encoder: Encoder) -> Geometry:
    """Return how an encoder wants its pictures."""
    found: Geometry | None = getattr(encoder, "geometry", None)
    return found or Geometry.squash(encoder.size)


def reads_texts(encoder: Encoder) -> bool:
    """Return whether an encoder understands texts."""
    return bool(getattr(encoder, "reads_texts", hasattr(encoder, "embed_texts")))


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Embed texts. Raises TextsNotUnderstood where the encoder sees pictures only."""
    if not reads_texts(encoder) or not isinstance(encoder, TextEncoder):
        raise TextsNotUnderstood
    return encoder.embed_texts(texts)


def described(encoder: Encoder, *, with_mean: bool) -> Description:
    """Return what an encoder says of itself, and that it reads no texts where it has no way to."""
    said = encoder.describe(with_mean=with_mean)
    return said if reads_texts(encoder) else replace(said, texts=False)


def stacked(pictures: Sequence[Pixels]) -> Pixels:
    """Return pictures as `embed_pictures` takes them: one array, or a list where their sizes differ."""
    if len({picture.shape for picture in pictures}) == 1:
        return np.stack(pictures)
    return cast("Pixels", list(pictures))


def count_tokens(encoder: Encoder, texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return (tokens, tokens that are read) of each text; nothing where an encoder of your own cannot tell.

    An encoder that reads no more than so many tokens has a method of this name.
    """
    counted: list[tuple[int, int]] = getattr(encoder, "count_tokens", lambda _: [])(texts)
    return counted


def load(settings: Settings, model: str, *, with_texts: bool, revision: str | None = None) -> Encoder:
    """Load the model named `model`; `with_texts`: for queries, which are texts and pictures.

    `revision` on the hub: that of a space; without one, the setting's.

    Raises ModelError.
    """
    if own := _OWN.fullmatch(model):
        # Only from the setting: the name of a space comes from the database, which must not choose what we import.
        if model not in settings.model.split(","):
            raise ModelError(f"The vectors here were made by an encoder of your own; set IMGSEARCH_MODEL={model}.")
        return _load_own(model, own["module"], own["name"])
    with needed("worker", f"The model {model}"):
        from imgsearch_workers.model.checkpoint import find
        from imgsearch_workers.model.kinds import encoder_of
        from imgsearch_workers.model.pretrained import BOTH, IMAGE

    checkpoint = find(model, revision or settings.model_revision or None)
    return encoder_of(checkpoint).opened(
        checkpoint,
        towers=BOTH if with_texts else IMAGE,
        device=settings.device,
        threads=settings.threads,
    )


def _load_own(model: str, module: str, name: str) -> Encoder:
    try:
        encoder: Encoder = getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ModelError(
            f"The encoder {model} cannot be loaded ({type(error).__name__}: {error}); "
            "name a class that can be called without arguments, as package.module:Name."
        ) from error
    missing = [part for part in _PARTS if not hasattr(encoder, part)]
    if missing:
        raise ModelError(f"{model} is not an encoder: it lacks {', '.join(missing)}.")
    return encoder


_PARTS = ("size", "dimension", "device", "decoder", "embed_pictures", "describe", "free_memory")
