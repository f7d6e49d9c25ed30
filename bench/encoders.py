"""What a picture costs each kind of model on the CPU: `python -m bench.encoders`. Random weights of ViT-B, interleaved.

Processor time, not time: it says the same on a machine that others use. `SigLIP, plain` is transformers' own head.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import transformers
from imgsearch_workers.model.pooling import hastened

BATCH = 4
VIT = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
WIDE = VIT | {"intermediate_size": 3072, "image_size": 224, "patch_size": 16}


def main() -> None:
    """Measure and print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    asks = kinds(getattr(torch, given.dtype))
    seen: dict[str, list[float]] = {name: [] for name in asks}
    with torch.inference_mode():
        for turn in range(given.rounds + 1):
            for name, ask in asks.items():
                began = _cpu()
                ask()
                if turn:  # the first pass lays weights out
                    seen[name].append((_cpu() - began) / BATCH * 1000)
    base = statistics.median(seen["SigLIP"])
    for name, times in seen.items():
        spent = statistics.median(times)
        print(f"{name:<28}{spent:7.0f} ms of CPU per picture  {spent / base:5.2f}")


def kinds(dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """Return a forward pass of each kind over pictures of 224 pixels (NaFlex: 256 patches)."""
    torch.manual_seed(0)
    pictures = torch.randn(BATCH, 3, 224, 224).to(dtype)
    patches = {
        "pixel_values": torch.randn(BATCH, 256, 768).to(dtype),
        "pixel_attention_mask": torch.ones(BATCH, 256, dtype=torch.int32),
        "spatial_shapes": torch.tensor([[16, 16]] * BATCH),
    }

    def ready(made: Any) -> Any:
        return made.to(dtype).eval().requires_grad_(False)

    siglip = transformers.SiglipVisionConfig(**WIDE)
    naflex = transformers.Siglip2VisionConfig(**VIT, intermediate_size=3072, patch_size=16, num_patches=256)
    towers = {
        "SigLIP": hastened(ready(transformers.SiglipVisionModel(siglip))),
        "SigLIP, plain": ready(transformers.SiglipVisionModel(siglip)),
        "CLIP": ready(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**WIDE))),
        "DINOv2": ready(transformers.Dinov2Model(transformers.Dinov2Config(**VIT, image_size=224, patch_size=14))),
        "DINOv3": ready(transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**WIDE))),
    }
    shaped = {
        "NaFlex": hastened(ready(transformers.Siglip2VisionModel(naflex))),
        "NaFlex, plain": ready(transformers.Siglip2VisionModel(naflex)),
    }
    asks: dict[str, Callable[[], Any]] = {}
    for name, tower in towers.items():
        asks[name] = lambda tower=tower: tower(pixel_values=pictures)
    for name, tower in shaped.items():
        asks[name] = lambda tower=tower: tower(**patches)
    return asks


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system


if __name__ == "__main__":
    main()
