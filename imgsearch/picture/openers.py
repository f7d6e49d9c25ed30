"""How the formats are opened that Pillow reads only with help: JPEG 2000 at a fraction, HEIC and JPEG XL by extras.

Each opener returns a picture of which nothing is decoded yet, or, where the library knows no other way, all is.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile, Jpeg2KImagePlugin

from imgsearch.errors import ExtraMissing
from imgsearch.extras import needed
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container
from imgsearch.picture.formats import FORMATS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS = 256  # converted to eight bits at a time


class HalvedJpeg2000(Jpeg2KImagePlugin.Jpeg2KImageFile):
    """Decoded to a half, a quarter …, as a JPEG is drafted, where the file has that many resolutions.

    Not by Pillow's own `reduce`: it rounds odd sides where OpenJPEG rounds them up, and then fails.
    """

    halvings = 0
    _times = 0

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Choose the smallest resolution that holds `size`; return its exact extent."""
        if size is None:
            return None
        scale = min(self.size[0] // max(1, size[0]), self.size[1] // max(1, size[1]))
        self._times = min(self.halvings, max(0, scale.bit_length() - 2))
        return self.mode, (0, 0, self.size[0] / (1 << self._times), self.size[1] / (1 << self._times))

    def load(self) -> Any:
        """Decode at the chosen resolution."""
        if self.tile and self._times:
            self._size = -(-self.size[0] >> self._times), -(-self.size[1] >> self._times)
            arguments: Any = self.tile[0].args
            codec, _, *rest = arguments
            self.tile = [self.tile[0]._replace(extents=(0, 0, *self.size), args=(codec, self._times, *rest))]
        return ImageFile.ImageFile.load(self)


def jpeg2000(data: bytes, found: Container) -> Image.Image:
    """Open a JPEG 2000."""
    picture = HalvedJpeg2000(io.BytesIO(data))
    picture.halvings = found.halvings
    return picture


def heif(data: bytes, found: Container) -> Image.Image:
    """Open the primary picture of a HEIC, turned as its boxes say."""
    pi_heif = _library("HEIF")
    picture: Image.Image = pi_heif.HeifImageFile(io.BytesIO(data))
    return picture


def jxl(data: bytes, found: Container) -> Image.Image:
    """Decode the first frame of a JPEG XL, turned as its header says."""
    decoded = _library("JXL").jpegxl_decode(data, 0, numthreads=1)
    if decoded.dtype.kind == "u" and decoded.dtype.itemsize == 1 and found.depth == 8 and not found.linear:
        return _as_image(decoded)
    return _as_image(_eight_bits(decoded, found))


def _library(name: str) -> Any:
    """Import what decodes a format; raise the refusal that tells the operator what to install."""
    kind = FORMATS[name]
    try:
        with needed(kind.extra or "", kind.label):
            if name == "HEIF":
                import pi_heif as library
            else:
                import imagecodecs as library
    except ExtraMissing as error:
        raise refusal("decoder_missing", f"On the worker: {error}") from error
    return library


def _eight_bits(decoded: NDArray[Any], found: Container) -> NDArray[np.uint8]:
    """Bring deeper values, and values that count light instead of shades, to eight bits as sRGB curves them."""
    import numpy as np

    most = 1.0 if decoded.dtype.kind == "f" else float((1 << found.depth) - 1)
    out = np.empty(decoded.shape, np.uint8)
    colours = decoded.shape[2] - (decoded.shape[2] in (2, 4)) if decoded.ndim == 3 else None
    for top in range(0, len(decoded), _ROWS):
        band = np.clip(np.nan_to_num(decoded[top : top + _ROWS].astype(np.float32) / most), 0, 1)
        if found.linear:
            shades = band if colours is None else band[..., :colours]
            shades[...] = np.where(shades <= 0.0031308, 12.92 * shades, 1.055 * shades ** (1 / 2.4) - 0.055)
        out[top : top + _ROWS] = band * 255 + 0.5
    return out


def _as_image(values: NDArray[Any]) -> Image.Image:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 2:
        return Image.fromarray(values)
    if values.ndim != 3 or values.shape[2] not in (2, 3, 4):
        raise refusal("format_refused", f"JPEG XL of shape {values.shape}")
    return Image.fromarray(values, {2: "LA", 3: "RGB", 4: "RGBA"}[values.shape[2]])
