"""What people see of a picture: the ground under what is transparent, the first frame or page that shows something."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PIL import Image, ImageChops, ImageStat

from imgsearch.picture import colour

log = logging.getLogger("imgsearch")
WHITE, GREY = 255, 128
_NEARLY_WHITE = 224  # of 255: from here on a subject is seen better on grey
_SHADES = 24  # between the darkest and the lightest of a frame that shows something; noise of codecs has less
_SAMPLES = 256  # pixels per side that are looked at
_LOOKED_AT = 64_000_000  # pixels of all frames that are looked at; GIF of 1,000 x 1,000: 64 frames


def ground(picture: Image.Image) -> int:
    """Return the level of grey that transparency is laid on: white, or grey where what is visible is nearly white."""
    if not picture.has_transparency_data or picture.mode.startswith("I") or picture.mode == "F":
        return WHITE
    colours = _sampled(picture)
    if colours.mode == "La":
        colours = colours.convert("LA")
    colours = colours.convert("RGBA")
    alpha = colours.getchannel("A")
    visible = ImageStat.Stat(alpha).sum[0]
    if alpha.getextrema()[0] == 255 or not visible:
        return WHITE
    light = ImageStat.Stat(ImageChops.multiply(colours.convert("RGB").convert("L"), alpha)).sum[0]
    return GREY if 255 * light / visible > _NEARLY_WHITE else WHITE


def first(opener: Callable[[], Image.Image], check: Callable[[int, int], None], *, many: bool) -> Image.Image:
    """Open a picture at the first frame or page that shows something; where none does within `check`, at the first."""
    picture = opener()
    check(*picture.size)  # Pillow may read another size than we did
    if not many:
        return picture
    left = _LOOKED_AT
    try:
        while is_blank(picture):
            picture.seek(picture.tell() + 1)
            check(*picture.size)
            left -= picture.width * picture.height
            if left < 0:
                break
        else:
            return picture
    except Exception:  # noqa: BLE001 - whatever a later frame lacks, the first is still there
        log.debug("no frame after %d is looked at", picture.tell())
    picture.close()
    return opener()


def is_blank(picture: Image.Image) -> bool:
    """Return whether a frame is of one colour all over, on its ground."""
    picture.load()
    sample = _sampled(picture)
    shown = colour.flat(sample, colour.deep_scale(sample), ground(picture))
    extremes = shown.getextrema()
    bands = extremes if isinstance(extremes[0], tuple) else (extremes,)
    return all(band[1] - band[0] < _SHADES for band in bands)


def _sampled(picture: Image.Image) -> Image.Image:
    size = min(picture.width, _SAMPLES), min(picture.height, _SAMPLES)
    return picture if size == picture.size else picture.resize(size, Image.Resampling.NEAREST)
