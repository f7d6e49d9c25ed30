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
OTHERS = {  # kind, pixels, patch: all of ViT-B's width, 12 heads and 12 layers
    "clip-b16-224": ("clip", 224, 16),
    "naflex-b16-256": ("naflex", 256, 16),
    "dinov2-b14-224": ("dinov2", 224, 14),
    "dinov3-b16-224": ("dinov3", 224, 16),
}


def model(shape: str) -> str:
    """Return what IMGSEARCH_MODEL is set to for this shape: `tiny`, one of SIZES or OTHERS, or a folder or hub name."""
    if shape == "tiny":
        return "demo"
    if shape not in SIZES and shape not in OTHERS:
        return shape
    folder = OUT / f"model-{shape}"
    if not (folder / "model.safetensors").is_file():
        if shape in SIZES:
            _make(folder, *SIZES[shape])
        else:
            _make_other(folder, *OTHERS[shape])
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
    demo = Path(str(files("imgsearch"))) / "dev" / "demo" / "model"
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


def _make_other(folder: Path, kind: str, size: int, patch: int) -> None:
    """Save the picture side of another kind of ViT-B, and the smallest text side where it has one."""
    import torch
    import transformers
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    tower = {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12}
    inner, seen = {"intermediate_size": 3072}, {"image_size": size, "patch_size": patch}
    text = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 9,
    }
    text |= {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(0)
    if kind == "clip":
        clip = transformers.CLIPConfig(text_config=text, vision_config={**tower, **inner, **seen})
        made, images = transformers.CLIPModel(clip), CLIPImageProcessorPil()
    elif kind == "naflex":
        grid = {**tower, **inner, "patch_size": patch, "num_patches": (size // patch) ** 2}
        naflex = transformers.Siglip2Config(text_config={**text, "projection_size": 768}, vision_config=grid)
        made, images = transformers.Siglip2Model(naflex), Siglip2ImageProcessorPil()
    elif kind == "dinov2":
        made = transformers.Dinov2Model(transformers.Dinov2Config(**tower, image_size=518, patch_size=patch))
        images = BitImageProcessorPil(size={"shortest_edge": 256})
    else:
        made = transformers.DINOv3ViTModel(
            transformers.DINOv3ViTConfig(**tower, **inner, **seen, num_register_tokens=4)
        )
        images = None
    made.to(torch.bfloat16).save_pretrained(folder)
    if images is not None:
        images.save_pretrained(folder)
    else:  # the class itself needs torchvision
        (folder / "preprocessor_config.json").write_text('{"image_processor_type": "DINOv3ViTImageProcessorFast"}')
