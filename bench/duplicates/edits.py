"""What shops and their suppliers do to a photograph: twenty edits, by name."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

Edit = Callable[[Image.Image], Image.Image]


def _crop(share: float) -> Edit:
    """Cut off so much of width and height, half of it on each side."""

    def cut(picture: Image.Image) -> Image.Image:
        x, y = round(picture.width * share / 2), round(picture.height * share / 2)
        return picture.crop((x, y, picture.width - x, picture.height - y))

    return cut


def _resize(share: float) -> Edit:
    return lambda picture: picture.resize(
        (max(1, round(picture.width * share)), max(1, round(picture.height * share))), Image.Resampling.BICUBIC
    )


def _through(format_: str, **how: int) -> Edit:
    def saved(picture: Image.Image) -> Image.Image:
        out = io.BytesIO()
        picture.save(out, format_, **how)
        return Image.open(out).convert("RGB")

    return saved


def _text_over(picture: Image.Image) -> Image.Image:
    """A price in the lower third, a tenth of the height, white with a black edge."""
    made = picture.copy()
    size = max(8, picture.height // 10)
    font = ImageFont.load_default(size)
    where = picture.width // 10, round(picture.height * 0.7)
    ImageDraw.Draw(made).text(where, "SALE -50 %", "white", font, stroke_width=max(1, size // 12), stroke_fill="black")
    return made


def _watermark(picture: Image.Image) -> Image.Image:
    """A pale word across the middle."""
    over = Image.new("L", picture.size)
    font = ImageFont.load_default(max(8, picture.width // 8))
    ImageDraw.Draw(over).text((picture.width // 2, picture.height // 2), "SAMPLE", 90, font, anchor="mm")
    return Image.composite(Image.new("RGB", picture.size, "white"), picture, over)


def _border(picture: Image.Image) -> Image.Image:
    return ImageOps.expand(picture, max(1, round(min(picture.size) * 0.05)), "white")


def _screenshot(picture: Image.Image) -> Image.Image:
    """The picture as a viewer shows it: a dark bar above, a grey one below, a tenth of the height together."""
    bar = max(2, picture.height // 20)
    made = Image.new("RGB", (picture.width, picture.height + 2 * bar), (32, 33, 36))
    ImageDraw.Draw(made).rectangle((0, picture.height + bar, picture.width, made.height), (218, 220, 224))
    made.paste(picture, (0, bar))
    return made


EDITS: dict[str, Edit] = {
    "crop 2 %": _crop(0.02),
    "crop 5 %": _crop(0.05),
    "crop 10 %": _crop(0.10),
    "crop 20 %": _crop(0.20),
    "half the size": _resize(0.5),
    "a quarter of the size": _resize(0.25),
    "half as large again": _resize(1.5),
    "JPEG 30": _through("JPEG", quality=30),
    "WebP 50": _through("WEBP", quality=50),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "brighter by 30 %": lambda picture: ImageEnhance.Brightness(picture).enhance(1.3),
    "darker by 30 %": lambda picture: ImageEnhance.Brightness(picture).enhance(0.7),
    "more contrast by 30 %": lambda picture: ImageEnhance.Contrast(picture).enhance(1.3),
    "mirrored": ImageOps.mirror,
    "turned by 90 degrees": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "upside down": lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
    "text over it": _text_over,
    "watermark": _watermark,
    "white border 5 %": _border,
    "screenshot": _screenshot,
}


def saved(picture: Image.Image) -> bytes:
    """Return the picture as a file that loses nothing, quick to write."""
    out = io.BytesIO()
    picture.save(out, "BMP")
    return out.getvalue()
