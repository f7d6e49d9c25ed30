"""What kind of file is this, by its own first bytes? Names and declared types are never believed."""

from __future__ import annotations

from imgsearch.picture.codes import refusal

_AVIF_BRANDS = (b"avif", b"avis")

_REFUSED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\x00\x00\x01\x00", "Windows icon"),
    (0, b"\x00\x00\x02\x00", "TGA or Windows cursor"),
    (0, b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II+\x00", "BigTIFF"),
    (0, b"MM\x00+", "BigTIFF"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"icns", "Apple icon"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\x01\xda", "SGI"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (0, b"FORM", "IFF"),
    (0, b"PK\x03\x04", "ZIP or office document"),
    (0, b"\x1f\x8b", "gzip"),
    (4, b"ftyp", "HEIC or a film"),
)


def sniff(data: bytes) -> str:
    """Return JPEG, PNG, WEBP, GIF, AVIF, TIFF or BMP; raise `PictureError` for everything else."""
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
    if data[4:8] == b"ftyp" and _is_avif(data):
        return "AVIF"
    raise _unknown(data)


_BMP_HEADERS = tuple(bytes([size]) for size in (12, 16, 40, 52, 56, 64, 108, 124))


def _is_avif(data: bytes) -> bool:
    """Whether the major or a compatible brand is AVIF's (an AVIF may call itself mif1 first)."""
    length = min(int.from_bytes(data[:4], "big"), 256, len(data))
    return any(data[at : at + 4] in _AVIF_BRANDS for at in (8, *range(16, length, 4)))


def _unknown(data: bytes) -> Exception:
    for at, magic, name in _REFUSED:
        if data[at : at + len(magic)] == magic:
            return refusal("format_refused", name)
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<") and b"<svg" in head:
        return refusal("format_refused", "SVG")
    if head[:1] == b"p" and head[1:2] in b"1234567" and head[2:3] in (b" ", b"\n", b"\r", b"\t"):
        return refusal("format_refused", "Netpbm")
    return refusal("not_a_picture")
