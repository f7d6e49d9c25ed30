"""One picture in every format and kind that imgsearch accepts, each beside what a person would see in it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.pictures import written

LOSSY = 95  # quality


@dataclass(frozen=True)
class Kind:
    """A file, and the same picture as plain sRGB."""

    format: str
    kind: str
    data: bytes
    seen: Image.Image


def kinds(picture: Image.Image) -> Iterator[Kind]:
    """Yield the picture as every kind of file; HEIC only where pillow-heif can be imported."""
    for draw in (_colours, _greys, _clear, _deep, _few, _inks, _turned, _moving):
        for name, kind, file, seen in draw(picture.convert("RGB")):
            yield Kind(name, kind, file, seen)


Row = tuple[str, str, bytes, Image.Image]


def saved(picture: Image.Image, name: str, **options: Any) -> bytes:
    """The picture as Pillow writes it."""
    out = io.BytesIO()
    picture.save(out, name, **options)
    return out.getvalue()


def jxl(picture: Image.Image | np.ndarray[Any, Any], **options: Any) -> bytes:
    """The picture as JPEG XL."""
    import imagecodecs

    made: bytes = imagecodecs.jpegxl_encode(np.asarray(picture), **options)
    return made


def heif(picture: Image.Image, **options: Any) -> bytes | None:
    """The picture as HEIC, or None without an encoder: its wheel is GPL, so it is installed by hand or not at all."""
    try:
        import pillow_heif  # type: ignore[import-not-found]
    except ImportError:
        return None
    pillow_heif.register_heif_opener()
    return saved(picture, "HEIF", quality=LOSSY, **options)


def _maybe(kind: str, file: bytes | None, seen: Image.Image) -> Iterator[Row]:
    if file is not None:
        yield "HEIF", kind, file, seen


def _colours(picture: Image.Image) -> Iterator[Row]:
    lossy = {"quality": LOSSY}
    yield "JPEG", "colour", saved(picture, "JPEG", **lossy), picture
    yield "JPEG", "progressive", saved(picture, "JPEG", progressive=True, **lossy), picture
    yield "PNG", "colour", saved(picture, "PNG"), picture
    yield "WEBP", "colour", saved(picture, "WEBP", **lossy), picture
    yield "WEBP", "lossless", saved(picture, "WEBP", lossless=True), picture
    yield "AVIF", "colour", saved(picture, "AVIF", speed=8, **lossy), picture
    yield from _maybe("colour", heif(picture), picture)
    yield "JXL", "colour", jxl(picture, level=LOSSY), picture
    yield "JXL", "lossless", jxl(picture), picture
    yield "JXL", "in boxes", jxl(picture, level=LOSSY, usecontainer=True), picture
    yield "TIFF", "colour", saved(picture, "TIFF", compression="tiff_lzw"), picture
    yield "BMP", "colour", saved(picture, "BMP"), picture
    yield "JPEG2000", "colour", saved(picture, "JPEG2000", quality_mode="dB", quality_layers=[45]), picture
    yield "JPEG2000", "bare codestream", saved(picture, "JPEG2000", no_jp2=True), picture
    yield "JPEG2000", "tiles", saved(picture, "JPEG2000", tile_size=(128, 128)), picture
    yield "TGA", "colour", saved(picture, "TGA"), picture
    yield "TGA", "run-length", saved(picture, "TGA", compression="tga_rle"), picture
    small = picture.copy()
    small.thumbnail((256, 256))
    yield "ICO", "colour", saved(small, "ICO", sizes=[(16, 16), small.size]), small
    yield "ICO", "bitmaps", written.icon(picture), small
    yield "PSD", "colour", written.psd(picture), picture
    yield "PSD", "packed", written.psd(picture, packed=True), picture
    yield "PNM", "colour", saved(picture, "PPM"), picture
    yield "PNM", "text", written.text_ppm(small), small
    yield "QOI", "colour", saved(small, "QOI"), small


def _greys(picture: Image.Image) -> Iterator[Row]:
    grey = picture.convert("L")
    for name in ("JPEG", "PNG", "AVIF", "TIFF", "BMP", "JPEG2000", "TGA"):
        yield name, "grey", saved(grey, name), grey
    yield from _maybe("grey", heif(grey), grey)
    yield "JXL", "grey", jxl(grey, photometric="gray"), grey
    yield "PNM", "grey", saved(grey, "PPM"), grey
    yield "PSD", "grey", written.psd(grey), grey
    ink = grey.convert("1", dither=Image.Dither.NONE)
    for name in ("PNG", "TIFF", "BMP"):
        yield name, "1 bit", saved(ink, name), ink.convert("L")
    yield "PNM", "1 bit", saved(ink, "PPM"), ink.convert("L")


def veiled(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """The picture behind a veil, clear at the left and gone at the right; and the same on white."""
    veil = np.tile(np.linspace(255, 0, picture.width).astype(np.uint8), (picture.height, 1))
    clear = picture.convert("RGBA")
    clear.putalpha(Image.fromarray(veil))
    white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), clear)
    return clear, white.convert("RGB")


def _clear(picture: Image.Image) -> Iterator[Row]:
    clear, white = veiled(picture)
    options: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "AVIF": {"quality": LOSSY, "speed": 8}}
    for name in ("PNG", "WEBP", "AVIF", "TIFF", "JPEG2000", "TGA"):
        yield name, "alpha", saved(clear, name, **options.get(name, {})), white
    yield from _maybe("alpha", heif(clear), white)
    yield "JXL", "alpha", jxl(clear), white
    yield "PSD", "alpha", written.psd(clear), white
    small, small_white = veiled(picture.resize((200, 150)))
    yield "ICO", "alpha", saved(small, "ICO", sizes=[small.size]), small_white
    yield "QOI", "alpha", saved(small, "QOI"), small_white


def _deep(picture: Image.Image) -> Iterator[Row]:
    grey = picture.convert("L")
    deep = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    for name in ("PNG", "TIFF", "JPEG2000"):
        yield name, "16 bit grey", saved(deep, name), grey
    yield "PNM", "16 bit grey", saved(deep, "PPM"), grey
    colours = np.asarray(picture, np.uint16) * 257
    yield "PNG", "16 bit", written.deep_png(colours), picture
    yield "PNM", "16 bit", written.ppm(picture, 65_535), picture
    yield "PNM", "100 shades", written.ppm(picture, 100), picture
    yield "PNM", "floating point", saved(grey.convert("F").point(lambda v: v / 255), "PPM"), grey
    light = np.asarray(picture, np.float64) / 255
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)  # what its encoder declares
    yield "JXL", "16 bit", jxl(np.rint(light * 65_535).astype(np.uint16)), picture
    yield "JXL", "floating point", jxl(light.astype(np.float32)), picture


def _few(picture: Image.Image) -> Iterator[Row]:
    few = picture.quantize(256, dither=Image.Dither.NONE)
    seen = few.convert("RGB")
    for name in ("PNG", "GIF", "BMP", "TIFF", "TGA"):
        yield name, "palette", saved(few, name), seen
    yield "PSD", "palette", written.psd(few), seen


def _inks(picture: Image.Image) -> Iterator[Row]:
    inks = picture.convert("CMYK")
    yield "JPEG", "CMYK", saved(inks, "JPEG", quality=LOSSY), picture
    yield "TIFF", "CMYK", saved(inks, "TIFF"), picture
    yield "PSD", "CMYK", written.psd(inks), picture
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB", ImageCms.Intent.PERCEPTUAL
    )
    lab = ImageCms.applyTransform(picture, to_lab)
    assert lab is not None
    yield "TIFF", "LAB", saved(lab, "TIFF"), picture
    yield "PSD", "LAB", written.psd(lab), picture


def _turned(picture: Image.Image) -> Iterator[Row]:
    turned = picture.transpose(Image.Transpose.ROTATE_90)  # upright again when turned clockwise: orientation 6
    tags = Image.Exif()
    tags[0x0112] = 6
    exif = tags.tobytes()
    options: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}}
    for name in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        quality = options.get(name, {} if name == "PNG" else {"quality": LOSSY})
        yield name, "orientation", saved(turned, name, exif=exif, **quality), picture
    yield from _maybe("orientation", heif(turned, exif=exif), picture)


def _moving(picture: Image.Image) -> Iterator[Row]:
    grow: Callable[[str], Image.Image] = lambda colour: Image.new("RGB", picture.size, colour)  # noqa: E731
    others = [grow("red"), grow("blue")]
    few = picture.quantize(256, dither=Image.Dither.NONE)
    more: dict[str, Any] = {"save_all": True, "append_images": others}
    yield "GIF", "animation", saved(few, "GIF", **more), few.convert("RGB")
    yield "PNG", "animation", saved(picture, "PNG", **more), picture
    yield "WEBP", "animation", saved(picture, "WEBP", lossless=True, **more), picture
    yield "AVIF", "animation", saved(picture, "AVIF", quality=LOSSY, speed=8, **more), picture
    yield "JXL", "animation", jxl(np.stack([np.asarray(frame) for frame in (picture, *others)])), picture
    yield "TIFF", "pages", saved(picture, "TIFF", **more), picture
    yield from _maybe("burst", heif(picture, **more, primary_index=0), picture)
