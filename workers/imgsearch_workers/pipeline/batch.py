"""One forward pass for many pictures, in which a bad one fails alone. No torch here.

Out of memory halves the batch and remembers; an error that a smaller batch may isolate is bisected (at most
2·k·log2(n) extra passes for k bad pictures of n); a device that is lost to this process ends the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgsearch.ops import metrics
from imgsearch_workers.model.device_errors import NonsenseError, is_out_of_memory, is_sticky
from imgsearch_workers.model.encoder import Encoder, Pixels, Vectors, stacked

GOOD_BATCHES_BEFORE_GROWING = 20
_NORM_TOLERANCE = 0.01  # what the table's own check allows


class DeviceLost(Exception):
    """The device cannot be used by this process any more; it must exit. `rows` were in the last forward pass."""

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class Batch:
    """Embeds pictures `most` at a time at first; what the device teaches it stays learnt.

    `forwards` counts the passes.
    """

    def __init__(self, encoder: Encoder, most: int) -> None:
        self._encoder = encoder
        self.most = self.limit = most
        self._good = 0
        self.forwards = 0

    def beside(self, most: int, on_cpu: int) -> Batch:
        """Return another one for the same model, of smaller passes; its encoder must bear two threads."""
        return Batch(self._encoder, on_cpu if self._encoder.device == "cpu" else most)

    def embed(self, pictures: Sequence[Pixels]) -> list[Vectors | Exception]:
        """Return, for each picture, its vector (D,) or the error that is its own.

        Raises DeviceLost when nothing more can be computed in this process.
        """
        outcomes: dict[int, Vectors | Exception] = {}
        waiting = [list(range(len(pictures)))] if pictures else []
        while waiting:
            rows = waiting.pop()
            if len(rows) > self.limit:
                waiting += [rows[self.limit :], rows[: self.limit]]
                continue
            outcome = self._forward(pictures, rows)
            if isinstance(outcome, NonsenseError) and outcome.rows:
                # The model named the rows it cannot answer: the others are worth one more pass.
                outcomes |= {rows[bad]: outcome for bad in outcome.rows}
                if good := [row for row in rows if row not in outcomes]:
                    waiting.append(good)
            elif not isinstance(outcome, Exception):
                outcomes |= zip(rows, outcome, strict=True)
            elif len(rows) == 1:
                outcomes[rows[0]] = outcome
            else:
                middle = len(rows) // 2
                waiting += [rows[middle:], rows[:middle]]
        return [outcomes[row] for row in range(len(pictures))]

    def _forward(self, pictures: Sequence[Pixels], rows: list[int]) -> Vectors | Exception:
        """Return the vectors of some rows, or what went wrong. Raises DeviceLost."""
        self.forwards += 1
        try:
            with metrics.forward(len(rows)):
                vectors = self._encoder.embed_pictures(stacked([pictures[row] for row in rows]))
        except Exception as error:
            if is_sticky(error):
                raise DeviceLost(str(error), rows) from error
            # The traceback holds the tensors of the pass: without it their memory can be freed.
            failure: Exception = error.with_traceback(None)
        else:
            if bad := _nonsense(vectors, len(rows)):
                return NonsenseError(bad)
            self._grow(len(rows))
            return vectors
        if is_out_of_memory(failure):
            self._shrink(len(rows))
        return failure

    def _shrink(self, size: int) -> None:
        metrics.count("oom")
        self.limit, self._good = max(1, min(self.limit, size // 2)), 0
        self._encoder.free_memory()

    def _grow(self, size: int) -> None:
        """After enough full batches the device may have room again."""
        self._good += size >= self.limit
        if self._good >= GOOD_BATCHES_BEFORE_GROWING and self.limit < self.most:
            self.limit, self._good = min(self.most, self.limit * 2), 0


def _nonsense(vectors: Vectors, count: int) -> list[int]:
    """Return the rows that are not vectors of length one: no encoder is trusted to have looked."""
    if vectors.ndim != 2 or len(vectors) != count:
        return list(range(count))
    norms = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1)
    return np.flatnonzero(~(np.abs(norms - 1) <= _NORM_TOLERANCE)).tolist()
