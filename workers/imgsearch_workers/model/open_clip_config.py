"""What open_clip_config.json says, and whether transformers' CLIP is the same network. No torch here.

OpenCLIP's plain ViT (visual.* and transformer.*) is: same layers, other names. Its other towers (timm, Hugging Face
texts, ResNets, CoCa) are not, and are refused by any key that is not foreseen here.
Source: mlfoundations/open_clip, src/open_clip/model.py (CLIPVisionCfg, CLIPTextCfg) and transform.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from imgsearch.picture.geometry import Geometry
from imgsearch_workers.model.processor import CLIP_MEAN, CLIP_STD, Pixels, filter_of, made
from imgsearch_workers.model.refusal import refuse

_FILTERS = {"bicubic": 3, "bilinear": 2}
# Key → what it must be, where it is stated; None: anything.
_MODEL: dict[str, Any] = {"embed_dim": None, "vision_cfg": None, "text_cfg": None, "quick_gelu": None}
_MODEL |= {"custom_text": False, "init_logit_scale": None, "init_logit_bias": None, "nonscalar_logit_scale": None}
_BOTH: dict[str, Any] = {"layers": None, "width": None, "mlp_ratio": None, "output_tokens": False}
_VISION: dict[str, Any] = {**_BOTH, "head_width": None, "patch_size": None, "image_size": None, "patch_dropout": None}
_VISION |= {"pool_type": "tok", "no_ln_pre": False, "attentional_pool": False, "final_ln_after_pool": False}
_USUAL = {"layers": 12, "image_size": 224, "patch_size": 16, "head_width": 64}
_TEXT: dict[str, Any] = {**_BOTH, "context_length": None, "vocab_size": None, "heads": None, "text_arch": "clip"}
_TEXT |= {"hf_tokenizer_name": None, "tokenizer_kwargs": None, "tokenizer_mode": None, "pool_type": "argmax"}
_TEXT |= {"no_causal_mask": False, "embed_cls": False, "pad_id": None, "proj_type": "linear", "proj_bias": False}


def pixels(model: str, config: Mapping[str, Any]) -> Pixels:
    """Return how OpenCLIP prepares pictures for this model. Raises ModelError where its network is not CLIP's."""
    shape = _checked(model, config)
    stated = config.get("preprocess_cfg") or {}
    size = shape["vision_cfg"].get("image_size", 224)
    filter_ = filter_of(model, _FILTERS.get(stated.get("interpolation", "bicubic"), -1))
    modes = {"shortest": Geometry.crop(size, size, filter_), "squash": Geometry.squash(size, filter_)}
    how = stated.get("resize_mode", "shortest")
    if how not in modes:
        _differs(model, f"pads pictures (resize_mode {how!r})")
    return made(model, modes[how], stated.get("mean") or CLIP_MEAN, stated.get("std") or CLIP_STD)


def towers(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of CLIPVisionConfig and CLIPTextConfig for the same network."""
    shape = config["model_cfg"]
    vision, text = shape["vision_cfg"], shape["text_cfg"]
    both = {"projection_dim": shape["embed_dim"], "hidden_act": "quick_gelu" if shape.get("quick_gelu") else "gelu"}
    wide, narrow = vision.get("width", 768), text.get("width", 512)
    return (
        {
            **both,
            "hidden_size": wide,
            "intermediate_size": int(wide * vision.get("mlp_ratio", 4.0)),
            "num_hidden_layers": vision.get("layers", 12),
            "num_attention_heads": wide // vision.get("head_width", 64),
            "patch_size": vision.get("patch_size", 16),
            "image_size": vision.get("image_size", 224),
        },
        {
            **both,
            "hidden_size": narrow,
            "intermediate_size": int(narrow * text.get("mlp_ratio", 4.0)),
            "num_hidden_layers": text.get("layers", 12),
            "num_attention_heads": text.get("heads", 8),
            "max_position_embeddings": text.get("context_length", 77),
            "vocab_size": text.get("vocab_size", 49408),
            "eos_token_id": 2,  # to transformers: pool at the token of the highest number, which is OpenCLIP's argmax
            "bos_token_id": None,
            "pad_token_id": None,
        },
    )


def _checked(model: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    shape: Any = config.get("model_cfg")
    if not isinstance(shape, dict) or not all(isinstance(shape.get(key), dict) for key in ("vision_cfg", "text_cfg")):
        refuse(model, "has no model_cfg in its open_clip_config.json; download or save it again")
    vision, text = shape["vision_cfg"], shape["text_cfg"]
    if vision.get("timm_model_name"):
        _differs(model, f"sees through timm's {vision['timm_model_name']}")
    if text.get("hf_model_name"):
        _differs(model, f"reads through {text['hf_model_name']}")
    for part, known in ((shape, _MODEL), (vision, _VISION), (text, _TEXT)):
        for key, value in part.items():
            if value is not None and (key not in known or known[key] not in (None, value)):
                _differs(model, f"has {key} = {value!r}")
    numbers = {"embed_dim": shape.get("embed_dim"), **{key: vision.get(key, usual) for key, usual in _USUAL.items()}}
    if not all(isinstance(number, int) and number > 0 for number in numbers.values()):
        _differs(model, f"has {numbers}")
    return shape


def _differs(model: str, how: str) -> NoReturn:
    refuse(
        model,
        f"is an OpenCLIP model that {how}, which transformers' CLIP does not; use its transformers release "
        "(SigLIP: google/siglip2-base-patch16-256), convert it, or write an encoder of your own (docs/models.md)",
    )
