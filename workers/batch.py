"""One forward pass for many pictures, in which a bad one fails alone. No torch here.

Out of memory halves the batch and remembers; an error that a smaller batch may isolate is bisected (at most
2·k·log2(n) extra passes for k bad pictures of n); a device that is lost to this process ends the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.faults import NonsenseError, is_out_of_memory, is_sticky

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]
GOOD_BATCHES_BEFORE_GROWING = 20


class EmbedsPictures(Protocol):
    """What a batch needs of an encoder: (B, S, S, 3) uint8 → (B, D) float32 of length one."""

    def embed_pictures(self, pixels: Pixels) -> Vector: ...


class DeviceLost(Exception):  # noqa: N818 - a state of the device, raised through the loop
    """The device cannot be used by this process any more; it must exit."""


class Batch:
    """Embeds pictures `most` at a time at first; what the device teaches it stays learnt."""

    def __init__(self, encoder: EmbedsPictures, most: int, free_memory: Callable[[], Any] | None = None) -> None:
        self._encoder = encoder
        self._free_memory = free_memory
        self.most = self.limit = most
        self._good = 0
        self.forwards = 0

    def embed(self, pictures: Sequence[Pixels]) -> list[Vector | Exception]:
        """Answer, for each picture, its vector (D,) or the error that is its own.

        Raises DeviceLost when nothing more can be computed in this process.
        """
        answers: list[Vector | Exception] = []
        begin = 0
        while begin < len(pictures):
            part = pictures[begin : begin + self.limit]
            answers += self._part(part)
            begin += len(part)
        return answers

    def _part(self, pictures: Sequence[Pixels]) -> list[Vector | Exception]:
        try:
            self.forwards += 1
            vectors = self._encoder.embed_pictures(np.stack(pictures))
        except NonsenseError as error:
            return self._without(pictures, error)
        except Exception as error:
            if is_sticky(error):
                raise DeviceLost(str(error)) from error
            if is_out_of_memory(error):
                self._shrink(len(pictures))
            if len(pictures) == 1:
                return [error]
        else:
            self._grow()
            return list(vectors)
        middle = len(pictures) // 2
        return self._part(pictures[:middle]) + self._part(pictures[middle:])

    def _without(self, pictures: Sequence[Pixels], error: NonsenseError) -> list[Vector | Exception]:
        """The model named the rows it cannot answer: the others are worth one more pass."""
        bad = set(error.rows)
        good = [n for n in range(len(pictures)) if n not in bad]
        answers: list[Vector | Exception] = [error] * len(pictures)
        if good and len(good) < len(pictures):
            for n, answer in zip(good, self._part([pictures[n] for n in good]), strict=True):
                answers[n] = answer
        return answers

    def _shrink(self, size: int) -> None:
        self.limit, self._good = max(1, min(self.limit, size // 2)), 0
        if self._free_memory is not None:
            self._free_memory()

    def _grow(self) -> None:
        self._good += 1
        if self._good >= GOOD_BATCHES_BEFORE_GROWING and self.limit < self.most:
            self.limit, self._good = min(self.most, self.limit * 2), 0
