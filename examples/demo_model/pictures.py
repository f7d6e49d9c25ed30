"""How does a look become the pixels a model sees? Drawn, written as JPEG, and read the way a worker reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from imgsearch.dev.demo import draw
from imgsearch.dev.demo.words import Look
from imgsearch.picture import decode

Pixels = NDArray[np.uint8]
"""(count, size, size, 3), RGB."""
Shot = tuple[Look, int, int, int, int]
"""Look, seed, view, side of the drawing in px, side of the pixels."""


def _shoot(shot: Shot) -> Pixels:
    look, seed, view, side, size = shot
    return decode(draw.jpeg(look, seed, view, side), size)


def shots(looks: Sequence[Look], size: int, *, first_seed: int, view: int = 0, side: int = draw.SIDE) -> list[Shot]:
    """Return what to draw: one picture per look, each of another product."""
    return [(look, first_seed + number, view, side, size) for number, look in enumerate(looks)]


def develop(wanted: Sequence[Shot], processes: int, tick: Callable[[], None] = lambda: None) -> Pixels:
    """Draw all the shots, in order, in this many processes; call `tick` after each."""
    pixels = np.empty((len(wanted), wanted[0][4], wanted[0][4], 3), dtype=np.uint8)
    for number, picture in enumerate(_drawn(wanted, processes)):
        pixels[number] = picture
        tick()
    return pixels


def _drawn(wanted: Sequence[Shot], processes: int) -> Iterator[Pixels]:
    if processes == 1:
        yield from map(_shoot, wanted)
        return
    with get_context("spawn").Pool(processes) as pool:
        results: Iterable[Pixels] = pool.imap(_shoot, wanted, chunksize=64)
        yield from results
