"""DINOv2 and DINOv3: what a picture looks like, without words. Their vector is that of the class token."""

from __future__ import annotations

from typing import Any

from imgsearch_workers.model.pretrained import Pretrained  # before torch: it sets how torch's threads wait

import transformers  # isort: skip


class DinoEncoder(Pretrained):
    """A loaded DINO; it has no text tower, and was never trained to say how well anything fits anything."""

    reads_texts = False

    def _dimension(self) -> int:
        config = self.checkpoint.config
        last = config.get("hidden_sizes") or [config.get("hidden_size")]  # ConvNeXt: the last stage's
        if not isinstance(last[-1], int):
            self.checkpoint.refuse("has no hidden_size in config.json; download or save it again")
        return int(last[-1])

    def _logits(self) -> tuple[None, None]:
        return None, None

    def _image_tower(self) -> Any:
        # A ConvNeXt has no attention, and transformers refuses to be told how to compute it.
        convolves = self.checkpoint.config.get("model_type") == "dinov3_convnext"
        return self._tower(transformers.AutoModel, attn_implementation="eager" if convolves else "sdpa")
