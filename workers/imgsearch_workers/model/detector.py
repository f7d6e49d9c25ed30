"""An object detector of transformers: DETR, RT-DETR, D-FINE, YOLOS; or one that looks for words (OWL, Grounding DINO).

Imports torch. Only weights without code are loaded (safetensors), and no code of the hub. torchvision is not needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imgsearch.errors import ModelError
from imgsearch_workers.model.device import chosen, first_line, set_threads
from imgsearch_workers.proposers.proposed import Proposed, kept

LEAST_SCORE, LEAST_SCORE_OF_WORDS = 0.25, 0.1  # as their examples have it; shares of 0 to 1
MOST_READ = 1000  # boxes of one picture, the surest
MOST_LABELS, LONGEST_LABEL = 40, 60
_CURE = "name an object detector of transformers: detector:PekingU/rtdetr_v2_r18vd, or a folder"


def quiet() -> None:
    """Have transformers draw no progress bars, in a process whose output is a log."""
    import_module("transformers.utils.logging").disable_progress_bar()


class Detector:
    """A model, its processor, and the words that it looks for, if any."""

    def __init__(self, model: Any, processor: Any, labels: Sequence[str], device: torch.device) -> None:
        self._model, self._processor, self._device = model, processor, device
        self._labels = [label[:LONGEST_LABEL] for label in labels[:MOST_LABELS]]

    @classmethod
    def opened(cls, name: str, labels: Sequence[str] = (), *, device: str = "auto", threads: int = 0) -> Detector:
        """Load a model from a folder or the hub. Raises ModelError for what is no detector."""
        transformers: Any = import_module("transformers")
        kind = "AutoModelForZeroShotObjectDetection" if labels else "AutoModelForObjectDetection"
        reader = "AutoProcessor" if labels else "AutoImageProcessor"
        place = chosen(device)
        try:
            model = getattr(transformers, kind).from_pretrained(name, use_safetensors=True).eval()
            processor = getattr(transformers, reader).from_pretrained(name)
        except (OSError, ValueError, ImportError, KeyError, AttributeError) as error:
            said = first_line(error)[:120].rstrip(". ")
            words = "" if labels else " (one that looks for words is given them: detector:NAME#bag,shoe)"
            raise ModelError(f"The detector {name} cannot be loaded: {said}; {_CURE}{words}.") from error
        set_threads(threads, sum(one.numel() * one.element_size() for one in model.parameters()))
        made = cls(model.to(place), processor, labels, place)
        made.detect(np.full((64, 64, 3), 127, np.uint8), 1)  # the first pass is slow, and what fails always fails here
        return made

    @torch.inference_mode()
    def detect(self, pixels: NDArray[np.uint8], most: int) -> list[Proposed]:
        """Return at most `most` things in a picture, the surest first: uint8 (h, w, 3)."""
        from PIL import Image

        high, wide = pixels.shape[:2]
        words = {"text": [self._labels]} if self._labels else {}
        given = self._processor(images=[Image.fromarray(pixels)], return_tensors="pt", **words).to(self._device)
        answer = self._model(**given)
        [found] = self._read(answer, given, torch.tensor([[high, wide]], device=self._device))
        return kept(self._proposed(found, wide, high), most)

    def _read(self, answer: Any, given: Mapping[str, Any], sizes: torch.Tensor) -> Any:
        if not self._labels:
            read = self._processor.post_process_object_detection
            return read(answer, threshold=LEAST_SCORE, target_sizes=sizes)
        read = self._processor.post_process_grounded_object_detection
        takes = inspect.signature(read).parameters
        ids = {"input_ids": given["input_ids"]} if "input_ids" in takes else {}
        return read(answer, **ids, threshold=LEAST_SCORE_OF_WORDS, target_sizes=sizes, text_labels=[self._labels])

    def _proposed(self, found: Mapping[str, Any], wide: int, high: int) -> list[Proposed]:
        """Return the surest of what a picture's answer holds, in shares; sides of boxes as the model gives them."""
        scores, corners = found["scores"].float().cpu(), found["boxes"].float().cpu()
        finite = corners.isfinite().all(dim=1) & scores.isfinite()
        places = finite.nonzero()[:, 0]
        order = places[scores[places].topk(min(MOST_READ, len(places))).indices].tolist()
        left, top, right, low = (corners / torch.tensor([wide, high, wide, high])).T
        boxes = torch.stack([left, top, right - left, low - top], dim=1)
        return [
            Proposed(
                box=(boxes[n, 0].item(), boxes[n, 1].item(), boxes[n, 2].item(), boxes[n, 3].item()),
                score=scores[n].item(),
                label=self._label(found, n),
            )
            for n in order
        ]

    def _label(self, found: Mapping[str, Any], place: int) -> str | None:
        if found.get("text_labels") is not None:
            return str(found["text_labels"][place])
        number = int(found["labels"][place])
        name = (self._model.config.id2label or {}).get(number)
        return None if name is None or name == f"LABEL_{number}" else str(name)
