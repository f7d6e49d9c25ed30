"""Every colour mode a file may hold → eight-bit sRGB on white or grey.

Two steps, because only the first must see every pixel: `flat` brings a band into a mode whose values may be averaged
(L, RGB, CMYK, LAB, YCbCr) and lays transparency on a ground; `srgb` applies the ICC profile to the reduced picture.
"""

from __future__ import annotations

import io
import math
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

from imgsearch.picture import numbers
from imgsearch.picture.codes import refusal
from imgsearch.picture.numbers import Colours

_DEEP = ("I", "F")
_AVERAGED = ("L", "RGB", "CMYK", "LAB", "YCbCr")
_UNSEEN = 2  # levels of 255 that a profile may differ from sRGB's and still be it
_LONGEST_PROFILE = 4 * 1024 * 1024  # bytes; press profiles have 0.5-2.5 MB
_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}


def deep_scale(picture: Image.Image) -> float:
    """Return what values deeper than eight bits are multiplied with, so that nothing is clipped.

    16 bits: 1/257. 32-bit and floating point carry no range, so the smallest usual one (1.0, 255, 65535, 2**32 - 1)
    that holds the largest value is taken.
    """
    if picture.mode.startswith("I;16"):
        return 1 / 257
    if picture.mode not in _DEEP:
        return 1.0
    extremes = picture.getextrema()
    top = float(extremes[1])  # type: ignore[arg-type]  # one band: a pair of numbers
    if not math.isfinite(top) or not math.isfinite(float(extremes[0])):  # type: ignore[arg-type]
        raise refusal("corrupt", "values that are no numbers")
    ranges = (1.0, 255.0, 65535.0, 4294967295.0) if picture.mode == "F" else (255.0, 65535.0, 4294967295.0)
    return 255 / next((end for end in ranges if top <= end), top)


def flat(band: Image.Image, scale: float, ground: int) -> Image.Image:
    """Return the band without transparency in a mode of `_AVERAGED`; `scale` of `deep_scale`, `ground` of `seen`."""
    mode = band.mode
    if mode.startswith("I;16") or mode in _DEEP:
        deep = band if mode in _DEEP else band.convert("I")
        return deep.point(lambda value: value * scale + 0.5).convert("L")
    if band.has_transparency_data:
        if mode == "La":
            band = band.convert("LA")
        return Image.alpha_composite(Image.new("RGBA", band.size, (ground,) * 3), band.convert("RGBA")).convert("RGB")
    if mode == "1":
        return band.convert("L")
    if mode in ("P", "RGBX"):
        return band.convert("RGB")
    if mode not in _AVERAGED:
        raise refusal("format_refused", f"colour mode {mode}")
    return band


def srgb(picture: Image.Image, profile: bytes | None, colours: Colours | None = None) -> Image.Image:
    """Return the picture as sRGB in mode RGB; a profile that is absent, unfit or broken is ignored.

    `colours`, where given, stand for the profile.
    """
    if picture.mode == "YCbCr":
        picture = picture.convert("RGB")
    if picture.mode == "LAB":
        profile = _LAB
    elif colours is not None:
        profile = numbers.profile(colours)
        if picture.mode == "L":  # a curve of three colours is one for grey as well
            picture = picture.convert("RGB")
    if profile and len(profile) <= _LONGEST_PROFILE:
        transform = _transform(profile, picture.mode)
        if transform is not None:
            return ImageCms.applyTransform(picture, transform) or picture
    return picture.convert("RGB")


_LAB = b"LAB"  # stands for the profile that Pillow makes itself


@lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way to sRGB from exactly this mode (another mode's transform writes out of bounds), or None."""
    try:
        if profile == _LAB:
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space != _SPACES.get(mode):
                return None
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        transform = ImageCms.buildTransform(source, target, mode, "RGB")
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, UnicodeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether it leaves colours from all over the cube where they are: names of profiles say nothing."""
    steps = [*range(0, 256, 51), 13, 128]
    cube = bytes(value for red in steps for green in steps for blue in steps for value in (red, green, blue))
    before = Image.frombytes("RGB", (len(steps) ** 2, len(steps)), cube)
    after = ImageCms.applyTransform(before, transform) or before
    extremes = ImageChops.difference(before, after).getextrema()
    return all(isinstance(band, tuple) and band[1] <= _UNSEEN for band in extremes)
