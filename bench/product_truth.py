"""The right answer per product: exact search in float32, a product standing at its nearest matching picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cells import Ask
from bench.dataset import SIZES, Dataset
from bench.filters import Columns, Filter, mask
from bench.truth import SAME

DEEPEST = 100  # the most products that a question's truth holds
_BLOCK = 50_000


@dataclass(frozen=True)
class ProductTruth:
    """Of every question: its nearest products, and how many match.

    rows: (asks, DEEPEST), the picture a product stands at, nearest first, ties by picture; -1 where there are fewer.
    distances: the same, infinite where there are fewer. products, pictures: (asks,), how many match.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    products: NDArray[np.int64]
    pictures: NDArray[np.int64]


class ProductJudge:
    """Knows the truth of a dataset and judges pages by it. most: pictures that a product has at most."""

    def __init__(self, data: Dataset, kind: str = "image", most: int = int(SIZES.max())) -> None:
        self.data, self.kind, self.most, self.columns = data, kind, most, Columns(data)

    def truth(self, asks: Sequence[Ask]) -> ProductTruth:
        """Return the truth of questions, from an earlier run's file where they are the same."""
        digest = hashlib.sha256(repr((self.kind, asks, self.most)).encode()).hexdigest()[:16]
        kept = self.data.folder / "truth" / f"products-{digest}.npz"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            np.savez(kept, **self._search(asks))
        with np.load(kept) as arrays:
            return ProductTruth(**arrays)

    def _search(self, asks: Sequence[Ask]) -> dict[str, Any]:
        # k products lie within the k * most nearest pictures.
        width, matches = DEEPEST * self.most, {wanted: self.matching(wanted) for wanted in {a.filter for a in asks}}
        asked = self._asked([ask.query for ask in asks])
        near = np.full((len(asks), width), np.inf, dtype=np.float32)
        rows = np.full((len(asks), width), -1, dtype=np.int64)
        for start in range(0, self.data.rows, _BLOCK):
            part = slice(start, min(start + _BLOCK, self.data.rows))
            block = self.data.vectors[part].astype(np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            for place, distances in enumerate(1 - asked @ block.T):
                keep = np.flatnonzero(matches[asks[place].filter][part] & (distances <= near[place].max()))
                both = np.concatenate([near[place], distances[keep]])
                kept = np.argpartition(both, width - 1)[:width]
                rows[place] = np.concatenate([rows[place], keep + start])[kept]
                near[place] = both[kept]
        found = [self._grouped(rows[place], near[place]) for place in range(len(asks))]
        return {
            "rows": np.array([row for row, _ in found]),
            "distances": np.array([distance for _, distance in found]),
            "products": np.array([self.products(ask.filter) for ask in asks]),
            "pictures": np.array([int(matches[ask.filter].sum()) for ask in asks]),
        }

    def _grouped(self, rows: NDArray[np.int64], near: NDArray[np.float32]) -> tuple[Any, Any]:
        """Return the first DEEPEST products of pictures: (row, distance) of each one's nearest."""
        order = np.lexsort((rows, near))
        order = order[rows[order] >= 0]
        _, first = np.unique(self.data.product_of[rows[order]], return_index=True)
        order = order[np.sort(first)[:DEEPEST]]
        lacking = (0, DEEPEST - len(order))
        return np.pad(rows[order], lacking, constant_values=-1), np.pad(near[order], lacking, constant_values=np.inf)

    def _asked(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        found = self.data.queries(self.kind)[numbers].astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]

    def matching(self, wanted: Filter) -> NDArray[np.bool_]:
        """Return which pictures match a filter, (rows,)."""
        if wanted not in self._masks:
            self._masks[wanted] = mask(wanted, self.columns)
        return self._masks[wanted]

    def products(self, wanted: Filter) -> int:
        """Return how many products have a picture that matches."""
        seen = np.zeros(len(self.data.products.category), dtype=bool)
        seen[self.data.product_of[self.matching(wanted)]] = True
        return int(seen.sum())

    @cached_property
    def _masks(self) -> dict[Filter, NDArray[np.bool_]]:
        return {}

    @cached_property
    def _rows_of(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        order = np.argsort(self.data.product_of, kind="stable")
        return order, np.searchsorted(self.data.product_of[order], np.arange(len(self.data.products.category) + 1))

    def distance(self, ask: Ask, product: int) -> float:
        """Return how far a product's nearest matching picture is; infinite where none matches."""
        order, starts = self._rows_of
        rows = order[starts[product] : starts[product + 1]]
        rows = rows[self.matching(ask.filter)[rows]]
        if not len(rows):
            return float("inf")
        vectors = self.data.vectors[rows].astype(np.float32)
        cosines = vectors @ self._asked([ask.query])[0] / np.linalg.norm(vectors, axis=1)
        return float(1 - cosines.max())

    def recall(self, ask: Ask, truth: ProductTruth, place: int, products: Sequence[int], k: int) -> float:
        """Return product recall@k: |right| / min(k, products that match).

        A product counts once, if its nearest matching picture is at most as far as the exact k-th product's + 1e-6.
        """
        wanted = min(k, int(truth.products[place]))
        if len(set(products)) != len(products) or wanted == 0:
            return 1.0 if wanted == 0 and not products else 0.0
        last = float(truth.distances[place, wanted - 1]) + SAME
        return sum(self.distance(ask, product) <= last for product in products[:k]) / wanted
