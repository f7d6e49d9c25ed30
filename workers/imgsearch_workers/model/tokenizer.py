"""How a text becomes the tokens that SigLIP was trained on. Four ways to get it wrong are silent; see `Tokenizer`."""

from __future__ import annotations

from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray

from imgsearch.query.cache import canonical as canonicalize  # the one definition: it is also a query's key
from imgsearch_workers.model.checkpoint import Checkpoint

__all__ = ["Tokenizer", "canonicalize"]


class Tokenizer:
    """A model's own tokenizer, held to the way SigLIP was trained.

    Canonical texts, padded on the right to the full length, and input ids alone: the text tower attends to its padding
    and pools the last position. With a mask, short or left padding, or capitals the vectors are wrong but look right.
    (SigLIP 1's tokenizer drops capitals and punctuation by itself; that of fixed-resolution SigLIP 2 does not, at a
    cost of about 12 points of zero-shot accuracy: NVlabs/RADIO pull request 142.)
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Load it and check that texts end as the model expects. Raises ModelError."""
        checkpoint.require_tokenizer()
        try:
            inner = transformers.AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
        except Exception as error:  # noqa: BLE001 - the tokenizers library raises bare Exception for a broken file
            checkpoint.refuse(f"has an unusable tokenizer ({error}); download or save it again", error)
        inner.padding_side = "right"  # SigLIP 2's class says left, its checkpoints were trained on right
        stated = checkpoint.config.get("text_config", {})
        self._inner: Any = inner
        self._length = int(stated.get("max_position_embeddings", 64))
        if inner.pad_token_id is None or inner.eos_token_id is None:
            checkpoint.refuse("has a tokenizer without pad or eos token; save the tokenizer it was trained with")
        if self(["red shoe " * self._length])[0, -1] != inner.eos_token_id:  # a text so long that no padding follows
            checkpoint.refuse("has a tokenizer that does not end texts with eos; save the one it was trained with")
        if inner.vocab_size > (known := stated.get("vocab_size", 32000)):
            checkpoint.refuse(f"has {inner.vocab_size} tokens for a vocabulary of {known}; save the right tokenizer")

    def count(self, texts: list[str]) -> list[tuple[int, int]]:
        """Return how many tokens each text has, and how many of them are read."""
        whole = self._inner([canonicalize(text) for text in texts])["input_ids"]
        return [(len(ids), min(len(ids), self._length)) for ids in whole]

    def __call__(self, texts: list[str]) -> NDArray[np.int64]:
        """Return the token ids of texts, canonicalised first: (B, length) int64."""
        how = {"padding": "max_length", "truncation": True, "max_length": self._length, "return_tensors": "np"}
        # Always told the same, so threads may share it: a fast tokenizer only minds when its padding changes meanwhile.
        encoded = self._inner([canonicalize(text) for text in texts], **how)
        return np.asarray(encoded["input_ids"], np.int64)
