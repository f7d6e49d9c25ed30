"""Which walker reads the header of which format; the names are those of `formats.FORMATS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from imgsearch.picture.boxes import avif, heif
from imgsearch.picture.container import Container
from imgsearch.picture.containers import bmp, gif, tiff, webp
from imgsearch.picture.jpeg import jpeg
from imgsearch.picture.jpeg2000 import jpeg2000
from imgsearch.picture.jpegxl import jxl
from imgsearch.picture.photoshop import psd
from imgsearch.picture.png import png
from imgsearch.picture.rasters import ico, pnm, qoi, tga

WALKERS: Mapping[str, Callable[[bytes, int], Container]] = MappingProxyType(
    {
        "JPEG": jpeg,
        "PNG": png,
        "WEBP": webp,
        "GIF": gif,
        "AVIF": avif,
        "HEIF": heif,
        "JXL": jxl,
        "TIFF": tiff,
        "BMP": bmp,
        "JPEG2000": jpeg2000,
        "TGA": tga,
        "ICO": ico,
        "PSD": psd,
        "PNM": pnm,
        "QOI": qoi,
    }
)
