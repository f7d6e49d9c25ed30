"""Colours that a file describes by numbers (PNG's cICP, gAMA and cHRM, the nclx of AVIF) as an ICC profile.

Primaries and curves are those of ITU-T H.273; the profile is a matrix of the primaries, adapted to D50 (Bradford),
and a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import pack
from types import MappingProxyType

Pair = tuple[float, float]
Triple = tuple[float, float, float]
_D65 = (0.3127, 0.3290)
_D50: Triple = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)  # red, green, blue, white
_PRIMARIES: Mapping[int, tuple[Pair, Pair, Pair, Pair]] = MappingProxyType(
    {
        1: SRGB,
        5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
        6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
        9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),  # BT.2020
        11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),  # DCI-P3
        12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),  # Display P3
    }
)
_LINEAR, _PQ, _HLG = 8, 16, 18
_GAMMAS: Mapping[int, float] = MappingProxyType({4: 2.2, 5: 2.8, _LINEAR: 1.0})
_SRGB_CURVE = 13
_STEPS = 2_048


@dataclass(frozen=True)
class Colours:
    """Chromaticities of red, green, blue and white; a curve by its number in H.273, or a plain gamma."""

    primaries: tuple[Pair, Pair, Pair, Pair] = SRGB
    curve: int = _SRGB_CURVE
    gamma: float = 0.0


def coded(primaries: int, curve: int) -> Colours | None:
    """Return the colours of these numbers; None for sRGB's own, and for numbers that say nothing.

    The curves of television (1, 6, 14, 15) are shown as sRGB's is, which they were made for.
    """
    found = _PRIMARIES.get(primaries, SRGB)
    curve = curve if curve in _GAMMAS or curve in (_PQ, _HLG) else _SRGB_CURVE
    return None if (found, curve) == (SRGB, _SRGB_CURVE) else Colours(found, curve)


@lru_cache(maxsize=8)
def profile(colours: Colours) -> bytes | None:
    """Return the ICC profile; None where the primaries are no triangle."""
    matrix = _matrix(colours.primaries)
    if matrix is None:
        return None
    curve = pack(">4s4xI", b"curv", _STEPS) + pack(f">{_STEPS}H", *_table(colours))
    tags = [(name + b"TRC", curve) for name in (b"r", b"g", b"b")]
    tags += [(name + b"XYZ", _xyz(column)) for name, column in zip((b"r", b"g", b"b"), matrix, strict=True)]
    tags.append((b"wtpt", _xyz(_D50)))
    at, table, body = 132 + 12 * len(tags), b"", b""
    for tag, content in tags:
        table += pack(">4sII", tag, at + len(body), len(content))
        body += content
    head = pack(">I4xI4s4s4s12x4s28x", at + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp") + _xyz(_D50)[8:]
    return head.ljust(128, b"\0") + pack(">I", len(tags)) + table + body


def _table(colours: Colours) -> list[int]:
    light = _light(colours)
    return [min(65_535, max(0, round(65_535 * light(step / (_STEPS - 1))))) for step in range(_STEPS)]


def _light(colours: Colours) -> Callable[[float], float]:
    """Return what makes linear light of a value (both 0-1); of HDR, the white of paper (203 nits) becomes 1."""
    if gamma := colours.gamma or _GAMMAS.get(colours.curve, 0.0):
        return lambda value: float(value**gamma)
    return {_PQ: _pq, _HLG: _hlg}.get(colours.curve, _srgb)


def _srgb(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _pq(value: float) -> float:
    """SMPTE ST 2084."""
    root = value ** (1 / 78.84375)
    nits = 10_000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return float(nits / 203)


def _hlg(value: float) -> float:
    """ARIB STD-B67; 0.75 is the white of paper (BT.2408)."""
    import math

    def scene(signal: float) -> float:
        return signal**2 / 3 if signal <= 0.5 else (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12

    return scene(value) / scene(0.75)


def _matrix(primaries: tuple[Pair, Pair, Pair, Pair]) -> list[Triple] | None:
    """Return XYZ of red, green and blue under D50: primaries scaled to add up to white, both adapted (Bradford)."""
    if any(y < 1e-3 or not 0 <= x <= 1 or y > 1 for x, y in primaries):
        return None
    cones = [_times(_BRADFORD, _of_xy(pair)) for pair in primaries]
    white, target = cones[3], _times(_BRADFORD, _D50)
    red, green, blue = cones[:3]
    whole = _determinant(red, green, blue)
    if abs(whole) < 1e-6 or min(map(abs, white)) < 1e-6:
        return None
    parts = (_determinant(white, green, blue), _determinant(red, white, blue), _determinant(red, green, white))
    found = []
    for cone, part in zip(cones, parts, strict=False):
        a, b, c = (cone[n] * part / whole * target[n] / white[n] for n in range(3))
        found.append(_solved((a, b, c)))
    return found


def _of_xy(pair: Pair) -> Triple:
    x, y = pair
    return x / y, 1.0, (1 - x - y) / y


def _times(rows: tuple[Triple, Triple, Triple], v: Triple) -> Triple:
    a, b, c = (row[0] * v[0] + row[1] * v[1] + row[2] * v[2] for row in rows)
    return a, b, c


def _determinant(a: Triple, b: Triple, c: Triple) -> float:
    return a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])


def _solved(v: Triple) -> Triple:
    """Return XYZ of these Bradford cones (Cramer's rule on the columns)."""
    first, second, third = ((row[0], row[1], row[2]) for row in zip(*_BRADFORD, strict=True))
    whole = _determinant(first, second, third)
    return (
        _determinant(v, second, third) / whole,
        _determinant(first, v, third) / whole,
        _determinant(first, second, v) / whole,
    )


def _xyz(values: Triple) -> bytes:
    fixed = (max(-32_768.0, min(32_767.0, value)) for value in values)
    return b"XYZ \0\0\0\0" + pack(">3i", *(round(value * 65_536) for value in fixed))
