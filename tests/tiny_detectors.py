"""Detectors of a few thousand random weights, laid out like checkpoints of the hub; one sees the same everywhere."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil
from transformers.models.yolos.image_processing_pil_yolos import YolosImageProcessorPil
from transformers.utils import logging

from tests.tiny_models import LENGTH, clip_tokenizer

_LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
BOX = (0.25, 0.3, 0.5, 0.4)  # where it sees it
LABELS = ["bag", "shoe", "lamp"]
SIDE = 64


def yolos(folder: Path) -> Path:
    """Save a detector that is sure of a shoe in the middle of every picture, five times over."""
    _quiet()
    config = transformers.YolosConfig(
        **_LAYERS, image_size=[SIDE, SIDE], patch_size=16, num_detection_tokens=5, id2label=dict(enumerate(LABELS))
    )
    model = transformers.YolosForObjectDetection(config)
    with torch.no_grad():
        _always(model.class_labels_classifier.layers[-1], [0.0, 6.0, 0.0, 0.0])
        middle = torch.tensor([BOX[0] + BOX[2] / 2, BOX[1] + BOX[3] / 2, BOX[2], BOX[3]])
        _always(model.bbox_predictor.layers[-1], torch.logit(middle).tolist())
    model.save_pretrained(folder)
    YolosImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def owl(folder: Path) -> Path:
    """Save a detector that looks for words, and finds them by chance."""
    _quiet()
    folder.mkdir(parents=True, exist_ok=True)
    tokens = clip_tokenizer(folder)
    config = transformers.OwlViTConfig(
        text_config={**_LAYERS, "vocab_size": len(tokens), "max_position_embeddings": LENGTH},
        vision_config={**_LAYERS, "image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    transformers.OwlViTForObjectDetection(config).save_pretrained(folder)
    images = OwlViTImageProcessorPil(size={"height": SIDE, "width": SIDE})
    transformers.OwlViTProcessor(images, tokens).save_pretrained(folder)
    return folder


def _always(layer: torch.nn.Linear, values: list[float]) -> None:
    layer.weight.zero_()
    layer.bias.copy_(torch.tensor(values))


def _quiet() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(5)
    torch.set_num_threads(1)
