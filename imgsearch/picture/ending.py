"""How much of a JPEG that lacks its end is missing? libjpeg leaves what it has no data for in an exact middle grey."""

from __future__ import annotations

from PIL import Image, ImageChops

_SAMPLES = 128  # per side: the share is right to a hundredth


def missing(picture: Image.Image) -> float:
    """Return the share (0-1) of exactly middle grey pixels in a decoded JPEG."""
    sample = picture.resize((_SAMPLES, _SAMPLES), Image.Resampling.NEAREST)
    grey = Image.new("L", sample.size, 255)
    for band in sample.split():
        grey = ImageChops.darker(grey, band.point(lambda value: 255 * (127 <= value <= 128)))
    return grey.histogram()[255] / _SAMPLES**2
