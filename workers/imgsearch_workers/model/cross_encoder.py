"""The step `cross_encoder`: a model that sees words and a picture together, through transformers. Imports torch.

BLIP with its image-text matching head and ViLT for retrieval; a chain of pictures in small batches, until the time
allows no further one. What was not looked at keeps its order behind what was.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch

from imgsearch.errors import ModelError
from imgsearch_workers.looking.step import Look, Pixels, Ranked
from imgsearch_workers.model.device import chosen, first_line, set_threads

KINDS = {"blip": "BlipForImageTextRetrieval", "vilt": "ViltForImageAndTextRetrieval"}
NO_TEXT = "The question has no words for the model to read beside the pictures."
AT_ONCE = 4
LONGEST = 1000  # characters of the words


class CrossEncoder:
    """A model and its processor."""

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:
        self._model, self._processor, self._device = model, processor, device
        self._seconds = 0.0  # that one picture took, the slowest so far

    @classmethod
    def opened(cls, name: str, *, device: str = "auto", threads: int = 0) -> CrossEncoder:
        """Load a model from a folder or the hub. Raises ModelError for one that is no cross-encoder."""
        transformers: Any = import_module("transformers")
        try:
            kind = transformers.AutoConfig.from_pretrained(name).model_type
            if kind not in KINDS:
                raise ModelError(f"{name} is a {kind}; a cross-encoder here is one of {', '.join(KINDS)}.")
            model = getattr(transformers, KINDS[kind]).from_pretrained(name, use_safetensors=True).eval()
            processor = transformers.AutoProcessor.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise ModelError(f"The cross-encoder {name} cannot be loaded: {first_line(error)}") from error
        set_threads(threads, sum(one.numel() * one.element_size() for one in model.parameters()))
        place = chosen(device)
        made = cls(model.to(place), processor, place)
        made.scores("red shoe", [torch.full((32, 32, 3), 127, dtype=torch.uint8).numpy()])  # the first pass is slow
        return made

    def rank(self, look: Look) -> Ranked:
        """Rank by how well each picture fits the words, as far as the time allows."""
        if not look.text:
            return Ranked(looked=0, why=NO_TEXT)
        scores: dict[int, float] = {}
        looked = 0
        for at in range(0, len(look.candidates), AT_ONCE):
            batch = look.candidates[at : at + AT_ONCE]
            if look.left() < 1.2 * self._seconds * len(batch):
                break
            began = time.monotonic()
            pixels = {one.index: found for one in batch if (found := look.pictures.pixels(one.index)) is not None}
            if pixels:
                scores |= dict(zip(pixels, self.scores(look.text, list(pixels.values())), strict=True))
            looked += len(batch)
            self._seconds = max(self._seconds, (time.monotonic() - began) / len(batch))
        why = None if scores else "There was no time to look at a single picture."
        order = sorted(scores, key=lambda index: -scores[index])
        return Ranked(order, {one: {"score": round(score, 6)} for one, score in scores.items()}, looked, why)

    @torch.inference_mode()
    def scores(self, text: str, pictures: Sequence[Pixels]) -> list[float]:
        """Return from 0 to 1 how well each picture fits the words."""
        from PIL import Image

        said = self._processor(
            images=[Image.fromarray(one) for one in pictures],
            text=[text[:LONGEST]] * len(pictures),
            return_tensors="pt",
            padding=True,
            truncation=True,
        ).to(self._device)
        made = self._model(**said)
        if hasattr(made, "itm_score"):  # BLIP: no, yes
            return [float(x) for x in made.itm_score.float().softmax(-1)[:, 1]]
        return [float(x) for x in made.logits.float().sigmoid()[:, 0]]
