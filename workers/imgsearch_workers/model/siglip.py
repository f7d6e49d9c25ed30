"""How pictures and texts become vectors: a SigLIP behind three calls. The only file that imports torch.

Load it in the process that uses it: a child forked after torch has computed with several threads hangs in its first
forward pass, and CUDA cannot be used on both sides of a fork.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

# Read once, when torch loads its OpenMP. Threads that wait spinning take the cores from the decoders of this worker:
# beside a busy machine the ViT-B/16-256 shape took 2.3 s of CPU per picture spinning, 0.9 s asleep, at twice the rate.
# Repeat with `OMP_WAIT_POLICY=active python -m imgsearch_workers.model.siglip --model … --threads 2`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from numpy.typing import NDArray
from safetensors import SafetensorError

from imgsearch.errors import ModelError
from imgsearch.spaces.space import Description
from imgsearch_workers.model import probe
from imgsearch_workers.model.checkpoint import PREPROCESSING, Checkpoint, find
from imgsearch_workers.model.device_errors import NonsenseError
from imgsearch_workers.model.encoder import Vectors
from imgsearch_workers.model.logits import read_logits
from imgsearch_workers.model.tokenizer import Tokenizer

__all__ = ["BOTH", "IMAGE", "SiglipEncoder", "Tower"]

Tower = Literal["image", "text"]
BOTH: frozenset[Tower] = frozenset({"image", "text"})
IMAGE: frozenset[Tower] = frozenset({"image"})

_MEAN_OF = 32  # pictures; their mean only has to point into the cone where the vectors of a model lie
_SMALLEST_NORM = 1e-6
_SMALL = 64 << 20  # bytes of weights; the smallest SigLIP on the hub has 400 MB, the demo model 6 MB


class SiglipEncoder:
    """A loaded SigLIP; see `Encoder` for its parts."""

    decoder = "imgsearch_workers.decoding.child"

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self.checkpoint, self.dtype = checkpoint, dtype
        self._device, self.device = device, str(device)
        self.size = checkpoint.pixels.size
        self.dimension: int = checkpoint.config.get("vision_config", {}).get("hidden_size", 768)
        self._image: Any = None
        self._text: Any = None
        self._tokenize: Tokenizer | None = None
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
    ) -> SiglipEncoder:
        """Load the wanted towers of `demo`, a local folder or a hub name, and check that they answer sensibly.

        `threads` of torch on the CPU; 0: one per core that this container may use, and a single one for a small model,
        whose matrices are too small to share and whose pictures need the other cores to be decoded.
        Raises ModelError where the model is missing, broken, of another kind, or answers nonsense.
        """
        _hush()
        checkpoint, place = find(model, revision), _device(device)
        torch.set_num_threads(threads or (1 if checkpoint.size < _SMALL else _cores_allowed()))
        encoder = cls(checkpoint, place, _dtype(dtype, place))
        if "image" in towers:
            encoder._image = encoder._tower(transformers.SiglipVisionModel)
        if "text" in towers:
            encoder._tokenize = Tokenizer(encoder.checkpoint)
            encoder._text = encoder._tower(transformers.SiglipTextModel)
        encoder._probe()
        return encoder

    def embed_pictures(self, pixels: NDArray[np.uint8]) -> Vectors:
        """Embed squashed RGB pictures (B, size, size, 3) uint8 → (B, dimension) float32 of length one.

        Raises NonsenseError, naming the rows; ModelError where the image tower is not loaded.
        """
        if self._image is None:
            raise ModelError("This worker holds no image tower; send pictures to an image worker.")
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"pictures are (B, {self.size}, {self.size}, 3) uint8, not {pixels.shape} {pixels.dtype}")
        if not len(pixels):
            return np.zeros((0, self.dimension), np.float32)
        with torch.inference_mode():
            # uint8 crosses the bus: a quarter of the bytes, and the device normalises faster than numpy.
            values = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(self._device)
            values = values.float().mul_(self._scale).add_(self._shift).permute(0, 3, 1, 2)
            return _unit(self._image(pixel_values=values.to(self.dtype)).pooler_output)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, canonicalised first → (B, dimension) float32 of length one.

        Raises NonsenseError, naming the rows; ModelError where the text tower is not loaded.
        """
        if self._text is None or self._tokenize is None:
            raise ModelError("This worker holds no text tower; send texts to a query worker.")
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        tokens = torch.from_numpy(self._tokenize(list(texts))).to(self._device)
        with torch.inference_mode():
            # Input ids alone: SigLIP attends to its padding, and a mask would hide it.
            return _unit(self._text(input_ids=tokens).pooler_output)

    def count_tokens(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Return how many tokens each text has, and how many of them the text tower reads."""
        return self._tokenize.count(list(texts)) if self._tokenize else []

    def describe(self, *, with_mean: bool = True) -> Description:
        """Describe the model as a space knows it; a worker that joins a space needs no mean and saves 32 pictures."""
        picture, text = self._probe()
        scale, bias = read_logits(self.checkpoint)
        mean: list[float] = []
        if with_mean and self._image is not None:
            parts = np.split(probe.drawn(_MEAN_OF, self.size), _MEAN_OF // 8)
            mean = np.concatenate([self.embed_pictures(part) for part in parts]).mean(0).tolist()
        return Description(
            model=self.checkpoint.model,
            revision=self.checkpoint.revision,
            fingerprint=self.checkpoint.fingerprint,
            dimension=self.dimension,
            preprocessing=PREPROCESSING,
            mean=mean,
            probe_picture=picture,
            probe_text=text,
            match_scale=scale,
            match_bias=bias,
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
        if text and len(text) != self.dimension:
            self.checkpoint.refuse(
                f"answers {self.dimension} numbers for pictures, {len(text)} for texts; save it again"
            )
        return picture, text

    def _tower(self, kind: Any) -> Any:
        """Load one tower's weights, all of them: a missing one would be made up at random."""
        try:
            tower, report = kind.from_pretrained(
                self.checkpoint.folder,
                dtype=self.dtype,
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError, StrictDataclassError) as error:
            self.checkpoint.refuse(f"cannot be loaded ({_first_line(error)}); download or save it again", error)
        absent = sorted(report["missing_keys"]) or sorted(map(str, report["mismatched_keys"]))
        if absent:
            self.checkpoint.refuse(f"lacks {len(absent)} weights, such as {absent[0]}; download or save it again")
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


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=(place := torch.device(name)))
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch built without CUDA
        raise ModelError(
            f"There is no device {name!r} here ({_first_line(error)}); set IMGSEARCH_DEVICE=auto."
        ) from error
    return place


def _dtype(name: str, device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the hardware computes in it; emulated, it is slower than float32."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        checks = (torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported)  # noqa: SLF001 - no public ones
        native = device.type == "cpu" and any(check() for check in checks)
    return torch.bfloat16 if native else torch.float32


def _cores_allowed() -> int:
    """Return how many cores torch sees, or the fewer that the container's quota allows."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(torch.get_num_threads(), max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # not Linux, or the quota is "max"
        return torch.get_num_threads()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def main() -> None:
    """Print what a model is and how fast it runs here."""
    parser = argparse.ArgumentParser(prog="python -m imgsearch_workers.model.siglip", description=main.__doc__)
    parser.add_argument("--model", required=True, help="demo, a folder or a hub name")
    parser.add_argument("--revision", help="revision on the hub")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3, help="how long to measure each tower")
    given = parser.parse_args()
    how = {"revision": given.revision, "device": given.device, "dtype": given.dtype, "threads": given.threads}
    try:
        encoder = SiglipEncoder.load(given.model, **how)
    except ModelError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    pictures, texts = probe.drawn(given.batch, encoder.size), [f"{probe.TEXT} {n}" for n in range(given.batch)]
    print(f"device      {encoder.device}, {encoder.dtype}, {torch.get_num_threads()} threads")
    print(f"pixels      {encoder.size}\ndimension   {encoder.dimension}\nfingerprint {encoder.checkpoint.fingerprint}")
    print(f"img/s       {_speed(given.batch, lambda: encoder.embed_pictures(pictures), given.seconds)}")
    print(f"text/s      {_speed(given.batch, lambda: encoder.embed_texts(texts), given.seconds)}")


def _speed(batch: int, embed: Callable[[], Vectors], seconds: float) -> str:
    """Measure at least three passes, after one to warm up; CPU time is the figure to trust on a busy machine."""
    embed()
    passes, wall, cpu = 0, time.perf_counter(), time.process_time()
    while passes < 3 or time.perf_counter() - wall < seconds:
        embed()
        passes += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return f"{passes * batch / wall:.2f}, {1000 * cpu / passes / batch:.2f} ms of CPU each, batches of {batch}"


if __name__ == "__main__":
    main()
