"""From bytes to upright sRGB pixels on their ground, with as little memory as the wanted size allows.

Order: own header walk and limits → one Pillow plug-in, chosen by us → its size checked again → draft decode of a
JPEG to about twice the wanted size → bands are flattened and averaged (BOX) to at least twice the wanted size →
ICC → BICUBIC to the wanted size → EXIF turn. Nothing global is changed in Pillow.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    PsdImagePlugin,
    QoiImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
)

from imgsearch.picture import colour, exif, openers, seen, xmp
from imgsearch.picture.capture import NOTHING, Capture, read
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container
from imgsearch.picture.ending import missing
from imgsearch.picture.geometry import Geometry, Size, fitted, of
from imgsearch.picture.header import walk
from imgsearch.picture.lean import LeanAvif, LeanWebp
from imgsearch.picture.limits import DEFAULT_LIMITS, Limits, check
from imgsearch.picture.opened import Box, Opened, turned
from imgsearch.picture.region import Cells, Region, as_stored, with_room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The class itself and not Image.open(): exactly one parser sees the bytes, no other plug-in is ever imported, JPEG does
# not turn into MPO, and the warning above 89 megapixels, which is steered by a process-wide filter, never fires.
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": LeanWebp,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": LeanAvif,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TGA": TgaImagePlugin.TgaImageFile,
    "ICO": IcoImagePlugin.IcoImageFile,
    "PSD": PsdImagePlugin.PsdImageFile,
    "PNM": PpmImagePlugin.PpmImageFile,
    "QOI": QoiImagePlugin.QoiImageFile,
}
_OPENERS = {"JPEG2000": openers.jpeg2000, "HEIF": openers.heif, "JXL": openers.jxl}

_GAP = 2  # averaging stops at this many times the wanted size (PSNR 54 dB against full BICUBIC)
# A JPEG is drafted to this many: half of 1,000 pixels, which shops like, is 1.95 times 256, and costs half to decode.
_DRAFT = 1.9
_BAND = 1_000_000  # pixels flattened at a time
_MOST_MISSING = 0.1  # of a JPEG that lacks its end; more is a picture that was cut

THUMBNAIL_SIDE = 320
_PLANE = 64  # samples per side of what PDQ is made of
_SKETCHED = 256  # pixels per side of the square that a sketch is made of, where the model sees another


@dataclass(frozen=True)
class Square:
    """`pixels`: RGB bytes of what the geometry makes of the picture (size x size, as a rule), row by row; its
    upright size; a WebP; its grey levels and tiles, of which `hashes.of_plane` makes PDQ.

    Not `whole`: the file lacks its last bytes, which hardly show. sketch: RGB bytes of the picture squashed to 64 x 64.
    """

    pixels: bytes
    width: int
    height: int
    thumbnail: bytes | None = None
    whole: bool = True
    plane: bytes = b""
    sketch: bytes = b""
    capture: Capture = NOTHING


def decode(data: bytes, size: int, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """Return the picture squashed to uint8 (size, size, 3), upright sRGB on white; raise `PictureError`."""
    import numpy as np

    return np.frombuffer(bytearray(square(data, size, limits).pixels), np.uint8).reshape(size, size, 3)


def square(
    data: bytes,
    size: int | Geometry,
    limits: Limits = DEFAULT_LIMITS,
    *,
    with_thumbnail: bool = False,
    region: Region | None = None,
    with_sketch: bool = False,
) -> Square:
    """Return all that a worker wants of a picture, or of a region of it; a thumbnail changes no pixel."""
    geometry = of(size)
    with _refusing():
        part = None if region is None else lambda shown: with_room(region.box(shown), shown, geometry)
        opened = _open(data, limits, lambda size: _at_least(geometry.resized(size)), part)
        small = opened.shaped(geometry)
        shown = None
        if with_thumbnail and region is None:
            fits = fitted(opened.size, THUMBNAIL_SIDE)
            shown = _webp(opened if opened.holds(fits) else _open(data, limits, lambda _: _enough(fits)), fits)
        wide, high = opened.size if opened.turn < 5 else opened.size[::-1]
        sketch = b""
        if with_sketch:
            whole = small if geometry.mode == "squash" else opened.resized((_SKETCHED, _SKETCHED))
            sketch = whole.resize((_PLANE, _PLANE), Image.Resampling.BOX).tobytes()
        return Square(small.tobytes(), wide, high, shown, opened.whole, opened.plane(), sketch, opened.capture)


def plane(data: bytes, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return what a fingerprint is made of, and nothing else; as `Square.plane` but for a few bits."""
    with _refusing():
        return _open(data, limits, lambda _: (2 * _PLANE, 2 * _PLANE)).plane()


def upright(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Return the whole picture in mode RGB, upright sRGB on white."""
    with _refusing():
        opened = _open(data, limits, None)
        return turned(opened.picture, opened.turn)


def thumbnail(data: bytes, side: int = THUMBNAIL_SIDE, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return a WebP that fits within side x side (never enlarged), without metadata."""
    with _refusing():
        opened = _open(data, limits, lambda size: _enough(fitted(size, side)))
        return _webp(opened, fitted(opened.size, side))


def _open(
    data: bytes, limits: Limits, wanted: Callable[[Size], Size] | None, part: Callable[[Size], Cells] | None = None
) -> Opened:
    """Decode to about `_GAP` times what `wanted` makes of the size as stored, or to the whole; cut a region out."""
    name, found = walk(data, limits)
    opener = partial(_picture, found.inner or name, found.cleaned or data, found)
    fits = partial(check, name, limits=limits, need=found.need)
    with seen.first(opener, fits, many=name == "TIFF" or found.frames > 1) as picture:
        whole = picture.size  # of a TIFF: already turned, as Pillow does while loading
        turn = _turn_of_avif(picture) if name == "AVIF" else found.turn
        cut = (0, 0, *whole)
        if part is not None:
            cut = as_stored(part(whole if turn < 5 else whole[::-1]), whole, turn)
        size = cut[2] - cut[0], cut[3] - cut[1]
        goal = wanted(size) if wanted else size
        fine = (int(_DRAFT * goal[0] * whole[0] / size[0]), int(_DRAFT * goal[1] * whole[1] / size[1]))
        drafted = picture.draft(None, fine) if wanted else None
        if part is not None and drafted:  # a small part is decoded finer than the header's reckoning has it
            check(name, *whole, limits, need=found.need + 4 * picture.width * picture.height)
        picture.load()
        block = found.exif or picture.info.get("exif") or (data if name == "TIFF" else b"")
        capture = read(block, xmp=found.xmp or picture.info.get("xmp"))
        if name == "JPEG" and not found.whole and missing(picture) > _MOST_MISSING:
            raise refusal("truncated", "much of the picture is missing")
        extent = drafted[1] if drafted else (0, 0, *picture.size)
        across, down = extent[2] / whole[0], extent[3] / whole[1]
        box = (cut[0] * across, cut[1] * down, cut[2] * across, cut[3] * down) if part else extent
        reduced, box = _reduced(picture, box, goal)
        shown = colour.srgb(reduced, picture.info.get("icc_profile") or found.profile, found.colours)
        return Opened(shown, box, size, turn, found.whole, capture)


def _turn_of_avif(picture: Image.Image) -> int:
    """Return what libavif makes of the boxes `irot` and `imir`; what Exif says against them does not count."""
    return exif.stated(picture.info.get("exif", b"")) or xmp.turn(picture.info.get("xmp", b"")) or 1


def _picture(name: str, data: bytes, found: Container) -> Image.Image:
    return _OPENERS[name](data, found) if name in _OPENERS else _PLUGINS[name](io.BytesIO(data))


def _reduced(picture: Image.Image, box: Box, goal: Size) -> tuple[Image.Image, Box]:
    """Flatten and average band by band: what `resize(reducing_gap=2)` does, without a second full-size copy.

    Of the pixels that the box covers; it is returned as it lies in them.
    """
    left, top = math.floor(box[0]), math.floor(box[1])
    window = left, top, min(picture.width, math.ceil(box[2])), min(picture.height, math.ceil(box[3]))
    factor = max(1, int((box[2] - box[0]) / goal[0] / _GAP)), max(1, int((box[3] - box[1]) / goal[1] / _GAP))
    bands = _bands(picture, factor, window)
    _, first = next(bands)
    high = -(-(window[3] - top) // factor[1])
    if first.height >= high:
        target = first
    else:
        target = Image.new(first.mode, (first.width, high))
        target.paste(first)
        for at, band in bands:
            target.paste(band, (0, at))
    x, y = factor
    return target, ((box[0] - left) / x, (box[1] - top) / y, (box[2] - left) / x, (box[3] - top) / y)


def _bands(picture: Image.Image, factor: Size, window: tuple[int, int, int, int]) -> Iterator[tuple[int, Image.Image]]:
    """Yield (row in the reduced picture, flat and reduced band of the window) from top to bottom."""
    scale, ground = colour.deep_scale(picture), seen.ground(picture)
    left, top, right, low = window
    rows = max(1, _BAND // ((right - left) * factor[1])) * factor[1]
    for at in range(top, low, rows):
        part = left, at, right, min(at + rows, low)
        band = picture if part == (0, 0, *picture.size) else picture.crop(part)
        band = colour.flat(band, scale, ground)
        yield (at - top) // factor[1], band if factor == (1, 1) else band.reduce(factor)


def _at_least(size: Size) -> Size:
    """Return a goal that leaves PDQ enough to see, whatever a very small model wants."""
    return max(size[0], _PLANE), max(size[1], _PLANE)


def _enough(size: Size) -> Size:
    """Return the goal for a thumbnail of this size: drafted to half as much again, which nobody tells from more."""
    return max(1, round(size[0] * 1.5 / _DRAFT)), max(1, round(size[1] * 1.5 / _DRAFT))


def _webp(opened: Opened, size: Size) -> bytes:
    out = io.BytesIO()
    picture = opened.resized(size, Image.Resampling.HAMMING)  # half the cost of BICUBIC, as sharp
    picture.save(out, "WEBP", quality=80, method=0)  # method 1 takes a quarter longer for 3 % fewer bytes, 4 five times
    return out.getvalue()


# What Pillow, zlib and struct raise on damaged files: its own fuzz target's list, and what 10,000 mutations added.
_FORESEEN = (
    OSError,  # and UnidentifiedImageError
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,  # and OverflowError
    EOFError,
    RuntimeError,  # and NotImplementedError
    AssertionError,
    struct.error,
    zlib.error,
)
_ENDED = ("truncated", "not enough", "end of file", "eof", "no more images", "ended")
_UNKNOWN = ("unsupported", "not supported", "unknown pixel mode", "unknown data organization", "unknown compression")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn every foreseeable failure of decoding into a `PictureError`."""
    try:
        yield
    except MemoryError as error:
        raise refusal("too_much_memory") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise refusal("too_many_pixels", str(error)) from error
    except NotImplementedError as error:
        raise refusal("format_refused", str(error)) from error
    except _FORESEEN as error:
        raise refusal(_code_of(error), str(error)) from error


def _code_of(error: Exception) -> str:
    """Return the code for what a library says of a picture that it cannot decode."""
    text = str(error).lower()
    if "memory" in text:
        return "too_much_memory"
    if any(word in text for word in _UNKNOWN):
        return "format_refused"
    return "truncated" if isinstance(error, EOFError) or any(word in text for word in _ENDED) else "corrupt"
