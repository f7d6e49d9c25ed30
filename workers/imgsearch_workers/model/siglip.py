"""SigLIP, and SigLIP 2 of a fixed resolution, which transformers has as the same model."""

from __future__ import annotations

from typing import Any

from imgsearch_workers.model.pooling import hastened
from imgsearch_workers.model.pretrained import BOTH, IMAGE, Pretrained, Tower  # first: it sets how torch's threads wait
from imgsearch_workers.model.tokenizer import Tokenizer, Tokens

import transformers  # isort: skip

__all__ = ["BOTH", "IMAGE", "SiglipEncoder", "Tower"]


class SiglipEncoder(Pretrained):
    """A loaded SigLIP. It reads input ids alone: it attends to its padding, and a mask would hide that."""

    def _dimension(self) -> int:
        stated: int = self.checkpoint.config.get("vision_config", {}).get("hidden_size", 768)
        return stated  # what it cannot be is refused as the tower is loaded

    def _image_tower(self) -> Any:
        return hastened(self._tower(transformers.SiglipVisionModel))

    def _text_tower(self) -> tuple[Tokens, Any]:
        tokens = Tokenizer(self.checkpoint)
        return tokens, self._tower(transformers.SiglipTextModel)
