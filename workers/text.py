"""How a query is written before the tokenizer sees it: as SigLIP's training texts were. No torch here."""

from __future__ import annotations

import string

_UNPUNCTUATED = str.maketrans("_", " ", string.punctuation.replace("_", ""))


def canonicalize(text: str) -> str:
    """Lower-case, drop ASCII punctuation, collapse spaces: `" T-shirt,  RED"` → `"tshirt red"`.

    The tokenizer of SigLIP 1 does it by itself; that of fixed-resolution SigLIP 2 does not, although its checkpoints
    were trained on such texts: about 12 points of zero-shot accuracy (NVlabs/RADIO pull request 142).
    """
    return " ".join(text.translate(_UNPUNCTUATED).lower().split())
