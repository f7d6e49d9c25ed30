"""What stands out of a picture: boxes in shares, few, bounded, nothing for a picture of one colour."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from imgsearch_workers.proposers import salient
from imgsearch_workers.proposers.salient import Box
from PIL import Image

from imgsearch.dev.demo import catalogue
from imgsearch.dev.demo.scene import scene
from imgsearch.picture.region import Region
from tests.drawn import turned


def sketch(picture: Image.Image) -> np.ndarray:  # type: ignore[type-arg]
    return np.asarray(picture.convert("RGB").resize((64, 64), Image.Resampling.BOX))


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(0.0, wide) * max(0.0, high)
    return both / (one[2] * one[3] + other[2] * other[3] - both)


def test_products_of_a_scene_are_proposed() -> None:
    chance = random.Random(1)
    items = [item for item in catalogue.items(300) if item.position == 0]
    found = []
    for seed in range(20):
        chosen = chance.sample(items, 4)
        shown = scene([(item.look, item.seed) for item in chosen], seed, chance.choice(["white", "wood", "studio"]))
        boxes = salient.propose(sketch(Image.open(io.BytesIO(shown.jpeg))))
        found += [max((overlap(shown.region(n), box) for box in boxes), default=0) >= 0.5 for n in range(4)]
    assert sum(found) / len(found) > 0.85


@pytest.mark.parametrize("colour", ["white", "black", (90, 20, 200)])
def test_a_picture_of_one_colour_has_no_parts(colour: str) -> None:
    assert salient.propose(sketch(Image.new("RGB", (300, 200), colour))) == []


def test_any_pixels_give_few_boxes_that_are_regions() -> None:
    rng = np.random.default_rng(1)
    for kind in range(60):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        if kind % 3 == 1:
            pixels[pixels < 250] = 0
        if kind % 3 == 2:
            pixels = np.repeat(np.repeat(pixels[:8, :8], 8, 0), 8, 1)
        boxes: list[Box] = salient.propose(pixels)
        assert len(boxes) <= salient.MOST
        for box in boxes:
            assert Region.of(box).box((64, 64))
    assert (
        salient.propose(np.where(rng.random((64, 64, 1)) < 0.5, 0, 255).repeat(3, 2).astype(np.uint8), most=2)[2:] == []
    )


def test_a_decoder_sends_a_sketch_of_the_picture_as_it_is_shown() -> None:
    shown = Image.new("RGB", (400, 200), "white")
    shown.paste((200, 20, 20), (20, 20, 120, 120))
    with DecodePool(1, 32) as pool:
        for turn in (1, 6):
            found = pool.decode(turned(shown, turn, "JPEG", quality=95), sketch=True)
            assert found.sketch is not None
            assert found.sketch.shape == (64, 64, 3)
            assert overlap(salient.propose(found.sketch)[0], (0.05, 0.1, 0.25, 0.5)) > 0.6
        assert pool.decode(turned(shown, 1, "JPEG")).sketch is None
