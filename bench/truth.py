"""The right answer: exact search in float32 over the vectors as the database rounded them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.cells import Ask, Cell
from bench.dataset import Dataset
from bench.filters import Columns, mask

DEEPEST = 100  # the largest k
SAME = 1e-6  # distances this close are equal: implementations add up in different orders
_BLOCK = 50_000


@dataclass(frozen=True)
class Truth:
    """matches: (asks,) how many match. distances: (asks, DEEPEST), ascending, infinite where there are fewer."""

    matches: NDArray[np.int64]
    distances: NDArray[np.float32]


class Judge:
    """Knows the truth of a dataset and judges answers by it."""

    def __init__(self, data: Dataset) -> None:
        self.data, self.columns = data, Columns(data)
        self._norms = np.empty(data.rows, dtype=np.float32)
        for start in range(0, data.rows, _BLOCK):
            part = slice(start, start + _BLOCK)
            self._norms[part] = np.linalg.norm(data.vectors[part].astype(np.float32), axis=1)

    def truth(self, cell: Cell, asks: Sequence[Ask]) -> Truth:
        """Return the truth for a cell's questions, from an earlier run's file where they are the same."""
        digest = hashlib.sha256(repr((cell.kind, asks)).encode()).hexdigest()[:16]
        kept = self.data.folder / "truth" / f"{digest}.npz"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            found = self._search(cell, asks)
            np.savez(kept, matches=found.matches, distances=found.distances)
        with np.load(kept) as arrays:
            return Truth(arrays["matches"], arrays["distances"])

    def _search(self, cell: Cell, asks: Sequence[Ask]) -> Truth:
        masks = {wanted: mask(wanted, self.columns) for wanted in {ask.filter for ask in asks}}
        asked = self._queries(cell, [ask.query for ask in asks])
        best = np.full((len(asks), DEEPEST), np.inf, dtype=np.float32)
        for start in range(0, self.data.rows, _BLOCK):
            part = slice(start, start + _BLOCK)
            distances = 1 - asked @ (self.data.vectors[part].astype(np.float32) / self._norms[part, None]).T
            for place, ask in enumerate(asks):
                both = np.concatenate([best[place], distances[place][masks[ask.filter][part]]])
                best[place] = np.partition(both, DEEPEST - 1)[:DEEPEST]
        return Truth(np.array([masks[ask.filter].sum() for ask in asks], dtype=np.int64), np.sort(best, axis=1))

    def _queries(self, cell: Cell, numbers: Sequence[int]) -> NDArray[np.float32]:
        found = self.data.queries(cell.kind)[numbers].astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]

    def recall(self, cell: Cell, ask: Ask, truth: Truth, place: int, ids: Sequence[int], k: int) -> float:
        """Return recall@k of the image ids answered: |right| / min(k, matches).

        An id counts once, if the picture matches the filter and its distance is at most the exact k-th + 1e-6.
        """
        wanted = min(k, int(truth.matches[place]))
        rows = np.unique(np.asarray(ids[:k], dtype=np.int64)) - 1
        if len(rows) != len(ids[:k]) or wanted == 0:
            return 1.0 if wanted == 0 and not len(ids) else 0.0
        rows = rows[self.matching(ask, rows)]
        vectors = self.data.vectors[rows].astype(np.float32) / self._norms[rows, None]
        distances = 1 - vectors @ self._queries(cell, [ask.query])[0]
        return float((distances <= truth.distances[place, wanted - 1] + SAME).sum()) / wanted

    def matching(self, ask: Ask, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of `rows` match the question's filter."""
        if self._mask is None or self._mask[0] != ask.filter:
            self._mask = (ask.filter, mask(ask.filter, self.columns))
        return self._mask[1][rows]

    _mask: tuple[object, NDArray[np.bool_]] | None = None
