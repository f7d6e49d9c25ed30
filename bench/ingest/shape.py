"""The models of the bench: the demo's own, or a full-size shape with random weights, made here without a download."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

OUT = Path(__file__).parents[1] / "out"
SIZES = {  # pixels, patch, width, inner width, heads, layers of the vision tower
    "siglip-b16-224": (224, 16, 768, 3072, 12, 12),
    "siglip-b16-256": (256, 16, 768, 3072, 12, 12),
    "siglip-l16-384": (384, 16, 1024, 4096, 16, 24),
    "siglip-so400m14-384": (384, 14, 1152, 4304, 16, 27),
}


def model(shape: str) -> str:
    """Return what IMGSEARCH_MODEL is set to for this shape: `tiny`, one of SIZES, or a folder or hub name."""
    if shape == "tiny":
        return "demo"
    if shape not in SIZES:
        return shape
    folder = OUT / f"model-{shape}"
    if not (folder / "model.safetensors").is_file():
        _make(folder, *SIZES[shape])
    return str(folder)


def _make(folder: Path, size: int, patch: int, width: int, inner: int, heads: int, layers: int) -> None:
    """Save a SigLIP of this shape whose weights are random: as quick, or slow, as a trained one."""
    import torch
    from transformers import SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tower = {"hidden_size": width, "intermediate_size": inner, "num_attention_heads": heads}
    demo = Path(str(files("imgsearch"))) / "demo" / "model"
    text = {
        "vocab_size": 441,
        "max_position_embeddings": 20,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    config = SiglipConfig(
        text_config={**tower, **text, "num_hidden_layers": 1},  # an image worker never loads it
        vision_config={**tower, "num_hidden_layers": layers, "image_size": size, "patch_size": patch},
    )
    torch.manual_seed(0)
    SiglipModel(config).to(torch.bfloat16).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": size, "width": size}).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo / name, folder)
