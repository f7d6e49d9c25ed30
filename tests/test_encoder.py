"""The encoder answers what the stock SigLIP path answers, for pictures and texts, and refuses what it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel, SiglipProcessor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from workers import probe
from workers.encoder import Encoder

WORDS = ["a red shoe on a table", "blue shirt, striped!", "green bag", "tshirt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SigLIP as save_pretrained() lays it out: WordPiece, one processor_config.json."""
    folder = tmp_path_factory.mktemp("siglip")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[PAD]", "[UNK]", "[EOS]"])
    tokenizer.train_from_iterator(WORDS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", model_max_length=16
    )
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
    config = SiglipConfig(
        text_config={**tower, **ids, "vocab_size": 120, "max_position_embeddings": 16},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(0)
    SiglipModel(config).save_pretrained(folder)
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    SiglipProcessor(image_processor=images, tokenizer=fast).save_pretrained(folder)
    return folder


def test_vectors_have_length_one(folder: Path) -> None:
    encoder = Encoder.load(str(folder))
    for vectors in (encoder.embed_pictures(probe.drawn(3, encoder.size)), encoder.embed_texts(WORDS)):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == encoder.dimension == 32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
