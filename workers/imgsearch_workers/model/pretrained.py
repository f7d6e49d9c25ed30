"""How pictures and texts become vectors by a model of transformers: what all kinds have in common. Imports torch.

Load it in the process that uses it: a child forked after torch has computed with several threads hangs in its first
forward pass, and CUDA cannot be used on both sides of a fork.
"""

from __future__ import annotations

import gc
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np

from imgsearch_workers.model import device as devices  # before torch: it sets how torch's threads wait

import torch  # isort: skip
import transformers
from huggingface_hub.errors import StrictDataclassError
from numpy.typing import NDArray
from safetensors import SafetensorError

from imgsearch.errors import ModelError, TextsNotUnderstood
from imgsearch.spaces.space import Description
from imgsearch_workers.model import probe
from imgsearch_workers.model.checkpoint import Checkpoint, find
from imgsearch_workers.model.device_errors import NonsenseError
from imgsearch_workers.model.encoder import Pixels, Vectors
from imgsearch_workers.model.logits import read_logits
from imgsearch_workers.model.tokenizer import Tokens

Tower = Literal["image", "text"]
BOTH: frozenset[Tower] = frozenset({"image", "text"})
IMAGE: frozenset[Tower] = frozenset({"image"})

_MEAN_OF = 32  # pictures; their mean only has to point into the cone where the vectors of a model lie
_SMALLEST_NORM = 1e-6


class Pretrained(ABC):
    """A loaded model; see `Encoder` for its parts. A kind says how its towers are loaded and asked."""

    decoder = "imgsearch_workers.decoding.child"
    reads_texts: ClassVar[bool] = True

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.checkpoint, self.dtype = checkpoint, dtype
        self._device, self.device = device, str(device)
        self.geometry, self.size = checkpoint.pixels.geometry, checkpoint.pixels.size
        self.dimension = self._dimension()
        self._image: Any = None
        self._text: Any = None
        self._tokenize: Tokens | None = None
        mean, std = np.array(checkpoint.pixels.mean), np.array(checkpoint.pixels.std)
        self._scale = torch.tensor(checkpoint.pixels.rescale / std, dtype=torch.float32, device=device)
        self._shift = torch.tensor(-mean / std, dtype=torch.float32, device=device)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        revision: str | None = None,
        towers: frozenset[Tower] = BOTH,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        threads: int = 0,
    ) -> Self:
        """Find a model of this kind (`demo`, a local folder or a hub name) and open it; see `opened`."""
        return cls.opened(find(model, revision), towers=towers, device=device, dtype=dtype, threads=threads)

    @classmethod
    def opened(
        cls,
        checkpoint: Checkpoint,
        *,
        towers: frozenset[Tower] = BOTH,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        threads: int = 0,
    ) -> Self:
        """Load the wanted towers of a model and check that they answer sensibly.

        `threads` of torch on the CPU; 0: see `device.set_threads`.
        Raises ModelError where the model is missing, broken, of another kind, or answers nonsense.
        """
        _hush()
        place = devices.chosen(device)
        if checkpoint.kind.encoder != cls.__name__:
            checkpoint.refuse(f"is of the kind {checkpoint.kind.name!r}; load it as a {checkpoint.kind.encoder}")
        devices.set_threads(threads, checkpoint.size)
        encoder = cls(checkpoint, place, devices.dtype_for(dtype, place))
        if "image" in towers or not cls.reads_texts:
            encoder._image = encoder._image_tower()
        if "text" in towers and cls.reads_texts:
            encoder._tokenize, encoder._text = encoder._text_tower()
        encoder._probe()
        return encoder

    @abstractmethod
    def _dimension(self) -> int:
        """Return how many numbers a vector has, by the configuration."""

    @abstractmethod
    def _image_tower(self) -> Any:
        """Return the loaded tower for pictures (see `_tower`)."""

    def _text_tower(self) -> tuple[Tokens, Any]:
        """Return the tokenizer and the loaded tower for texts."""
        raise NotImplementedError

    def _see(self, values: torch.Tensor) -> torch.Tensor:
        """Return the vectors (B, D) of normalised pictures (B, height, width, 3) float32."""
        pooled: torch.Tensor = self._image(pixel_values=values.permute(0, 3, 1, 2).to(self.dtype)).pooler_output
        return pooled

    def _read(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the vectors (B, D) of token ids (B, length)."""
        pooled: torch.Tensor = self._text(input_ids=tokens).pooler_output
        return pooled

    def _logits(self) -> tuple[float | None, float | None]:
        """Return scale and bias of what the model was trained to say of a text beside a picture; None: nothing."""
        return read_logits(self.checkpoint)

    def embed_pictures(self, pixels: Pixels) -> Vectors:
        """Embed RGB pictures of this geometry, (B, size, size, 3) uint8 → (B, dimension) float32 of length one.

        Raises NonsenseError, naming the rows; ModelError where the image tower is not loaded.
        """
        if self._image is None:
            raise ModelError("This worker holds no image tower; send pictures to an image worker.")
        if not len(pixels):
            return np.zeros((0, self.dimension), np.float32)
        with torch.inference_mode():
            return _unit(self._see_pixels(pixels))

    def _see_pixels(self, pixels: Pixels) -> torch.Tensor:
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"pictures are (B, {self.size}, {self.size}, 3) uint8, not {pixels.shape} {pixels.dtype}")
        return self._see(self._normalised(pixels))

    def _normalised(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        # uint8 crosses the bus: a quarter of the bytes, and the device normalises faster than numpy.
        values = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(self._device)
        return values.float().mul_(self._scale).add_(self._shift)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, canonicalised first → (B, dimension) float32 of length one.

        Raises NonsenseError, naming the rows; ModelError where the text tower is not loaded; TextsNotUnderstood.
        """
        if not self.reads_texts:
            raise TextsNotUnderstood(f"The model {self.checkpoint.model} sees pictures only; ask with a picture.")
        if self._text is None or self._tokenize is None:
            raise ModelError("This worker holds no text tower; send texts to a query worker.")
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        tokens = torch.from_numpy(self._tokenize(list(texts))).to(self._device)
        with torch.inference_mode():
            return _unit(self._read(tokens))

    def count_tokens(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Return how many tokens each text has, and how many of them the text tower reads."""
        return self._tokenize.count(list(texts)) if self._tokenize else []

    def describe(self, *, with_mean: bool = True) -> Description:
        """Describe the model as a space knows it; a worker that joins a space needs no mean and saves 32 pictures."""
        picture, text = self._probe()
        scale, bias = self._logits()
        mean: list[float] = []
        if with_mean and self._image is not None:
            parts = np.split(probe.drawn(_MEAN_OF, self.size), _MEAN_OF // 8)
            mean = np.concatenate([self.embed_pictures(part) for part in parts]).mean(0).tolist()
        return Description(
            model=self.checkpoint.model,
            revision=self.checkpoint.revision,
            fingerprint=self.checkpoint.fingerprint,
            dimension=self.dimension,
            preprocessing=self.checkpoint.preprocessing,
            mean=mean,
            probe_picture=picture,
            probe_text=text,
            match_scale=scale,
            match_bias=bias,
            texts=self.reads_texts,
        )

    def free_memory(self) -> None:
        """Hand cached memory back after an out-of-memory error; not inside the `except`, which holds the tensors."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _probe(self) -> tuple[list[float], list[float]]:
        """Embed the fixed picture and text with the towers that are loaded. Raises ModelError."""
        picture: list[float] = []
        text: list[float] = []
        try:
            if self._image is not None:
                picture = self.embed_pictures(probe.drawn(probe.PICTURE + 1, self.size)[-1:])[0].tolist()
            if self._text is not None:
                text = self.embed_texts([probe.TEXT])[0].tolist()
        except NonsenseError as error:
            self.checkpoint.refuse("answers NaN or zero; download it again", error)
        for what, vector in (("pictures", picture), ("texts", text)):
            if vector and len(vector) != self.dimension:
                self.checkpoint.refuse(
                    f"answers {self.dimension} numbers for pictures, {len(vector)} for {what}; save it again"
                )
        return picture, text

    def _tower(self, kind: Any, **how: Any) -> Any:
        """Load one tower's weights, all of them: a missing one would be made up at random."""
        try:
            tower, report = kind.from_pretrained(
                self.checkpoint.folder,
                dtype=self.dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **{"attn_implementation": "sdpa", **how},
            )
        except (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError) as error:
            self.checkpoint.refuse(f"cannot be loaded ({devices.first_line(error)}); download or save it again", error)
        absent = sorted(report["missing_keys"]) or sorted(map(str, report["mismatched_keys"]))
        if absent:
            self.checkpoint.refuse(f"lacks {len(absent)} weights, such as {absent[0]}; download or save it again")
        return self._checked(tower)

    def _checked(self, tower: Any) -> Any:
        """Return a tower ready to be asked. Raises ModelError for weights that are no numbers."""
        # A sum is finite only if every summand is, and needs no second tensor of the weight's size.
        if not all(weights.sum(dtype=torch.float32).isfinite() for weights in tower.parameters()):
            self.checkpoint.refuse("has weights that are NaN or infinite; download or train it again")
        return tower.eval().requires_grad_(False).to(self._device)


def _unit(pooled: torch.Tensor) -> Vectors:
    """Scale vectors (B, D) to length one in float32; no vector without a direction leaves the encoder."""
    vectors: Vectors = pooled.float().cpu().numpy()
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = ~(np.isfinite(norms) & (norms > _SMALLEST_NORM))
    if bad.any():
        raise NonsenseError(np.flatnonzero(bad).tolist())
    vectors /= norms
    return vectors


def _hush() -> None:
    """Keep transformers' load reports and bars off the terminal; what matters in them is checked and raised here."""
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
