"""Chooses filters that keep, ignore or leave out a query's neighbourhood, by what the dataset holds."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import shop
from bench.dataset import Dataset
from bench.filters import Columns, category_name

Rank = NDArray[np.float64]


class Choice:
    """Chooses filters for the queries of one kind by what the dataset holds."""

    def __init__(self, data: Dataset, kind: str) -> None:
        self.data, self.kind, self.columns = data, kind, Columns(data)
        self.asked = data.asked

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        return np.bincount(self.data.pictures.category, minlength=len(self.data.centroids))

    @cached_property
    def weight(self) -> NDArray[np.floating[Any]]:
        """How usual each query of the pool is: the share of its category among pictures, over that in the pool."""
        pool = np.bincount(self.asked.category, minlength=len(self.counts))
        weight: NDArray[np.floating[Any]] = (
            np.maximum(self.counts, 0.5)[self.asked.category] / pool[self.asked.category]
        )
        return weight

    @cached_property
    def nearness(self) -> NDArray[np.float32]:
        """Likeness of each query to each category (POOL, categories)."""
        return self.data.queries(self.kind).astype(np.float32) @ self.data.centroids.T

    @cached_property
    def prices(self) -> NDArray[np.float64]:
        return np.sort(self.data.pictures.price)

    @cached_property
    def stock(self) -> NDArray[np.float64]:
        """Share in stock among the pictures of each cluster."""
        clusters = self.data.pictures.cluster
        total = np.bincount(clusters, minlength=int(self.asked.cluster.max()) + 1)
        return np.bincount(clusters, weights=self.data.pictures.in_stock, minlength=len(total)) / np.maximum(total, 1)

    def categories(self, query: int, share: float, tie: str) -> tuple[str, ...] | None:
        """Return categories that together hold about `share` of the pictures; one alone from 1 % down."""
        wanted = share * self.data.rows
        likeness = self.nearness[query].copy()
        likeness[self.asked.category[query]] = np.inf
        order = {
            "corr": np.argsort(-likeness),
            "anti": np.argsort(likeness),
            "unc": _luck(query, share).permutation(len(likeness)),
        }[tie]
        order = order[self.counts[order] > 0]
        if share <= 0.01:
            fits = order[(self.counts[order] >= wanted / 2) & (self.counts[order] <= wanted * 2)]
            return (category_name(int(fits[0])),) if len(fits) else None
        taken, total = [], 0
        for number in order.tolist():
            if total + self.counts[number] <= 1.1 * wanted:
                taken.append(category_name(number))
                total += int(self.counts[number])
            if total >= 0.95 * wanted:
                break
        return tuple(taken)

    def price(self, query: int, share: float, tie: str) -> tuple[float, float]:
        """Return a price band of `share` of the pictures: around the query's own price, anywhere, or far away."""
        many = max(1, round(share * self.data.rows))
        own = int(np.searchsorted(self.prices, self.asked.price[query]))
        last = self.data.rows - many
        start = {
            "corr": own - many // 2,
            "unc": int(_luck(query, share).integers(0, last + 1)),
            "anti": 0 if own > self.data.rows // 2 else last,
        }[tie]
        start = min(max(start, 0), last)
        return float(self.prices[start]), float(self.prices[start + many - 1])

    def far_from_tenant(self, tenant: str) -> Rank:
        own = self.data.pictures.tenant == shop.tenant_names().index(tenant)
        rows = np.flatnonzero(own)[:5000]
        middle = (
            self.data.vectors[rows].astype(np.float32).mean(axis=0)
            if len(rows)
            else np.zeros(self.data.dim, np.float32)
        )
        return -(self.data.queries(self.kind).astype(np.float32) @ middle).astype(np.float64)

    def far_from_stock(self, wanted: bool) -> Rank:
        share = self.stock[self.asked.cluster]
        return 1 - share if wanted else share

    def far_from_style(self, place: float) -> Rank:
        distance: Rank = np.abs(self.asked.style - place)
        return distance

    def own(self, name: str, query: int) -> str:
        """Return the query's own value of an attribute."""
        if name == "brand":
            return f"brand-{self.asked.brand[query]}"
        return shop.COLOURS[int(self._cluster_colours[self.asked.cluster[query]])]

    @cached_property
    def _cluster_colours(self) -> NDArray[np.intp]:
        """The most frequent colour of each cluster."""
        clusters = int(self.asked.cluster.max()) + 1
        table = np.zeros((max(clusters, int(self.data.pictures.cluster.max()) + 1), len(shop.COLOURS)))
        np.add.at(table, (self.data.pictures.cluster, self.data.pictures.colour), 1)
        most: NDArray[np.intp] = table.argmax(axis=1)
        return most


def _luck(query: int, share: float) -> np.random.Generator:
    """Return chance that is the same whichever cells are chosen and in whatever order."""
    return np.random.default_rng((11, query, round(share * 1e6)))
