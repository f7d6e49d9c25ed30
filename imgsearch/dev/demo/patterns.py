"""Which polygons make a pattern? They cover about a third, so that the product colour stays the main one."""

from __future__ import annotations

from functools import cache

from imgsearch.dev.demo.outline import Points, box, ellipse, stroke

STEP = 0.4
"""Distance between two repeats, in the unit frame of a shape."""
_REACH = 3
"""Repeats on each side of the middle: enough to cover -1 … 1 after any shift by less than one step."""


def _steps() -> list[float]:
    return [i * STEP for i in range(-_REACH, _REACH + 1)]


def _zigzag(y: float) -> Points:
    xs = [i * STEP / 2 for i in range(-2 * _REACH, 2 * _REACH + 1)]
    line = [(x, y + (0.13 if i % 2 else -0.13)) for i, x in enumerate(xs)]
    return line + [(x, at + 0.15) for x, at in reversed(line)]


@cache
def polygons(pattern: str) -> tuple[Points, ...]:
    """Return a pattern's polygons in the unit frame; raises KeyError for an unknown pattern."""
    made: dict[str, list[Points]] = {
        "plain": [],
        "striped": [box(-1.3, y, 1.3, y + 0.15) for y in _steps()],
        "dotted": [
            ellipse(x + (STEP / 2 if row % 2 else 0), y * 0.8, 0.12, 0.12, steps=12)
            for row, y in enumerate(_steps())
            for x in _steps()
        ],
        "checked": [stroke(-1.3, y, 1.3, y, 0.09) for y in _steps()]
        + [stroke(x, -1.3, x, 1.3, 0.09) for x in _steps()],
        "zigzag": [_zigzag(y) for y in _steps()],
        "two-tone": [box(-1.3, 0.36, 1.3, 1.3)],
    }
    return tuple(made[pattern])
