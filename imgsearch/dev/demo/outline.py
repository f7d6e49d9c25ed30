"""How is a shape made of polygons? Unit frame: x and y from -1 to 1, y grows downwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Points = list[Point]
Role = Literal["body", "shade", "trim", "dark"]
"""body: product colour and pattern; shade: darker product colour; trim: pale; dark: nearly black."""


@dataclass(frozen=True, slots=True)
class Part:
    """One filled polygon of a shape; later parts cover earlier ones."""

    role: Role
    points: tuple[Point, ...]


def part(role: Role, points: Points) -> Part:
    """Make a part from a list of points."""
    return Part(role, tuple(points))


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Return a rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360, steps: int = 30) -> Points:
    """Return points on an ellipse from angle `start` to `end`, in degrees, clockwise from the right."""
    count = max(3, round(steps * abs(end - start) / 360))
    angles = [math.radians(start + (end - start) * i / count) for i in range(count + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, width: float) -> Points:
    """Return a band of the given width that follows an ellipse."""
    outer = ellipse(x, y, rx, ry, start, end)
    inner = ellipse(x, y, rx - width, ry - width, start, end)
    return outer + inner[::-1]


def stroke(x0: float, y0: float, x1: float, y1: float, width: float) -> Points:
    """Return a straight line as a thin rectangle."""
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    dx, dy = (y0 - y1) / length * width / 2, (x1 - x0) / length * width / 2
    return [(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)]


def soft(points: Points, rounds: int = 2) -> Points:
    """Round the corners of a polygon by cutting them (Chaikin's algorithm)."""
    for _ in range(rounds):
        cut: Points = []
        for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
            cut.append((0.78 * x0 + 0.22 * x1, 0.78 * y0 + 0.22 * y1))
            cut.append((0.22 * x0 + 0.78 * x1, 0.22 * y0 + 0.78 * y1))
        points = cut
    return points


def shifted(points: Points, dx: float, dy: float) -> Points:
    """Return the polygon moved by (dx, dy)."""
    return [(x + dx, y + dy) for x, y in points]
