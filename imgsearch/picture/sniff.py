"""What kind of file is this, by its own first bytes? Names and declared types are never believed."""

from __future__ import annotations

from imgsearch.picture import rasters
from imgsearch.picture.codes import refusal

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL"),
    (b"\xff\x0a", "JXL"),
    (b"8BPS", "PSD"),
    (b"qoif", "QOI"),
    (b"\x00\x00\x01\x00", "ICO"),
)
_NETPBM = (b"1", b"2", b"3", b"4", b"5", b"6", b"f")
_SPACE = (b" ", b"\n", b"\r", b"\t")

_REFUSED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"\x00\x00\x02\x00", "Windows cursor"),
    (0, b"II+\x00", "BigTIFF"),
    (0, b"MM\x00+", "BigTIFF"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"DDS ", "DDS"),
    (0, b"icns", "Apple icon"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\x01\xda", "SGI"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (0, b"FORM", "IFF"),
    (0, b"PK\x03\x04", "ZIP or office document"),
    (0, b"\x1f\x8b", "gzip"),
    (4, b"ftyp", "a film"),
)


def sniff(data: bytes) -> str:
    """Return the name of one of `formats.FORMATS`; raise `PictureError` for everything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith((b"II*\x00", b"MM\x00*")):
        return "TIFF"
    if data.startswith(b"BM") and data[14:15] in _BMP_HEADERS and data[15:18] == b"\x00\x00\x00":
        return "BMP"
    if data[4:8] == b"ftyp" and (kind := _boxed(data)):
        return kind
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:1] == b"P" and data[1:2] in _NETPBM and data[2:3] in _SPACE:
        return "PNM"
    if rasters.is_tga(data):  # has no magic: asked last
        return "TGA"
    raise _unknown(data)


_BMP_HEADERS = tuple(bytes([size]) for size in (12, 16, 40, 52, 56, 64, 108, 124))


def _boxed(data: bytes) -> str | None:
    """Return AVIF or HEIF by the major and compatible brands (an AVIF may call itself mif1 first), None for films."""
    length = min(int.from_bytes(data[:4], "big"), 256, len(data))
    brands = {data[at : at + 4] for at in (8, *range(16, length, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def _unknown(data: bytes) -> Exception:
    if rasters.is_tga_cut(data):
        return refusal("truncated", "TGA")
    for at, magic, name in _REFUSED:
        if data[at : at + len(magic)] == magic:
            return refusal("format_refused", name)
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<") and b"<svg" in head:
        return refusal("format_refused", "SVG")
    if head[:1] == b"p" and head[1:2] in (b"7", b"f") and head[2:3] in _SPACE:
        return refusal("format_refused", "PAM or coloured PFM")
    return refusal("not_a_picture")
