"""A picture of any accepted kind becomes the pixels a person would see, and a bad one a typed refusal."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from imgsearch import picture
from imgsearch.picture import Header
from tests import drawn
from tests.drawn import encoded, off, scene, squashed

SIZE = 64
TOLERANCE = 2.0  # levels of 255, mean absolute error


LOSSY = {"JPEG": {"quality": 95}, "WEBP": {"quality": 95}, "AVIF": {"quality": 95}}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_of_holding_the_camera_comes_out_upright(kind: str, orientation: int) -> None:
    upright = scene()
    data = drawn.turned(upright, orientation, kind, **LOSSY.get(kind, {}))
    assert off(picture.decode(data, SIZE), squashed(upright, SIZE)) < TOLERANCE
    assert picture.upright(data).size == upright.size
    with Image.open(io.BytesIO(picture.thumbnail(data, 100))) as small:
        assert small.size == (100, 67)


def test_an_orientation_that_is_none_is_ignored() -> None:
    data = drawn.turned(scene(), 6, "JPEG", quality=95)
    at = data.index(b"\x12\x01\x03\x00") if b"\x12\x01\x03\x00" in data else data.index(b"\x01\x12\x00\x03")
    broken = data[: at + 8] + b"\x09\x09" + data[at + 10 :]
    stored = scene().transpose(Image.Transpose.ROTATE_90)
    assert off(picture.decode(broken, SIZE), squashed(stored, SIZE)) < TOLERANCE


def _rgb16_png() -> bytes:
    pixels = np.asarray(scene(), np.uint16) * 257
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return drawn.png(300, 200, 16, 2, data=lines)


def _grey() -> Image.Image:
    return scene().convert("L")


def _ink() -> Image.Image:
    return _grey().convert("1", dither=Image.Dither.NONE)


def _palette() -> Image.Image:
    return scene().convert("P", dither=Image.Dither.NONE)


def _deep(bits: int, mode: str) -> Image.Image:
    values = np.asarray(_grey(), np.float64) / 255
    if mode == "F":
        return Image.fromarray(values.astype(np.float32))
    return Image.fromarray((values * (2**bits - 1)).astype(np.uint16 if bits == 16 else np.int32))


def _lab_tiff() -> bytes:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB", ImageCms.Intent.PERCEPTUAL
    )
    lab = ImageCms.applyTransform(scene(), to_lab)
    assert lab is not None
    return encoded(lab, "TIFF")


MODES: dict[str, tuple[Callable[[], bytes], Callable[[], Image.Image]]] = {
    "grey JPEG": (lambda: encoded(_grey(), "JPEG", quality=95), _grey),
    "progressive JPEG": (lambda: encoded(scene(), "JPEG", quality=95, progressive=True), scene),
    "CMYK JPEG": (lambda: encoded(scene().convert("CMYK"), "JPEG", quality=95), scene),
    "CMYK TIFF": (lambda: encoded(scene().convert("CMYK"), "TIFF"), scene),
    "LAB TIFF": (_lab_tiff, scene),
    "YCbCr JPEG in TIFF": (lambda: encoded(scene(), "TIFF", compression="jpeg", quality=95), scene),
    "16-bit grey PNG": (lambda: encoded(_deep(16, "I;16"), "PNG"), _grey),
    "16-bit grey TIFF": (lambda: encoded(_deep(16, "I;16"), "TIFF"), _grey),
    "16-bit colour PNG": (_rgb16_png, scene),
    "16 bits in a 32-bit TIFF": (lambda: encoded(_deep(16, "I;16").convert("I"), "TIFF"), _grey),
    "31-bit grey TIFF": (lambda: encoded(_deep(31, "I"), "TIFF"), lambda: _grey().point(lambda v: v / 2)),
    "floating point TIFF": (lambda: encoded(_deep(1, "F"), "TIFF"), _grey),
    "palette PNG": (lambda: encoded(_palette(), "PNG"), lambda: _palette().convert("RGB")),
    "palette GIF": (lambda: encoded(_palette(), "GIF"), lambda: _palette().convert("RGB")),
    "palette BMP": (lambda: encoded(_palette(), "BMP"), lambda: _palette().convert("RGB")),
    "1-bit PNG": (lambda: encoded(_ink(), "PNG"), lambda: _ink().convert("L")),
    "1-bit TIFF": (lambda: encoded(_ink(), "TIFF", compression="group4"), lambda: _ink().convert("L")),
    "BMP": (lambda: encoded(scene(), "BMP"), scene),
    "lossless WebP": (lambda: encoded(scene(), "WEBP", lossless=True), scene),
    "grey AVIF": (lambda: encoded(_grey(), "AVIF", quality=95), _grey),
    "TIFF with LZW": (lambda: encoded(scene(), "TIFF", compression="tiff_lzw"), scene),
}


@pytest.mark.parametrize("name", MODES)
def test_every_colour_mode_comes_out_as_seen(name: str) -> None:
    file, seen = MODES[name]
    assert off(picture.decode(file(), SIZE), squashed(seen(), SIZE)) < TOLERANCE


def _veiled() -> Image.Image:
    """The scene behind a veil that fades from clear at the left to nothing at the right."""
    veil = Image.fromarray(np.tile(np.linspace(255, 0, 300).astype(np.uint8), (200, 1)))
    picture_ = scene()
    picture_.putalpha(veil)
    return picture_


def _on_white(picture_: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture_.size, "white")
    return Image.alpha_composite(white, picture_.convert("RGBA")).convert("RGB")


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGBA"), ("PNG", "LA"), ("TIFF", "RGBA"), ("TIFF", "LA"), ("WEBP", "RGBA"), ("AVIF", "RGBA")],
)
def test_transparency_is_laid_on_white(kind: str, mode: str) -> None:
    veiled = _veiled().convert(mode)
    data = encoded(
        veiled, kind, **({"quality": 95} if kind == "AVIF" else {"lossless": True} if kind == "WEBP" else {})
    )
    assert off(picture.decode(data, SIZE), squashed(_on_white(veiled), SIZE)) < TOLERANCE


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_white(kind: str) -> None:
    flat = Image.new("P", (40, 40), 1)
    flat.putpalette([0, 0, 0, 10, 20, 30])
    flat.paste(0, (0, 0, 20, 40))
    got = picture.decode(encoded(flat, kind, transparency=0), SIZE)
    assert got[32, 4].tolist() == [255, 255, 255]
    assert got[32, 60].tolist() == [10, 20, 30]


def test_a_transparent_grey_and_a_transparent_colour_are_white() -> None:
    for mode, colour in (("L", 7), ("RGB", (1, 2, 3))):
        data = encoded(Image.new(mode, (20, 20), colour), "PNG", transparency=colour)
        assert (picture.decode(data, SIZE) == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("space", ["ADOBE_RGB", "P3"])
def test_a_colour_profile_is_brought_to_srgb(kind: str, space: str) -> None:
    matrix = getattr(drawn, space)
    data = encoded(scene(), kind, icc_profile=drawn.profile(matrix), **LOSSY.get(kind, {}))
    got = picture.decode(data, SIZE)
    assert off(got, squashed(drawn.as_srgb(scene(), matrix), SIZE)) < TOLERANCE
    assert off(got, squashed(scene(), SIZE)) > TOLERANCE  # the profile does matter


def test_a_profile_that_is_rubbish_or_of_another_colour_space_is_ignored() -> None:
    for unfit in (b"rubbish", bytes(5_000), drawn.profile(drawn.P3, b"CMYK"), drawn.profile(drawn.P3)[:300]):
        data = encoded(scene(), "JPEG", quality=95, icc_profile=unfit)
        assert off(picture.decode(data, SIZE), squashed(scene(), SIZE)) < TOLERANCE


def test_a_jpeg_with_further_pictures_inside_is_its_first() -> None:
    other = Image.new("RGB", (300, 200), "black")
    data = encoded(scene(), "MPO", save_all=True, append_images=[other], quality=95)
    assert picture.inspect(data) == Header("JPEG", 300, 200)
    assert off(picture.decode(data, SIZE), squashed(scene(), SIZE)) < TOLERANCE


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_an_animation_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert picture.inspect(data) == Header(kind, 60, 40, 3)
    assert off(picture.decode(data, SIZE), squashed(frames[0], SIZE)) < TOLERANCE


def test_a_large_picture_taken_in_bands_is_what_pillow_makes_of_the_whole() -> None:
    large = scene().resize((3001, 1999))
    whole = large.resize((SIZE, SIZE), Image.Resampling.BICUBIC, reducing_gap=2)
    assert off(picture.decode(encoded(large, "BMP"), SIZE), np.asarray(whole, np.float64)) < 0.05
    assert picture.upright(encoded(large, "BMP")).tobytes() == large.tobytes()


def test_a_jpeg_is_never_drafted_far_below_twice_the_wanted_size() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    rough = Image.fromarray(noise).resize((1024, 768), Image.Resampling.BICUBIC)
    data = encoded(rough, "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft(None, (96, 96))
        drafted_to_the_size_itself = off(np.asarray(opened.resize((96, 96))), squashed(rough, 96))
    assert off(picture.decode(data, 96), squashed(rough, 96)) < 0.8 * drafted_to_the_size_itself


def _large() -> Image.Image:
    """Grey grain of eight pixels: too fine for a model's square, not for a thumbnail."""
    grain = np.random.default_rng(2).integers(0, 255, (112, 150), np.uint8)
    return Image.fromarray(grain).resize((1200, 900), Image.Resampling.BICUBIC).convert("RGB")


def test_the_pixels_are_the_same_with_and_without_a_thumbnail() -> None:
    from imgsearch.picture.pixels import square

    for size in (64, 256):
        data = drawn.turned(_large(), 6, "JPEG", quality=90)
        plain, shown = square(data, size), square(data, size, with_thumbnail=True)
        assert plain.pixels == shown.pixels
        assert (plain.width, plain.height) == (1200, 900)
        assert plain.thumbnail is None
        with Image.open(io.BytesIO(shown.thumbnail or b"")) as small:
            assert (small.format, small.size) == ("WEBP", (320, 240))
            seen = np.asarray(_large().resize((320, 240), Image.Resampling.BICUBIC), np.float64)
            assert off(np.asarray(small.convert("RGB")), seen) < 8  # one blown up from fewer pixels is off by 13


def test_a_thumbnail_is_never_enlarged_and_tells_nothing_about_its_maker() -> None:
    tags = Image.Exif()
    tags[0x010F] = "a camera that is somebody's"
    data = encoded(scene(90, 60), "JPEG", exif=tags, icc_profile=drawn.profile(drawn.P3), comment=b"secret")
    small = picture.thumbnail(data)
    with Image.open(io.BytesIO(small)) as opened:
        assert opened.size == (90, 60)
        assert not set(opened.info) & {"exif", "icc_profile", "xmp"}
    assert b"somebody" not in small


def test_the_digest_is_the_sha256_of_the_file() -> None:
    assert picture.digest(b"abc") == hashlib.sha256(b"abc").digest()


def test_looking_at_a_header_imports_neither_pillow_nor_numpy() -> None:
    code = (
        "import json, sys; from imgsearch.picture import inspect, digest; inspect(sys.stdin.buffer.read());"
        "print(json.dumps([name in sys.modules for name in ('PIL', 'numpy', 'torch')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=encoded(scene(), "JPEG"), capture_output=True, check=True)
    assert json.loads(done.stdout) == [False, False, False]
