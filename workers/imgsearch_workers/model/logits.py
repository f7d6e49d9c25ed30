"""What a SigLIP was trained to say of a text beside a picture: scale and bias of its own sigmoid, out of its weights.

match = 1 / (1 + exp(-(scale · cosine + bias))) (Zhai et al., ICCV 2023): for a text and a picture, not for two
pictures. `logit_scale` is stored as a logarithm. They belong to neither tower, so each worker can read them.
"""

from __future__ import annotations

import math

from safetensors import SafetensorError, safe_open

from imgsearch_workers.model.checkpoint import Checkpoint


def read_logits(checkpoint: Checkpoint) -> tuple[float | None, float | None]:
    """Return (scale, bias), or (None, None) where a model does not say them or says nonsense."""
    found: dict[str, float] = {}
    for path in checkpoint.weights:
        try:
            with safe_open(path, framework="pt") as weights:
                for name in {"logit_scale", "logit_bias"} & set(weights.keys()):
                    found[name] = float(weights.get_tensor(name).float().reshape(-1)[0])
        except (OSError, SafetensorError) as error:
            checkpoint.refuse(f"cannot be read ({error}); download or save it again", error)
    if len(found) < 2 or not all(map(math.isfinite, found.values())) or abs(found["logit_scale"]) > 20:
        return None, None
    return math.exp(found["logit_scale"]), found["logit_bias"]
