"""What is the tiny model made of? A SiglipModel of 1.5 million weights and a WordPiece tokenizer for shop words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel, SiglipProcessor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

SIZE = 64
"""Side of the pictures in px."""
POSITIONS = 20
"""Tokens of a text, always padded to this many: SigLIP pools the last position."""
WIDTH = 128
_VOCABULARY = 480
_PAD, _UNK, _EOS = "[PAD]", "[UNK]", "[EOS]"
_ALPHABET = list("abcdefghijklmnopqrstuvwxyz0123456789")


def tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn a lower-casing WordPiece tokenizer from texts; it ends each text with [EOS] and pads on the right."""
    made = Tokenizer(models.WordPiece(unk_token=_UNK))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()])
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=_VOCABULARY, special_tokens=[_PAD, _UNK, _EOS], initial_alphabet=_ALPHABET
    )
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing(
        single=f"$A {_EOS}", special_tokens=[(_EOS, made.token_to_id(_EOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=_PAD,
        unk_token=_UNK,
        eos_token=_EOS,
        model_max_length=POSITIONS,
        padding_side="right",
        model_input_names=["input_ids"],
    )


def model(words: PreTrainedTokenizerFast) -> SiglipModel:
    """Build the untrained model; eager attention, because it trains faster than sdpa at this size on a CPU."""
    shared = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 4}
    text = {
        **shared,
        "num_hidden_layers": 2,
        "vocab_size": len(words),
        "max_position_embeddings": POSITIONS,
        "projection_size": WIDTH,
        "pad_token_id": words.pad_token_id,
        "eos_token_id": words.eos_token_id,
        "bos_token_id": None,
    }
    vision = {**shared, "num_hidden_layers": 4, "image_size": SIZE, "patch_size": 8}
    config = SiglipConfig(text_config=text, vision_config=vision)
    config._attn_implementation = "eager"  # noqa: SLF001 - the only way to choose it for a model that is not loaded
    made = SiglipModel(config)
    with torch.no_grad():
        made.logit_scale.fill_(2.3)  # log 10, and the bias below: the start of the SigLIP paper (arXiv 2303.15343)
        made.logit_bias.fill_(-10.0)
    return made


def save(made: SiglipModel, words: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model in half precision and its processor, readable by everybody."""
    made.half().save_pretrained(folder)
    pictures = SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE})
    SiglipProcessor(image_processor=pictures, tokenizer=words).save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)
