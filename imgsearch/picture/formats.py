"""Every kind of picture that is accepted, once: what it is called, how it is known, who decodes it, what it may hold.

The page, the command line, the refusals and docs/pictures.md take their lists from here; a test compares the sniffer,
the header walkers and the decoders with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Format:
    """One row: `label` is what people call it, `magic` how its bytes are known, `limits` what it adds to the usual.

    `extra` is the extra of this distribution that brings its decoder to the worker; None: Pillow has it.
    """

    label: str
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    magic: str
    decoder: str
    limits: str = ""
    extra: str | None = None


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "JPEG": Format("JPEG", (".jpg", ".jpeg"), ("image/jpeg",), "FF D8 FF", "Pillow (libjpeg-turbo), drafted"),
        "PNG": Format(
            "PNG", (".png",), ("image/png",), "89 `PNG`", "Pillow (zlib)", "APNG: first frame that shows something"
        ),
        "WEBP": Format(
            "WebP",
            (".webp",),
            ("image/webp",),
            "`RIFF` … `WEBP`",
            "Pillow (libwebp)",
            "first frame that shows something",
        ),
        "GIF": Format(
            "GIF", (".gif",), ("image/gif",), "`GIF87a`, `GIF89a`", "Pillow", "first frame that shows something"
        ),
        "AVIF": Format(
            "AVIF",
            (".avif",),
            ("image/avif",),
            "`ftyp` with `avif`",
            "Pillow (libavif)",
            "first frame that shows something",
        ),
        "HEIF": Format(
            "HEIC",
            (".heic", ".heif", ".hif"),
            ("image/heic", "image/heif"),
            "`ftyp` with `heic`, `heix`, `mif1` …",
            "pi-heif (libheif, libde265)",
            "the primary picture, turned as its boxes say",
            extra="heif",
        ),
        "JXL": Format(
            "JPEG XL",
            (".jxl",),
            ("image/jxl",),
            "FF 0A, or box `JXL `",
            "imagecodecs (libjxl)",
            "first frame",
            extra="jxl",
        ),
        "TIFF": Format(
            "TIFF",
            (".tif", ".tiff"),
            ("image/tiff",),
            "`II*`, `MM*`",
            "Pillow (libtiff)",
            "first page that shows something",
        ),
        "BMP": Format("BMP", (".bmp",), ("image/bmp",), "`BM`", "Pillow", "run-length: 4 million pixels"),
        "JPEG2000": Format(
            "JPEG 2000",
            (".jp2", ".j2k", ".jpx", ".jpf"),
            ("image/jp2",),
            "FF 4F FF 51, or box `jP  `",
            "Pillow (OpenJPEG), at the resolution needed",
            "at most 4 components of 16 bits, 4,096 tiles",
        ),
        "TGA": Format(
            "TGA",
            (".tga",),
            ("image/x-tga",),
            "none: footer `TRUEVISION-XFILE`, or every field of the header plausible",
            "Pillow",
        ),
        "ICO": Format(
            "ICO", (".ico",), ("image/x-icon",), "00 00 01 00", "Pillow", "the largest of at most 256 pictures"
        ),
        "PSD": Format(
            "PSD",
            (".psd",),
            ("image/vnd.adobe.photoshop",),
            "`8BPS`",
            "Pillow",
            "8 bits; the flattened picture, which must be in the file",
        ),
        "PNM": Format(
            "PPM",
            (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
            ("image/x-portable-anymap",),
            "`P1` … `P6`, `Pf`",
            "Pillow",
            "written as text or with an odd number of shades: 1 million values",
        ),
        "QOI": Format("QOI", (".qoi",), ("image/qoi",), "`qoif`", "Pillow, in Python", "1 million pixels"),
    }
)


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


ACCEPTED = _listed([kind.label for kind in FORMATS.values()])
SUFFIXES = frozenset(suffix for kind in FORMATS.values() for suffix in kind.suffixes)
# For <input accept>: browsers know few of the media types, and phones show their camera only for image/*.
ACCEPT = ",".join(("image/*", *sorted(SUFFIXES)))
