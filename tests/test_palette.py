"""Colours and composition: names that everybody would give, shares that add up, no guess where nothing is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageColor, ImageDraw

from imgsearch.dev.demo import catalogue
from imgsearch.picture import palette


def plain(colour: str, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    return np.asarray(Image.new("RGB", size, colour))


def drawn(ground: str, subject: str, box: tuple[int, int, int, int] = (16, 16, 47, 47)) -> np.ndarray:
    picture = Image.new("RGB", (64, 64), ground)
    ImageDraw.Draw(picture).rectangle(box, fill=subject)
    return np.asarray(picture)


def test_lab_is_that_of_the_standard() -> None:
    """sRGB's primaries as Lindbloom's calculator gives them (D65, 2°), and as far apart as CIE76 says."""
    rgb = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5]], float)
    wanted = [
        [53.2408, 80.0925, 67.2032],
        [87.7347, -86.1827, 83.1793],
        [32.2970, 79.1875, -107.8602],
        [100, 0, 0],
        [0, 0, 0],
        [53.3890, 0, 0],
    ]
    assert np.abs(palette.lab(rgb) - wanted).max() < 0.01


def test_every_named_colour_has_one_family() -> None:
    listed = [name for names in palette._FAMILIES.values() for name in names.split()]
    spelled_twice = {name for name in ImageColor.colormap if "grey" in name}
    assert len(listed) == len(set(listed))
    assert set(listed) == set(ImageColor.colormap) - spelled_twice - {"rebeccapurple"}


@pytest.mark.parametrize(
    "name", ["red", "orange", "gold", "green", "teal", "blue", "purple", "hotpink", "saddlebrown", "black", "gray"]
)
def test_a_subject_before_white_has_its_own_colour(name: str) -> None:
    found = palette.describe(drawn("white", name), 64, 64)
    family = {"gold": "yellow", "teal": "cyan", "hotpink": "pink", "saddlebrown": "brown", "gray": "grey"}.get(
        name, name
    )
    assert found["picture_colours"] == [family]
    assert found[f"picture_{family}"] == 1
    assert found["picture_hex"] == "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(name))
    assert found["picture_background"] == pytest.approx(0.75, abs=0.03)


def test_a_picture_of_one_colour_is_all_subject() -> None:
    found = palette.describe(plain("navy", (300, 100)), 300, 100)
    assert (found["picture_colours"], found["picture_background"]) == (["blue"], 1)
    assert (found["picture_shape"], found["picture_aspect"]) == ("landscape", 3)


def test_two_colours_come_by_their_shares() -> None:
    pixels = drawn("white", "red").copy()
    pixels[16:26, 16:48] = ImageColor.getrgb("black")
    found = palette.describe(pixels, 640, 800)
    assert found["picture_colours"] == ["red", "black"]
    assert found["picture_red"] == pytest.approx(0.69, abs=0.04)
    assert found["picture_red"] + found["picture_black"] == pytest.approx(1, abs=0.01)
    assert found["picture_shape"] == "portrait"


def test_what_the_border_does_not_reach_stays_in_front() -> None:
    """A white label inside a red box is no background; a border of many colours is none at all."""
    pixels = drawn("white", "red").copy()
    pixels[26:38, 26:38] = 255
    assert palette.describe(pixels, 64, 64)["picture_colours"] == ["red", "white"]
    noise = np.random.default_rng(7).integers(0, 255, (64, 64, 3), np.uint8)
    assert palette.describe(noise, 64, 64)["picture_background"] == 0


def test_brightness_goes_from_black_to_white() -> None:
    assert [palette.describe(plain(one), 9, 9)["picture_brightness"] for one in ("black", "white")] == [0, 1]


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.integers(1, 9999),
    st.integers(1, 9999),
)
def test_whatever_the_pixels_it_answers_and_the_same_again(pixels: np.ndarray, width: int, height: int) -> None:
    found = palette.describe(pixels, width, height)
    assert found == palette.describe(pixels, width, height)
    assert set(found["picture_colours"]) <= set(palette._FAMILIES)
    assert found["picture_colours"]
    shares = [found.get(f"picture_{name}", 0) for name in palette._FAMILIES]
    assert 0 < sum(shares) <= 1.01
    assert min(shares) >= 0
    assert all(name.startswith(palette.PREFIX) for name in found)


def test_most_drawn_products_have_the_colour_that_they_were_drawn_in() -> None:
    """0.90 of 400; what is missed is white before white, and shadows."""
    items = list(catalogue.items(120))
    named = {"teal": "cyan"}
    hits = 0
    for item in items:
        picture = Image.open(io.BytesIO(catalogue.draw(item))).convert("RGB")
        found = palette.describe(np.asarray(picture.resize((256, 256))), *picture.size)
        hits += named.get(item.attributes["colour"], item.attributes["colour"]) in found["picture_colours"]
    assert hits / len(items) >= 0.85
