"""How a model's own image processor prepares pictures, read from its JSON: shape for the decoder, numbers for us.

No torch and no transformers here. A key that is absent has the default of the stock class of that name; what a class
does that is not written here is refused, since a vector of a wrongly prepared picture looks right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from imgsearch.picture.geometry import Filter, Geometry
from imgsearch_workers.model.refusal import parsed, refuse

FILES = ("processor_config.json", "preprocessor_config.json")

Three = tuple[float, float, float]
_HALF: Three = (0.5, 0.5, 0.5)
CLIP_MEAN: Three = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Three = (0.26862954, 0.26130258, 0.27577711)
_IMAGENET: tuple[Three, Three] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_FILTERS: tuple[Filter, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # as Pillow numbers them


class _Stock(NamedTuple):
    """What a class of transformers does unless the JSON says otherwise."""

    mean: Three
    std: Three
    resample: int
    size: Mapping[str, int]
    crop: Mapping[str, int] | None = None


_SQUARE, _SHORTEST = {"height": 224, "width": 224}, {"shortest_edge": 224}
_STOCK = {
    "SiglipImageProcessor": _Stock(_HALF, _HALF, 3, _SQUARE),
    "Siglip2ImageProcessor": _Stock(_HALF, _HALF, 2, {}),
    "CLIPImageProcessor": _Stock(CLIP_MEAN, CLIP_STD, 3, _SHORTEST, _SQUARE),
    "BitImageProcessor": _Stock(CLIP_MEAN, CLIP_STD, 3, _SHORTEST, _SQUARE),
    "ViTImageProcessor": _Stock(_HALF, _HALF, 2, _SQUARE),
    "DINOv3ViTImageProcessor": _Stock(*_IMAGENET, 2, _SQUARE),
}


@dataclass(frozen=True)
class Pixels:
    """How a model wants its pixels: of this geometry, and `(value * rescale - mean) / std` per channel."""

    geometry: Geometry
    mean: Three
    std: Three
    rescale: float

    @property
    def size(self) -> int:
        """Return the side of a square picture, as the model sees it."""
        return self.geometry.size


def read(model: str, folder: Path, usual: str) -> Pixels:
    """Read the processor of a folder, of the class `usual` where it does not say of which. Raises ModelError."""
    stated = _stated(model, folder)
    stock = _stock(model, stated, usual)
    if not all(stated.get(step, True) for step in ("do_resize", "do_rescale", "do_normalize")):
        refuse(model, "has a processor that leaves out a step (do_resize, do_rescale, do_normalize); set all three")
    if stated.get("do_pad"):
        refuse(model, "has a processor that pads pictures (do_pad), which imgsearch does not do; use another model")
    return made(
        model,
        _geometry(model, stated, stock, usual),
        stated.get("image_mean") or stock.mean,
        stated.get("image_std") or stock.std,
        float(stated.get("rescale_factor", 1 / 255)),
    )


def made(model: str, geometry: Geometry, mean: Any, std: Any, rescale: float = 1 / 255) -> Pixels:
    """Return checked Pixels. Raises ModelError."""
    mean, std = (tuple(map(float, three)) for three in (mean, std))
    if len(mean) != 3 or len(std) != 3 or 0.0 in std:
        refuse(model, "has an image_mean or image_std that is not three usable numbers; correct its processor")
    return Pixels(geometry, mean, std, rescale)


def filter_of(model: str, resample: int) -> Filter:
    """Return the filter that Pillow has under this number. Raises ModelError."""
    if not 0 <= resample < len(_FILTERS):
        refuse(model, f"resizes pictures by filter {resample}, which Pillow does not have; correct its processor")
    return _FILTERS[resample]


def _stated(model: str, folder: Path) -> Mapping[str, Any]:
    found = [path for path in (folder / name for name in FILES) if path.is_file()]
    if not found:
        refuse(model, f"has no {FILES[1]}; save the model's processor into the same folder")
    stated = parsed(model, found[0])
    if "image_processor" not in stated and found[0].name == FILES[0] and len(found) > 1:
        stated = parsed(model, found[1])
    inner: Mapping[str, Any] = stated.get("image_processor", stated)
    return inner


def _stock(model: str, stated: Mapping[str, Any], usual: str) -> _Stock:
    """Return the defaults of the class that the JSON names, in one of the ways it has been named over the years."""
    named = str(stated.get("image_processor_type") or stated.get("feature_extractor_type") or usual)
    name = named.removesuffix("Pil").removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
    if name not in _STOCK:
        refuse(
            model,
            f"prepares its pictures with a {named}, which imgsearch does not know (known: {', '.join(_STOCK)}); "
            "write an encoder of your own for it (docs/models.md)",
        )
    return _STOCK[name]


def _geometry(model: str, stated: Mapping[str, Any], stock: _Stock, usual: str) -> Geometry:
    filter_ = filter_of(model, int(stated.get("resample", stock.resample)))
    if usual == "Siglip2ImageProcessor":
        return _allowed(model, "patches", stated.get("patch_size", 16), stated.get("max_num_patches", 256), filter_)
    size = _sides(stated.get("size", stock.size), shortest=stock.crop is not None)
    cropped = stated.get("do_center_crop", stock.crop is not None)
    crop = _sides(stated.get("crop_size") or stock.crop or size) if cropped else None
    if _is_square(size) and crop in (None, size):
        return _allowed(model, "squash", size["height"], filter_)
    if size.keys() != {"shortest_edge"} or crop is None or not _is_square(crop):
        refuse(
            model,
            f"resizes pictures to {size} and cuts out {crop}; imgsearch can squash them to a square, or cut one out "
            "of the middle (shortest_edge and do_center_crop); correct its processor",
        )
    return _allowed(model, "crop", crop["height"], size["shortest_edge"], filter_)


def _is_square(size: Mapping[str, int]) -> bool:
    return size.keys() == {"height", "width"} and size["height"] == size["width"]


def _sides(size: Any, *, shortest: bool = False) -> dict[str, int]:
    """Return a size as a dictionary; old files give one number, which is the shorter side where the rest is cut off."""
    if isinstance(size, int):
        return {"shortest_edge": size} if shortest else {"height": size, "width": size}
    return {key: value for key, value in size.items() if value is not None}


def _allowed(model: str, mode: str, *numbers: Any) -> Geometry:
    try:
        geometry: Geometry = getattr(Geometry, mode)(*numbers)
    except (TypeError, ValueError) as error:
        refuse(model, f"asks for pictures that are not possible ({error}); correct its processor", error)
    return geometry
