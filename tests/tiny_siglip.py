"""Random SigLIPs of a few thousand weights, laid out like the checkpoints people use; made in a second, offline."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SiglipProcessor,
    SiglipTokenizer,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.utils import logging

SIZE, LENGTH, DIMENSION, VOCABULARY = 32, 16, 32, 320
CAPTIONS = [
    "a red canvas shoe on a white table",
    "blue shirt with stripes",
    "green leather bag",
    "tshirt",
    "three dotted cups and a lamp",
    "the quick brown fox jumps over the lazy dog",
]


def save(folder: Path, layout: str, *, seed: int = 0, **vision: Any) -> Path:
    """Save a random SigLIP: layout `demo` (WordPiece), `siglip` (SentencePiece) or `siglip2` (Gemma's BPE)."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)  # two threads on matrices this small only wait for one another
    tower = {"hidden_size": DIMENSION, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    pad, eos = {"demo": (0, 2), "siglip": (1, 1), "siglip2": (0, 1)}[layout]
    ids = {"bos_token_id": None, "eos_token_id": eos, "pad_token_id": pad}
    config = SiglipConfig(
        text_config={**tower, **ids, "vocab_size": VOCABULARY, "max_position_embeddings": LENGTH},
        vision_config={**tower, "image_size": SIZE, "patch_size": 8, **vision},
    )
    torch.manual_seed(seed)
    SiglipModel(config).save_pretrained(folder)
    # The fixed-resolution SigLIP 2 checkpoints state BILINEAR (2), SigLIP 1 BICUBIC (3).
    square = {"height": config.vision_config.image_size, "width": config.vision_config.image_size}
    images = SiglipImageProcessorPil(size=square, resample=2 if layout == "siglip2" else 3)
    {"demo": _wordpiece, "siglip": _sentencepiece, "siglip2": gemma}[layout](folder)
    if layout == "demo":  # one processor_config.json, as transformers 5 writes it
        SiglipProcessor(images, AutoTokenizer.from_pretrained(folder)).save_pretrained(folder)
    else:  # a preprocessor_config.json, as the checkpoints on the hub have it
        images.save_pretrained(folder)
    return folder


def _wordpiece(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[EOS]"]
    tokenizer.train_from_iterator(CAPTIONS, trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="[EOS]",
        model_max_length=LENGTH,
        model_input_names=["input_ids"],
    ).save_pretrained(folder)


def _sentencepiece(folder: Path) -> None:
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS * 20),
        model_writer=trained,
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        unk_id=2,
        eos_id=1,
        bos_id=-1,
        pad_id=0,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(trained.getvalue())
    SiglipTokenizer(str(folder / "spiece.model"), model_max_length=LENGTH).save_pretrained(folder)


def gemma(folder: Path) -> None:
    """Gemma's layout keeps capitals, whatever its `do_lower_case` says, and pads left unless told otherwise."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    seen = CAPTIONS + [caption.title() + "!,." for caption in CAPTIONS]
    tokenizer.train_from_iterator(seen, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    stated = {
        "tokenizer_class": "GemmaTokenizer",
        "do_lower_case": True,
        "add_bos_token": False,
        "add_eos_token": True,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_max_length": LENGTH,
        "model_input_names": ["input_ids"],
        "padding_side": "right",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
