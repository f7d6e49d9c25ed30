"""Random models of a few thousand weights of every kind but SigLIP, laid out like the checkpoints people use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.utils import logging

from tests import tiny_siglip

SIZE, PATCH, LENGTH, DIMENSION, PROJECTED = 32, 8, 77, 32, 24
MOST = 16  # patches of the NaFlex
_LAYERS = {"hidden_size": DIMENSION, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def save(folder: Path, kind: str, *, seed: int = 0, size: int = SIZE, shortest: int | None = None) -> Path:
    """Save a random model of this kind that sees `size` pixels (a NaFlex: 16 patches of a quarter of it).

    `shortest`: resized to before the middle is cut out.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    _SAVE[kind](folder, size, shortest or size)
    return folder


def _clip(folder: Path, size: int, shortest: int) -> None:
    tokens = clip_tokenizer(folder)
    config = transformers.CLIPConfig(
        text_config={**_LAYERS, **_ids(tokens), "vocab_size": len(tokens), "max_position_embeddings": LENGTH},
        vision_config={**_LAYERS, "image_size": size, "patch_size": PATCH},
        projection_dim=PROJECTED,
    )
    _loud(transformers.CLIPModel(config)).save_pretrained(folder)
    middle = {"height": size, "width": size}
    CLIPImageProcessorPil(size={"shortest_edge": shortest}, crop_size=middle).save_pretrained(folder)


def _naflex(folder: Path, size: int, _: int) -> None:
    patch = size // 4
    config = transformers.Siglip2Config(
        text_config={
            **_LAYERS,
            "bos_token_id": None,
            "eos_token_id": 1,
            "pad_token_id": 0,
            "vocab_size": tiny_siglip.VOCABULARY,
            "max_position_embeddings": tiny_siglip.LENGTH,
        },
        vision_config={**_LAYERS, "patch_size": patch, "num_patches": MOST},
    )
    _loud(transformers.Siglip2Model(config)).save_pretrained(folder)
    tiny_siglip.gemma(folder)
    Siglip2ImageProcessorPil(patch_size=patch, max_num_patches=MOST).save_pretrained(folder)


def _dinov2(folder: Path, size: int, shortest: int, *, registers: bool = False) -> None:
    shape = {**_LAYERS, "image_size": 2 * size, "patch_size": PATCH}  # the checkpoints see less than they were made for
    shape.pop("intermediate_size")
    if registers:
        with_registers = transformers.Dinov2WithRegistersConfig(**shape, num_register_tokens=2)
        _loud(transformers.Dinov2WithRegistersModel(with_registers)).save_pretrained(folder)
    else:
        _loud(transformers.Dinov2Model(transformers.Dinov2Config(**shape))).save_pretrained(folder)
    BitImageProcessorPil(
        size={"shortest_edge": shortest},
        crop_size={"height": size, "width": size},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)


def _dinov3(folder: Path, size: int, _: int) -> None:
    config = transformers.DINOv3ViTConfig(**_LAYERS, image_size=size, patch_size=PATCH, num_register_tokens=2)
    _loud(transformers.DINOv3ViTModel(config)).save_pretrained(folder)
    _dinov3_processor(folder, size)


def _dinov3_convnext(folder: Path, size: int, _: int) -> None:
    config = transformers.DINOv3ConvNextConfig(
        hidden_sizes=[8, 16, 24, DIMENSION], depths=[1, 1, 1, 1], image_size=size
    )
    _loud(transformers.DINOv3ConvNextModel(config)).save_pretrained(folder)
    _dinov3_processor(folder, size)


def _dinov3_processor(folder: Path, size: int) -> None:
    """As the checkpoints on the hub have it; the class itself cannot be had without torchvision."""
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "DINOv3ViTImageProcessorFast", "do_resize": true, "do_rescale": true, "resample": 2, '
        f'"size": {{"height": {size}, "width": {size}}}, "do_normalize": true, "rescale_factor": 0.00392156862745098, '
        '"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_center_crop": null}'
    )


def clip_tokenizer(folder: Path) -> transformers.CLIPTokenizer:
    """Save a tokenizer as CLIP's: words end in </w>, the token of the end has the highest number."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(vocab_size=400, end_of_word_suffix="</w>", initial_alphabet=letters)
    trained.train_from_iterator(tiny_siglip.CAPTIONS * 3, trainer)
    names = [*letters, *(f"{letter}</w>" for letter in letters), *sorted(trained.get_vocab())]
    vocabulary = {name: number for number, name in enumerate(dict.fromkeys(names))}
    vocabulary |= {"<|startoftext|>": len(vocabulary), "<|endoftext|>": len(vocabulary) + 1}
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    tokenizer = transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _ids(tokens: transformers.CLIPTokenizer) -> dict[str, Any]:
    return {name: getattr(tokens, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def _loud(model: Any) -> Any:
    """Make the random weights large enough that a mistake shows in the vector: as initialised they hardly matter."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.mul_(4 if "embed" in name else 2)
            elif name.endswith("bias"):
                weight.normal_(0, 0.1)
    return model


_SAVE: dict[str, Callable[[Path, int, int], None]] = {
    "clip": _clip,
    "naflex": _naflex,
    "dinov2": _dinov2,
    "dinov2 with registers": lambda folder, size, shortest: _dinov2(folder, size, shortest, registers=True),
    "dinov3": _dinov3,
    "dinov3 convnext": _dinov3_convnext,
}
