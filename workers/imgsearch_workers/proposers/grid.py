"""Crops that cover a picture whatever it shows: the cheapest proposer, and the only one that looks at no pixel."""

from __future__ import annotations

from imgsearch_workers.proposers.salient import Box

LAYOUTS = {5: ((2, 0.6), (1, 0.6)), 9: ((3, 0.45),), 14: ((2, 0.6), (1, 0.6), (3, 0.45))}  # rows and columns, side


def propose(most: int = 5) -> list[Box]:
    """Return up to `most` boxes: of the largest layout that has no more, else the first of the smallest."""
    fits = max((many for many in LAYOUTS if many <= most), default=min(LAYOUTS))
    return [box for across, side in LAYOUTS[fits] for box in _cells(across, side)][: max(0, most)]


def _cells(across: int, side: float) -> list[Box]:
    step = (1 - side) / (across - 1) if across > 1 else 0.0
    first = 0.0 if across > 1 else (1 - side) / 2
    starts = [round(first + n * step, 4) for n in range(across)]
    return [(x, y, side, side) for y in starts for x in starts]
