"""Which kinds of models there are, and which module runs each: the one place that chooses. No torch here.

A folder's config.json says what it is (`model_type`); open_clip_config.json alone, that OpenCLIP saved it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsearch_workers.model.refusal import parsed, refuse

if TYPE_CHECKING:
    from imgsearch_workers.model.checkpoint import Checkpoint
    from imgsearch_workers.model.pretrained import Pretrained

CONFIG, OPEN_CLIP_CONFIG = "config.json", "open_clip_config.json"
OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")


@dataclass(frozen=True)
class Kind:
    """One kind: the module beside this one and its class; the image processor it usually has; whether it reads texts.

    `fixed`: it takes pictures of vision_config.image_size only.
    """

    name: str
    encoder: str
    processor: str
    texts: bool = True
    fixed: bool = False


_DINO = Kind("dino", "DinoEncoder", "BitImageProcessor", texts=False)
_DINO3 = Kind("dino", "DinoEncoder", "DINOv3ViTImageProcessor", texts=False)
SIGLIP = Kind("siglip", "SiglipEncoder", "SiglipImageProcessor", fixed=True)
OPEN_CLIP = Kind("open_clip", "OpenClipEncoder", "")
KINDS: Mapping[str, Kind] = {
    "siglip": SIGLIP,
    "siglip2": Kind("naflex", "NaflexEncoder", "Siglip2ImageProcessor"),
    "clip": Kind("clip", "ClipEncoder", "CLIPImageProcessor", fixed=True),
    "dinov2": _DINO,
    "dinov2_with_registers": _DINO,
    "dinov3_vit": _DINO3,
    "dinov3_convnext": _DINO3,
}


def recognise(model: str, folder: Path) -> tuple[Kind, dict[str, Any]]:
    """Return what kind of model lies in a folder, and its configuration. Raises ModelError."""
    known = (folder / CONFIG).is_file()
    config = parsed(model, folder / CONFIG) if known else {}
    kind = KINDS.get(str(config.get("model_type")))
    by_open_clip = (folder / OPEN_CLIP_CONFIG).is_file() and not any(folder.glob("model*.safetensors*"))
    if by_open_clip or (kind is None and (folder / OPEN_CLIP_CONFIG).is_file()):
        return OPEN_CLIP, parsed(model, folder / OPEN_CLIP_CONFIG)
    if not known:
        refuse(model, f"has no config.json in {folder}; name a folder of save_pretrained()")
    if kind is None:
        refuse(
            model,
            f"is a {config.get('model_type')!r} model, which imgsearch does not know (known: {', '.join(KINDS)}); "
            "use one of these, such as google/siglip2-base-patch16-256, or an encoder of your own (docs/models.md)",
        )
    return kind, config


def encoder_of(checkpoint: Checkpoint) -> type[Pretrained]:
    """Return the class that runs a model; importing it imports torch."""
    found: type[Pretrained] = getattr(
        import_module(f"imgsearch_workers.model.{checkpoint.kind.name}"), checkpoint.kind.encoder
    )
    return found
