"""The orders of a ranking in plain numpy: what search() must answer, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Item:
    """A row that matches: `distance` is the database's own, `vector` of length one."""

    key: int
    distance: float
    vector: NDArray[np.float64]
    price: float | None
    in_stock: bool
    attributes: dict[str, Any]


Order = Callable[[list[Item]], list[Item]]


def in_windows(items: Sequence[Item], size: int, order: Order) -> list[int]:
    """Return the keys of all rows: the `size` nearest in their order, then the next."""
    near = sorted(items, key=lambda item: (item.distance, item.key))
    return [item.key for n in range(0, len(near), size) for item in order(near[n : n + size])]


def sort_key(name: str) -> Callable[[Item], Any]:
    """Return what `sort` orders by: numbers, then texts, then truth values, then what has none of it."""
    down, bare = name.startswith("-"), name.lstrip("-")

    def key(item: Item) -> Any:
        value = item.price if bare == "price" else item.attributes.get(bare.removeprefix("attributes."))
        tie = (item.distance, item.key)
        if isinstance(value, bool):
            return 2, (-1 if down else 1) * int(value), tie
        if isinstance(value, int | float):
            return 0, (-1 if down else 1) * value, tie
        if isinstance(value, str):
            letters = [ord(letter) for letter in value[:60]]
            return 1, [-one for one in letters] + [1] if down else letters, tie
        return 3, 0, tie

    return key


def score(item: Item, boost: dict[str, float]) -> float:
    """Return 1 - distance and the sum of each weight times its value, which lies between 0 and 1."""
    shift = 0.0
    for name, weight in boost.items():
        value = item.in_stock if name == "in_stock" else item.attributes.get(name.removeprefix("attributes."))
        shift += weight * (min(max(float(value), 0), 1) if isinstance(value, bool | int | float) else 0)
    return 1 - item.distance + shift


def worst_mmr_step(items: list[Item], diversity: float, boost: dict[str, float]) -> float:
    """Return by how much the rows, in this order, ever fall short of Carbonell and Goldstein's (1998) best next one.

    Each next row should have the largest lambda * score - (1 - lambda) * max cos(row, rows before), lambda = 1 -
    diversity. Ties that float32 sees and float64 does not fall short by about 1e-4.
    """
    scores = np.array([score(item, boost) for item in items])
    alike = np.array([item.vector for item in items]) @ np.array([item.vector for item in items]).T
    short = 0.0
    for n in range(len(items)):
        before = alike[:n, n:].max(axis=0) if n else 0
        worth = (1 - diversity) * scores[n:] - diversity * before
        short = max(short, float(worth.max() - worth[0]))
    return short


def rrf(lists: Sequence[tuple[float, dict[Any, float]]], k: int = 60) -> dict[Any, float]:
    """Return {row: sum of weight / (k + rank)} over lists of (weight, {row: rank from 1})."""
    sums: dict[Any, float] = {}
    for weight, ranks in lists:
        for row, rank in ranks.items():
            sums[row] = sums.get(row, 0) + weight / (k + rank)
    return sums
