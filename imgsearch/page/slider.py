"""A price as two handles on a line: each band of prices takes as much of the line as any other, however wide it is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

STEPS = 10  # of each band


@dataclass(frozen=True, kw_only=True)
class Slider:
    """`edges` are the prices where bands meet, ascending; `low` and `high` are places of the handles, in steps.

    At its right end the upper handle means no limit, and so does the lower one at its left end.
    """

    edges: tuple[float, ...]
    low: int
    high: int

    @property
    def steps(self) -> int:
        """The place of the right end."""
        return STEPS * (len(self.edges) - 1)

    def share(self, place: int) -> float:
        """Return a place in percent of the line."""
        return round(100 * place / self.steps, 1)


def slider(bands: Iterable[Mapping[str, Any]], low: float | None, high: float | None) -> Slider | None:
    """Return the slider over bands of prices ({low, high}, the last one's high may be null); None where one is all."""
    known = {edge for band in bands for edge in (band["low"], band["high"]) if edge is not None}
    last = max((band["low"] for band in bands if band["high"] is None), default=None)
    if last is not None:
        known.add(2 * last or 1.0)  # what has no end is drawn as wide as all that lies before it
    edges = tuple(sorted(known))
    if len(edges) < 3:
        return None
    steps = STEPS * (len(edges) - 1)
    at_low = 0 if low is None else _place(edges, low)
    at_high = steps if high is None else max(at_low, _place(edges, high))
    return Slider(edges=edges, low=at_low, high=at_high)


def _place(edges: tuple[float, ...], price: float) -> int:
    """Return the place of a price: straight lines between the edges."""
    price = min(max(price, edges[0]), edges[-1])
    band = min(bisect_right(edges, price), len(edges) - 1) - 1
    return round(STEPS * (band + (price - edges[band]) / (edges[band + 1] - edges[band])))
