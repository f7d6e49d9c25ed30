"""Random cross-encoders of a few thousand weights, laid out like the checkpoints people use."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from transformers.utils import logging

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] [DEC] [ENC] a red blue green shoe bag lamp poster the of and with"
_LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def save(folder: Path, kind: str) -> Path:
    """Save a random model of this kind."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(3)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS.split()))
    tokens = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
    if kind == "blip":
        from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

        ids = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
        text = {**_LAYERS, **ids, "vocab_size": len(tokens), "encoder_hidden_size": 32, "max_position_embeddings": 64}
        vision = {**_LAYERS, "image_size": 64, "patch_size": 16}
        config = transformers.BlipConfig(
            text_config=text, vision_config=vision, projection_dim=16, image_text_hidden_size=16
        )
        model = transformers.BlipForImageTextRetrieval(config)
        images = BlipImageProcessorPil(size={"height": 64, "width": 64})
        processor = transformers.BlipProcessor(images, tokens)
    else:
        from transformers.models.vilt.image_processing_pil_vilt import ViltImageProcessorPil

        config = transformers.ViltConfig(
            **_LAYERS, vocab_size=len(tokens), image_size=64, patch_size=16, max_position_embeddings=40, num_labels=1
        )
        model = transformers.ViltForImageAndTextRetrieval(config)
        images = ViltImageProcessorPil(size={"shortest_edge": 64}, size_divisor=16)
        processor = transformers.ViltProcessor(images, tokens)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() > 1:  # so that pictures make a difference
                weights.mul_(12 if "vision" in name or "crossattention" in name else 4)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
