"""CLIP, as transformers saves it: OpenAI's, LAION's, DataComp's, FashionCLIP and whatever is trained from them."""

from __future__ import annotations

from typing import Any

from imgsearch_workers.model.logits import read_scale
from imgsearch_workers.model.pretrained import Pretrained  # before torch: it sets how torch's threads wait
from imgsearch_workers.model.tokenizer import CausalTokenizer, Tokens

import torch  # isort: skip
import transformers  # isort: skip


class ClipEncoder(Pretrained):
    """A loaded CLIP. It reads up to its last word and never beyond, so padding needs neither care nor a mask."""

    def _dimension(self) -> int:
        stated: int = self.checkpoint.config.get("projection_dim", 512)
        return stated

    def _logits(self) -> tuple[float | None, float | None]:
        # A softmax over a batch, not a probability of its own: there is a scale, and no bias.
        return read_scale(self.checkpoint), None

    def _image_tower(self) -> Any:
        return self._tower(transformers.CLIPVisionModelWithProjection, config=self._towers_config("vision_config"))

    def _text_tower(self) -> tuple[Tokens, Any]:
        tokens = CausalTokenizer(self.checkpoint)
        config = self._towers_config("text_config")
        tokens.expect_end(config.eos_token_id)
        return tokens, self._tower(transformers.CLIPTextModelWithProjection, config=config)

    def _towers_config(self, which: str) -> Any:
        """Return one tower's configuration, which needs the projection's size: files state it for both together."""
        try:
            config = getattr(transformers.CLIPConfig.from_pretrained(self.checkpoint.folder), which)
        except Exception as error:  # noqa: BLE001 - a strict dataclass raises several kinds
            self.checkpoint.refuse(
                f"has a config.json that CLIP does not have ({error}); download or save it again", error
            )
        config.projection_dim = self.dimension
        return config

    def _see(self, values: torch.Tensor) -> torch.Tensor:
        seen: torch.Tensor = self._image(pixel_values=values.permute(0, 3, 1, 2).to(self.dtype)).image_embeds
        return seen

    def _read(self, tokens: torch.Tensor) -> torch.Tensor:
        read: torch.Tensor = self._text(input_ids=tokens).text_embeds
        return read
