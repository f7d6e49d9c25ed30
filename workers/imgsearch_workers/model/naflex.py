"""SigLIP 2 NaFlex: pictures keep their shape, each a grid of up to 256 patches of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imgsearch_workers.model.encoder import Pixels
from imgsearch_workers.model.pooling import hastened
from imgsearch_workers.model.pretrained import Pretrained  # before torch: it sets how torch's threads wait
from imgsearch_workers.model.tokenizer import Tokenizer, Tokens

import torch  # isort: skip
import transformers  # isort: skip


class NaflexEncoder(Pretrained):
    """A loaded NaFlex; of several pictures in one pass, the smaller ones are padded and the padding is masked."""

    def _dimension(self) -> int:
        stated: int = self.checkpoint.config.get("vision_config", {}).get("hidden_size", 768)
        return stated  # what it cannot be is refused as the tower is loaded

    def _image_tower(self) -> Any:
        expected = self.checkpoint.config.get("vision_config", {}).get("patch_size", 16)
        if expected != self.geometry.patch:
            self.checkpoint.refuse(
                f"cuts pictures into patches of {self.geometry.patch} but sees {expected} pixels; "
                "save the processor that belongs to it"
            )
        return hastened(self._tower(transformers.Siglip2VisionModel))

    def _text_tower(self) -> tuple[Tokens, Any]:
        tokens = Tokenizer(self.checkpoint)
        return tokens, self._tower(transformers.Siglip2TextModel)

    def _see_pixels(self, pixels: Pixels | Sequence[Pixels]) -> torch.Tensor:
        """Embed pictures (height, width, 3) uint8 of whole patches, which may differ in size."""
        grids = [self._grid(picture) for picture in pixels]
        patch, longest = self.geometry.patch, max(rows * columns for rows, columns in grids)
        values = torch.zeros((len(grids), longest, patch * patch * 3), device=self._device)
        mask = torch.zeros((len(grids), longest), dtype=torch.int32, device=self._device)
        for row, (picture, (down, across)) in enumerate(zip(pixels, grids, strict=True)):
            # (down, patch, across, patch, 3) → one row of numbers per patch, as transformers cuts them
            cut = self._normalised(picture).reshape(down, patch, across, patch, 3).transpose(1, 2)
            values[row, : down * across] = cut.reshape(down * across, -1)
            mask[row, : down * across] = 1
        answer = self._image(
            pixel_values=values.to(self.dtype),
            pixel_attention_mask=mask,
            spatial_shapes=torch.tensor(grids, device=self._device),
        )
        pooled: torch.Tensor = answer.pooler_output
        return pooled

    def _grid(self, picture: Pixels) -> tuple[int, int]:
        """Return how many patches a picture has down and across. Raises ValueError."""
        patch = self.geometry.patch
        whole = (
            picture.ndim == 3
            and picture.shape[2] == 3
            and not picture.shape[0] % patch
            and not picture.shape[1] % patch
        )
        if picture.dtype != np.uint8 or not whole or picture.size > self.geometry.most_pixels * 3:
            raise ValueError(
                f"pictures are up to {self.geometry.most} patches of {patch} pixels, (height, width, 3) uint8, "
                f"not {picture.shape} {picture.dtype}"
            )
        return picture.shape[0] // patch, picture.shape[1] // patch
