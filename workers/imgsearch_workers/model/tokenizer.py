"""How a text becomes the tokens that a model was trained on. Ways to get it wrong are silent; see `Tokenizer`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import transformers
from numpy.typing import NDArray

from imgsearch.query.cache import canonical as canonicalize  # the one definition: it is also a query's key
from imgsearch_workers.model.checkpoint import Checkpoint

__all__ = ["CausalTokenizer", "Tokenizer", "Tokens", "canonicalize"]


class Tokens(Protocol):
    """What an encoder asks of a tokenizer."""

    def __call__(self, texts: list[str]) -> NDArray[np.int64]:
        """Return the token ids of texts, canonicalised first: (B, length) int64."""
        ...

    def count(self, texts: list[str]) -> list[tuple[int, int]]:
        """Return how many tokens each text has, and how many of them are read."""
        ...


class Tokenizer:
    """A SigLIP's own tokenizer, held to the way SigLIP was trained.

    Canonical texts, padded on the right to the full length, and input ids alone: the text tower attends to its padding
    and pools the last position. With a mask, short or left padding, or capitals the vectors are wrong but look right.
    (SigLIP 1's tokenizer drops capitals and punctuation by itself; that of fixed-resolution SigLIP 2 does not, at a
    cost of about 12 points of zero-shot accuracy: NVlabs/RADIO pull request 142.)
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Load it and check that texts end as the model expects. Raises ModelError."""
        inner = _loaded(checkpoint)
        stated = checkpoint.config.get("text_config", {})
        self._inner: Any = inner
        self._length = int(stated.get("max_position_embeddings", 64))
        if inner.pad_token_id is None or inner.eos_token_id is None:
            checkpoint.refuse("has a tokenizer without pad or eos token; save the tokenizer it was trained with")
        if self(["red shoe " * self._length])[0, -1] != inner.eos_token_id:  # a text so long that no padding follows
            checkpoint.refuse("has a tokenizer that does not end texts with eos; save the one it was trained with")
        _require_known(checkpoint, inner, stated.get("vocab_size", 32000))

    def count(self, texts: list[str]) -> list[tuple[int, int]]:
        """Return how many tokens each text has, and how many of them are read."""
        return _counted(self._inner, texts, self._length)

    def __call__(self, texts: list[str]) -> NDArray[np.int64]:
        """Return the token ids of texts, canonicalised first: (B, length) int64."""
        how = {"padding": "max_length", "truncation": True, "max_length": self._length, "return_tensors": "np"}
        # Always told the same, so threads may share it: a fast tokenizer only minds when its padding changes meanwhile.
        encoded = self._inner([canonicalize(text) for text in texts], **how)
        return np.asarray(encoded["input_ids"], np.int64)


class CausalTokenizer:
    """A CLIP's own tokenizer: `<start> … <end>`, 77 tokens at most, and the end is where the text is pooled.

    What follows the end is never read (the tower looks back only), so texts are padded to the longest of them.
    """

    def __init__(self, checkpoint: Checkpoint, *, length: int | None = None, known: int | None = None) -> None:
        """Load it; `length` and `known` tokens are those of text_config unless given. Raises ModelError."""
        stated = checkpoint.config.get("text_config", {})
        self._checkpoint = checkpoint
        self._inner: Any = _loaded(checkpoint)
        self._length = int(length or stated.get("max_position_embeddings", 77))
        if self._inner.pad_token_id is None or self._inner.eos_token_id is None:
            checkpoint.refuse("has a tokenizer without pad or eos token; save the tokenizer it was trained with")
        _require_known(checkpoint, self._inner, known or stated.get("vocab_size", 49408))

    def expect_end(self, pooled: int) -> None:
        """Check that texts end with the token the tower looks for; 2 stands for the one of the highest number.

        Raises ModelError: a tower that does not find it pools the first token, which is the same for every text.
        """
        end = self._inner.eos_token_id
        for text in ("red shoe", "red shoe " * self._length):
            ids = self([text])[0].tolist()
            place = ids.index(max(ids)) if pooled == 2 else ids.index(pooled) if pooled in ids else 0
            if ids[-1] != end or ids.index(end) != place:
                self._checkpoint.refuse(
                    "has a tokenizer whose texts end elsewhere than the model expects; save the one it was trained with"
                )

    def count(self, texts: list[str]) -> list[tuple[int, int]]:
        """Return how many tokens each text has, start and end included, and how many of them are read."""
        return _counted(self._inner, texts, self._length)

    def __call__(self, texts: list[str]) -> NDArray[np.int64]:
        """Return the token ids of texts, canonicalised first: (B, length of the longest) int64."""
        how = {"truncation": True, "max_length": self._length, "padding": "max_length", "return_tensors": "np"}
        ids = np.asarray(self._inner([canonicalize(text) for text in texts], **how)["input_ids"], np.int64)
        # Cut by us: a fast tokenizer that is told another padding by each thread would mix them up.
        ends = ids == self._inner.eos_token_id
        return np.ascontiguousarray(ids[:, : ends.argmax(1).max() + 1]) if ends.any(1).all() else ids


def _loaded(checkpoint: Checkpoint) -> Any:
    checkpoint.require_tokenizer()
    try:
        inner = transformers.AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as error:  # noqa: BLE001 - the tokenizers library raises bare Exception for a broken file
        checkpoint.refuse(f"has an unusable tokenizer ({error}); download or save it again", error)
    inner.padding_side = "right"  # SigLIP 2's class says left, its checkpoints were trained on right
    return inner


def _require_known(checkpoint: Checkpoint, inner: Any, known: int) -> None:
    if inner.vocab_size > known:
        checkpoint.refuse(f"has {inner.vocab_size} tokens for a vocabulary of {known}; save the right tokenizer")


def _counted(inner: Any, texts: list[str], length: int) -> list[tuple[int, int]]:
    whole = inner([canonicalize(text) for text in texts])["input_ids"]
    return [(len(ids), min(len(ids), length)) for ids in whole]
