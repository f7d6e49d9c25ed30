"""An encoder without a model: a picture becomes its own thumbnail, a text a point that depends on its letters."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from imgsearch.dev.testing import poison
from imgsearch.query.cache import canonical
from imgsearch.spaces.space import Description

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 4
FAKE = "imgsearch.dev.testing:FakeEncoder"
OTHER = "imgsearch.dev.testing:OtherEncoder"


class FakeEncoder:
    """Deterministic and quick: embeds pictures (B, 32, 32, 3) uint8 as their 4×4 colours, texts by their digest.

    Equal pictures get equal vectors, similar pictures similar ones; texts mean nothing. A worker loads it with
    IMGSEARCH_MODEL=imgsearch.dev.testing:FakeEncoder. `poisonous`: pictures of the colours in
    `imgsearch.dev.testing.poison` do their harm.
    """

    side = SIDE
    name = FAKE
    size = 32
    dimension = SIDE * SIDE * 3
    device = "cpu"
    decoder = "imgsearch_workers.decoding.child"

    def __init__(self, *, poisonous: bool = False) -> None:
        self.poisonous = poisonous

    def embed_pictures(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (B, 48) float32 of length one."""
        import numpy as np

        found = poison.harms(pixels) if self.poisonous else []
        poison.suffer(found)
        side, block = self.side, self.size // self.side
        cells = pixels.reshape(len(pixels), side, block, side, block, 3).mean(axis=(2, 4), dtype=np.float32)
        vectors = _unit(cells.reshape(len(pixels), self.dimension) - 127.3)
        for row, harm in enumerate(found):
            if harm in {"nan", "zero"}:
                vectors[row] = np.nan if harm == "nan" else 0
        return vectors

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (B, 48) float32 of length one."""
        import numpy as np

        seeds = [int.from_bytes(sha256(canonical(text).encode()).digest()[:8]) for text in texts]
        rows = [np.random.default_rng(seed).normal(size=self.dimension) for seed in seeds]
        return _unit(np.asarray(rows, dtype=np.float32).reshape(len(texts), self.dimension))

    def count_tokens(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Return how many words each text has, and that 64 of them are read, as by a SigLIP."""
        return [(words := len(canonical(text).split()), min(words, 64)) for text in texts]

    def describe(self, *, with_mean: bool = True) -> Description:
        """Describe the stand-in as a space knows it."""
        return Description(
            model=self.name,
            revision="",
            fingerprint=sha256(b"imgsearch fake encoder 1" + b" other" * (self.name != FAKE)).hexdigest(),
            dimension=self.dimension,
            preprocessing="fake-1",
            mean=[0.001] * self.dimension if with_mean else (),
            match_scale=10.0,
            match_bias=-2.0,
        )

    def free_memory(self) -> None:
        """Do nothing: there is no device."""


class OtherEncoder(FakeEncoder):
    """Another model: the 8×8 colours of the same pictures, 192 numbers. For tests of spaces that succeed each other."""

    side = 8
    name = OTHER
    dimension = 8 * 8 * 3


class PoisonEncoder(FakeEncoder):
    """A stand-in that pictures of the colours in `imgsearch.dev.testing.poison` hurt."""

    def __init__(self) -> None:
        super().__init__(poisonous=True)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
