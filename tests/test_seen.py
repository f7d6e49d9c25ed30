"""What people see of a picture is embedded: a subject stands out from its ground, a blank first frame is skipped."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgsearch import picture
from imgsearch.picture.pixels import square

SIZE = 64
SUBJECT = (16, 12, 48, 52)


def _file(image: Image.Image, name: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def _shirt(colour: tuple[int, ...], mode: str = "RGBA", edge: int = 255) -> Image.Image:
    image = Image.new("RGBA", (SIZE, SIZE), (255, 255, 255, 0))
    ImageDraw.Draw(image).rectangle(SUBJECT, fill=(*colour, edge))
    if mode == "P":
        return image.quantize(8)
    return image.convert(mode)


def _distance(data: bytes, other: bytes) -> float:
    one, two = (picture.decode(part, SIZE).astype(float) for part in (data, other))
    return float(np.abs(one - two).mean())


SHEET = _file(Image.new("RGB", (SIZE, SIZE), "white"), "PNG")
FORMATS = [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("GIF", {}), ("AVIF", {"quality": 90}), ("ICO", {})]


@pytest.mark.parametrize(("name", "options"), FORMATS)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_white_subject_on_nothing_differs_from_an_empty_sheet(name: str, options: dict[str, Any], mode: str) -> None:
    if (name, mode) in {("AVIF", "LA"), ("AVIF", "P"), ("GIF", "LA"), ("ICO", "LA"), ("TIFF", "P"), ("GIF", "P")}:
        pytest.skip("this format has no such mode, or loses its transparency")
    data = _file(_shirt((255, 255, 255), mode), name, **options)
    assert _distance(data, SHEET) > 30
    assert _distance(data, _file(Image.new("RGB", (SIZE, SIZE), "#808080"), "PNG")) > 30
    assert len(set(square(data, SIZE).plane)) > 1, "a fingerprint has something to see"


@pytest.mark.parametrize("colour", [(0, 0, 0), (200, 30, 30), (180, 180, 180), (128, 128, 128), (222, 222, 222)])
def test_other_subjects_stay_on_white(colour: tuple[int, int, int]) -> None:
    image = _shirt(colour)
    flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    assert _distance(_file(image, "PNG"), _file(flat, "PNG")) == 0


def test_pictures_without_anything_transparent_are_what_they_were() -> None:
    white = Image.new("RGBA", (SIZE, SIZE), "white")
    assert _distance(_file(white, "PNG"), SHEET) == 0
    nothing = Image.new("RGBA", (SIZE, SIZE), (255, 255, 255, 0))
    assert _distance(_file(nothing, "PNG"), SHEET) == 0, "nothing at all is an empty sheet"


def test_half_transparent_white_is_seen_too() -> None:
    assert _distance(_file(_shirt((255, 255, 255), edge=128), "PNG"), SHEET) > 30


def test_a_large_picture_has_one_ground() -> None:
    """It is flattened band by band: each would choose for itself."""
    image = _shirt((255, 255, 255)).resize((2400, 2400), Image.Resampling.NEAREST)
    ImageDraw.Draw(image).rectangle((900, 2000, 1100, 2050), fill=(0, 0, 0, 255))
    shown = picture.decode(_file(image, "PNG"), SIZE)
    assert (shown[0] == shown[-1]).all()
    assert shown[0, 0, 0] == 128


def _frames(count: int = 3) -> list[Image.Image]:
    frames = [Image.new("RGB", (SIZE, SIZE), "white") for _ in range(count)]
    ImageDraw.Draw(frames[-1]).rectangle(SUBJECT, fill="navy")
    return frames


ANIMATED: list[tuple[str, dict[str, Any]]] = [
    ("GIF", {"duration": [50, 60, 70]}),
    ("PNG", {"duration": [50, 60, 70]}),
    ("WEBP", {"lossless": True, "duration": [50, 60, 70]}),
    ("AVIF", {"quality": 95}),
    ("TIFF", {}),
]


@pytest.mark.parametrize(("name", "options"), ANIMATED)
def test_the_first_frame_that_shows_something_counts(name: str, options: dict[str, Any]) -> None:
    first, second, last = _frames()
    second.putpixel((0, 0), (250, 250, 250))  # else equal frames are made one
    data = _file(first, name, save_all=True, append_images=[second, last], **options)
    assert _distance(data, _file(last, "PNG")) < 3
    assert _distance(data, SHEET) > 30


@pytest.mark.parametrize(("name", "options"), ANIMATED)
def test_a_first_frame_that_shows_something_stays(name: str, options: dict[str, Any]) -> None:
    first, last = _frames()[-1], Image.new("RGB", (SIZE, SIZE), "red")
    data = _file(first, name, save_all=True, append_images=[last], **options)
    assert _distance(data, _file(first, "PNG")) < 3


@pytest.mark.parametrize(("name", "options"), ANIMATED)
def test_frames_that_show_nothing_are_the_first(name: str, options: dict[str, Any]) -> None:
    blank = [Image.new("RGB", (SIZE, SIZE), colour) for colour in ("white", "red", "blue")]
    data = _file(blank[0], name, save_all=True, append_images=blank[1:], **options)
    assert _distance(data, SHEET) < 3


def test_a_later_page_beyond_the_limits_is_never_decoded() -> None:
    page = Image.new("RGB", (3000, 3000), "white")
    ImageDraw.Draw(page).rectangle((0, 0, 1500, 1500), fill="navy")
    data = _file(Image.new("RGB", (8, 8), "white"), "TIFF", save_all=True, append_images=[page], compression="tiff_lzw")
    assert (picture.decode(data, SIZE, picture.Limits(len(data), 100_000, 65_535, 10)) == 255).all()
    assert (picture.decode(data, SIZE) < 255).any()


def test_a_later_frame_that_is_damaged_costs_nothing() -> None:
    first, second, last = _frames()
    second.putpixel((0, 0), (250, 250, 250))
    data = _file(first, "GIF", save_all=True, append_images=[second, last], duration=[50, 60, 70])
    assert _distance(data[:-60], SHEET) < 3
