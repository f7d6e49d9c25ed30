"""A region of a picture: four numbers, checked, cut out of the picture as it is shown, whichever way it is stored."""

from __future__ import annotations

import contextlib
import math
import random
from typing import Any

import numpy as np
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from PIL import Image

from imgsearch.errors import PictureError, RegionError
from imgsearch.picture.geometry import Geometry, of
from imgsearch.picture.pixels import square
from imgsearch.picture.region import Region, with_room
from tests.drawn import encoded, off, scene, squashed, turned

SIZE = 64
PART = (0.1, 0.2, 0.5, 0.4)  # of 300 x 200: (30, 40) to (180, 120)
BOX = (30, 40, 180, 120)
ROOM = (8, 0, 203, 195)  # what a model sees of it: 15 % around it, and square


def seen(data: bytes, region: Any, geometry: Geometry | int = SIZE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    found = square(data, geometry, region=Region.of(region))
    side = geometry if isinstance(geometry, int) else geometry.size
    return np.frombuffer(found.pixels, np.uint8).reshape(side, side, 3)


def test_four_numbers_up_to_one_are_shares_and_others_pixels() -> None:
    assert str(Region.of(PART)) == "s100000,200000,500000,400000"
    assert str(Region.of((30, 40, 150, 80))) == "p30,40,150,80"
    assert str(Region.of((0, 0, 1, 1))) == "s0,0,1000000,1000000"
    assert str(Region.of((0, 0, 2, 2.4))) == "p0,0,2,2"
    assert Region.of(PART).numbers == PART
    assert Region.read("s100000,200000,500000,400000") == Region.of(PART)


def test_a_third_and_two_thirds_are_the_whole() -> None:
    for n in range(1, 199):
        assert Region.of((n / 200, 0, 1 - n / 200, 1)).box((300, 200))[2] == 300
    assert Region.of((1 / 3, 0, 2 / 3, 1)).x + Region.of((1 / 3, 0, 2 / 3, 1)).w == 1_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        (0.5, 0.5, 0.6, 0.2),
        (-0.1, 0, 0.5, 0.5),
        (0, 0, 0, 0.5),
        (0.1, 0.1, 0.5, -0.5),
        (0, 0, 1e-9, 1),
        (10, 10, 0, 5),
        (10, 10, 1, 1),
        (10, 10, 1.2, 40),
        (math.nan, 0, 1, 1),
        (0, 0, math.inf, 1),
        (0, 0, 70_000, 5),
        (1, 2, 3),
        (1, 2, 3, 4, 5),
        "0,0,1,1",
        None,
        7,
        (True, 0, 1, 1),
        ("x", 0, 1, 1),
        (0, 0, 10**400, 1),
    ],
)
def test_what_is_no_region_is_refused(wrong: Any) -> None:
    with pytest.raises(RegionError, match="x, y, w, h"):
        Region.of(wrong)


@pytest.mark.parametrize("text", ["", "s1,2,3", "q1,2,3,4", "s1,2,3,-4", "p99999999,1,1,1", "s1,2,3,4\n"])
def test_what_is_no_text_of_a_region_is_refused(text: str) -> None:
    with pytest.raises(RegionError):
        Region.read(text)


def test_any_numbers_are_a_region_or_refused() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        numbers = [chance.choice([-1, 0, 0.3, 0.999999, 1, 1.0000005, 2, 64, 65_535, 1e9, math.nan]) for _ in range(4)]
        try:
            region = Region.of(numbers)
        except RegionError:
            continue
        assert Region.read(str(region)) == region
        with contextlib.suppress(PictureError):
            left, top, right, low = region.box((300, 200))
            assert 0 <= left < right <= 300, numbers
            assert 0 <= top < low <= 200, numbers


@pytest.mark.parametrize("wrong", [(290, 10, 20, 20), (0, 190, 10, 11), (400, 400, 10, 10), (0, 0, 0.003, 1)])
def test_a_region_that_the_picture_does_not_have_is_refused(wrong: Any) -> None:
    with pytest.raises(PictureError, match="300 x 200") as caught:
        square(encoded(scene(), "PNG"), SIZE, region=Region.of(wrong))
    assert caught.value.code == "bad_region"


@pytest.mark.parametrize("region", [PART, (30, 40, 150, 80)])
def test_a_region_is_seen_as_its_own_picture_would_be(region: Any) -> None:
    assert with_room(BOX, (300, 200), Geometry.squash(SIZE)) == ROOM
    assert with_room(BOX, (300, 200), Geometry.fit(SIZE)) == (8, 28, 203, 132)
    for geometry in (SIZE, Geometry.fit(SIZE), Geometry.crop(SIZE, 80)):
        alone = encoded(scene().crop(with_room(BOX, (300, 200), of(geometry))), "PNG")
        side = geometry if isinstance(geometry, int) else geometry.size
        wanted = np.frombuffer(square(alone, geometry).pixels, np.uint8).reshape(side, side, 3)
        assert (seen(encoded(scene(), "PNG"), region, geometry) == wanted).all()


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("AVIF", {"quality": 95}), ("TIFF", {})],
)
def test_a_region_is_of_the_picture_as_it_is_shown(kind: str, options: dict[str, Any], turn: int) -> None:
    data = turned(scene(), turn, kind, **options)
    for region in (PART, (30, 40, 150, 80)):
        assert off(seen(data, region), squashed(scene().crop(ROOM), SIZE)) < 2.0
    size = square(data, SIZE, region=Region.of(PART))
    assert (size.width, size.height) == (195, 195)


@pytest.mark.parametrize("turn", [1, 6])
def test_a_small_part_of_a_large_jpeg_is_sharp(turn: int) -> None:
    """A JPEG is decoded to about the wanted size; of a part, to that much more."""
    large = Image.new("RGB", (2400, 1600), "white")
    detail = scene(150, 100).quantize(16).convert("RGB")
    for y in range(0, 100, 2):
        detail.paste((0, 0, 0), (0, y, 150, y + 1))
    large.paste(detail, (1200, 900))
    wanted = large.crop(with_room((1200, 900, 1350, 1000), large.size, Geometry.squash(SIZE)))
    data = turned(large, turn, "JPEG", quality=95, subsampling=0)
    found = seen(data, (1200, 900, 150, 100))
    assert off(found, squashed(wanted, SIZE)) < 5.0
    assert (seen(data, (0, 0, 1, 1)) == np.frombuffer(square(data, SIZE).pixels, np.uint8).reshape(SIZE, SIZE, 3)).all()


def test_room_never_leaves_the_picture() -> None:
    chance = random.Random(3)
    for _ in range(3000):
        wide, high = chance.choice([2, 3, 40, 333, 4000]), chance.choice([2, 5, 60, 1000])
        left, top = chance.randrange(wide - 1), chance.randrange(high - 1)
        box = left, top, chance.randrange(left + 2, wide + 1), chance.randrange(top + 2, high + 1)
        for geometry in (Geometry.squash(8), Geometry.fit(8)):
            x, y, right, low = with_room(box, (wide, high), geometry)
            assert 0 <= x <= box[0], (box, wide, high)
            assert 0 <= y <= box[1], (box, wide, high)
            assert box[2] <= right <= wide, (box, wide, high)
            assert box[3] <= low <= high, (box, wide, high)
    assert with_room((0, 0, 300, 200), (300, 200), Geometry.squash(8)) == (0, 0, 300, 200)


def test_a_decoder_cuts_regions_out_and_refuses_others() -> None:
    data = turned(scene(), 6, "JPEG", quality=95)
    with DecodePool(1, SIZE) as pool:
        found = pool.decode(data, region=Region.of(PART))
        assert off(found.pixels, squashed(scene().crop(ROOM), SIZE)) < 2.0
        assert (found.width, found.height) == (195, 195)
        with pytest.raises(PictureError) as caught:
            pool.decode(data, region=Region.of((0, 0, 201, 301)))
        assert caught.value.code == "bad_region"
        assert (pool.decode(data).width, pool.replaced) == (300, 0)


def test_a_part_of_a_large_picture_keeps_the_limits() -> None:
    """What decoding a part finely takes is reckoned before it is done: such a picture gets a decoder of its own."""
    noise = np.random.default_rng(1).integers(0, 255, (500, 700, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise).resize((9000, 7000)), "JPEG", quality=50)
    with DecodePool(1, SIZE, memory_mb=200) as pool:
        whole, part = pool.decode(data), pool.decode(data, region=Region.of((8000, 6000, 80, 80)))
        assert (whole.width, part.width, pool.replaced) == (9000, 104, 0)
