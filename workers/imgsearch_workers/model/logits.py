"""What a model was trained to say of a text beside a picture: scale and bias of its own sigmoid, out of its weights.

SigLIP: match = 1 / (1 + exp(-(scale · cosine + bias))) (Zhai et al., ICCV 2023): for a text and a picture, not for two
pictures. CLIP has a scale alone, of a softmax over a batch. `logit_scale` is stored as a logarithm. They belong to
neither tower, so each worker can read them.
"""

from __future__ import annotations

import math

from safetensors import SafetensorError, safe_open

from imgsearch_workers.model.checkpoint import Checkpoint


def read_logits(checkpoint: Checkpoint) -> tuple[float | None, float | None]:
    """Return (scale, bias), or (None, None) where a model does not say them or says nonsense."""
    found = _found(checkpoint)
    scale = _scale(found)
    return (scale, found["logit_bias"]) if scale is not None and "logit_bias" in found else (None, None)


def read_scale(checkpoint: Checkpoint) -> float | None:
    """Return the scale alone, or None where a model does not say it or says nonsense."""
    return _scale(_found(checkpoint))


def _found(checkpoint: Checkpoint) -> dict[str, float]:
    found: dict[str, float] = {}
    for path in checkpoint.weights:
        try:
            with safe_open(path, framework="pt") as weights:
                for name in {"logit_scale", "logit_bias"} & set(weights.keys()):
                    found[name] = float(weights.get_tensor(name).float().reshape(-1)[0])
        except (OSError, SafetensorError) as error:
            checkpoint.refuse(f"cannot be read ({error}); download or save it again", error)
    return found


def _scale(found: dict[str, float]) -> float | None:
    logarithm = found.get("logit_scale")
    if logarithm is None or not all(map(math.isfinite, found.values())) or abs(logarithm) > 20:
        return None
    return math.exp(logarithm)
