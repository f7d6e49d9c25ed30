"""Drawn scenes of several products, and pictures and their regions as vectors, as a worker makes them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
from imgsearch_workers.model.siglip import SiglipEncoder
from imgsearch_workers.proposers import salient
from imgsearch_workers.proposers.salient import Box
from numpy.typing import NDArray
from PIL import Image

from imgsearch.dev.demo.catalogue import Item
from imgsearch.dev.demo.scene import Scene, scene
from imgsearch.dev.demo.words import BACKGROUNDS
from imgsearch.picture.pixels import square
from imgsearch.picture.region import Region

OTHER_VIEW = 5  # of a product alone: none of the catalogue's
Vectors = NDArray[np.float32]


def drawn(items: Sequence[Item], size: int, many: int) -> Iterator[tuple[Scene, list[int]]]:
    """Yield scenes of `size` products each, and which those are; no product stands in two."""
    chance = Random(size)
    order = list(range(len(items)))
    chance.shuffle(order)  # so there is one right answer
    for number in range(min(many, len(order) // size)):
        chosen = order[number * size : (number + 1) * size]
        shown = [(items[n].look, items[n].seed) for n in chosen]
        yield scene(shown, number, chance.choice(list(BACKGROUNDS))), chosen


def boxes(data: bytes) -> list[Box]:
    """Return what stands out of a picture, as shares."""
    with Image.open(io.BytesIO(data)) as opened:
        return salient.propose(np.asarray(opened.convert("RGB").resize((64, 64), Image.Resampling.BOX)))


def embedded(encoder: SiglipEncoder, pictures: Iterator[tuple[bytes, Sequence[float] | None]]) -> Vectors:
    """Return the vectors of pictures, or of regions of them, as a worker makes them."""
    made: list[NDArray[np.float32]] = []
    lot: list[NDArray[np.uint8]] = []
    for data, region in pictures:
        found = square(data, encoder.size, region=None if region is None else Region.of(region))
        lot.append(np.frombuffer(found.pixels, np.uint8).reshape(encoder.size, encoder.size, 3))
        if len(lot) == 32:
            made.append(encoder.embed_pictures(np.stack(lot)))
            lot = []
    if lot:
        made.append(encoder.embed_pictures(np.stack(lot)))
    return np.concatenate(made)
