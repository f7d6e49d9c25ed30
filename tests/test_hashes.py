"""Perceptual hashes are bit for bit what others compute, and hold under what shops do to pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from imgsearch.picture import hashes
from tests.pdq import distance, pdq

# Computed by pdqhash 0.2.8 (Meta's C++) for what drawn() draws: PDQ and its quality.
KNOWN = {
    (1, 300, 200): ("5924d795fbbbf281a43e056aaac28060fbf242a41e0f329ede2ff46aa5450d7a", 100),
    (2, 640, 480): ("fc8a21044f59c8e32d89cd2b2dc9ad632dc9ab1709bfab557e01fcafaa0e0478", 100),
    (3, 64, 64): ("53fcfe2a5d5401565d7c29565dfc2b6c55f9ff5caaa82901d0ab3741ea0040ab", 100),
    (4, 97, 1031): ("a75b0ff25aa40dcdda8ed2b84fa482aa4aa440081fe5200dbfeef2ad9fee700d", 100),
    (5, 20, 9): ("019586c0e96ffc11f7ff8935579f7c0aa86073ca180103ff06907d3ffe6e81c0", 100),
}
# As Exif numbers them: what a viewer does to show the picture upright.
TURNED = [
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
]


def drawn(seed: int, wide: int, high: int) -> Image.Image:
    """Waves of three colours, the same on every machine."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:high, 0:wide]
    light = np.zeros((high, wide, 3))
    for colour in range(3):
        for _ in range(6):
            across, down, phase = [*random.uniform(0, 12, 2).tolist(), random.uniform(0, 6.28)]
            light[..., colour] += np.sin(2 * np.pi * (across * x / wide + down * y / high) + phase)
    return Image.fromarray(np.clip(128 + 30 * light, 0, 255).astype(np.uint8))


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def in_hex(bits: hashes.Bits) -> str:
    return np.packbits(bits).tobytes().hex()


@pytest.mark.parametrize("one", KNOWN)
def test_bits_are_those_of_other_implementations(one: tuple[int, int, int]) -> None:
    hashed = pdq(drawn(*one))
    assert (in_hex(hashed.bits), hashed.quality) == KNOWN[one]


@pytest.mark.parametrize("turn", range(8))
def test_the_eight_turns_are_the_hashes_of_the_turned_picture(turn: int) -> None:
    picture = drawn(8, 512, 512)
    how = TURNED[turn]
    turned = picture.transpose(how) if how is not None else picture
    # Thinning takes the pixel right of the middle, so a mirrored picture differs in some bits.
    apart = [distance(pdq(turned).bits, one) for one in pdq(picture).turns]
    assert apart[turn] <= hashes.SAME_PICTURE
    assert min(one for place, one in enumerate(apart) if place != turn) > 60


@pytest.mark.parametrize(
    ("edit", "most"),
    [
        (lambda p: p.resize((200, 150)), hashes.SAME_PICTURE),
        (lambda p: as_jpeg(p, 30), 10),
        (lambda p: p.convert("L"), 2),
        (lambda p: ImageEnhance.Brightness(p).enhance(1.2), hashes.SAME_PICTURE),
        (lambda p: p.crop((8, 6, 632, 474)), 90),
    ],
)
def test_pdq_holds_under_edits(edit: object, most: int) -> None:
    picture = drawn(2, 640, 480)
    assert callable(edit)
    assert distance(pdq(picture).bits, pdq(edit(picture)).bits) <= most


@given(seed=st.integers(0, 10_000))
def test_pictures_that_differ_are_far_apart(seed: int) -> None:
    one, other = (pdq(drawn(seed + more, 80, 80)) for more in (0, 20_000))
    assert min(distance(one.bits, turn) for turn in other.turns) > hashes.SAME_PICTURE


def test_one_colour_is_of_no_quality() -> None:
    found = pdq(Image.new("RGB", (200, 100), "teal"))
    assert found.quality == 0
    assert found.quality < 50
