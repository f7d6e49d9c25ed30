"""A decoded picture on its way to the size somebody wants: resized from its exact extent, cut, turned upright."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from imgsearch.picture.capture import NOTHING, Capture
from imgsearch.picture.geometry import Geometry, Size

Box = tuple[float, float, float, float]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A picture to be cropped is resized whole, as transformers does, unless it is longer than this many times its width:
# 10,000 x 1 pixels would become 2,240,000 x 224. Then only its middle is, and so much beside it as a filter reaches.
# (Pillow may then do rows before columns, or the other way round, which changes a hard edge by some levels.)
_LONG = 8
_REACH = 8  # pixels of the result


@dataclass(frozen=True)
class Opened:
    """RGB as stored, perhaps reduced; `box` is its exact extent (reduced edges cover less than a pixel), `size` what
    it was before, `turn` the turn still to do; not `whole` where the file lacks its end; `capture` as its Exif says."""

    picture: Image.Image
    box: Box
    size: Size
    turn: int
    whole: bool
    capture: Capture = NOTHING

    def resized(self, size: Size, filter_: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
        """Return the upright picture, resized to `size` as it is stored."""
        return turned(self.picture.resize(size, filter_, self.box), self.turn)

    def holds(self, size: Size) -> bool:
        """Return whether it has at least as many pixels, each way."""
        return self.picture.width >= size[0] and self.picture.height >= size[1]

    def plane(self) -> bytes:
        """Return 64 x 64 grey levels of the upright picture squashed, row by row, of which PDQ is made, and its tiles.

        Each is the mean under a tent as wide as a 64th of the side, around the middle of its cell. Meta's windows are
        as wide, but lie up to a pixel beside it, by a size that is even or odd: here a picture of half the size differs
        by 2 bits where theirs differs by 17, and a mirrored one by none (docs/decisions/0030-duplicates.md).
        """
        left, top, right, low = self.box
        x, y = (right - left) / 256, (low - top) / 256
        steps = self.picture.convert("L").resize(
            (127, 127), Image.Resampling.BILINEAR, (left + x, top + y, right - x, low - y)
        )
        # Every second one: of two neighbours NEAREST takes the right one.
        cells = steps.crop((-1, -1, 127, 127)).resize((64, 64), Image.Resampling.NEAREST)
        return turned(cells, self.turn).tobytes() + self._tiles()

    def _tiles(self) -> bytes:
        """Return what PDQ cannot see: 22 x 22 of the brightness of small places, then 6 x 6 of each colour difference.

        By a tent, as above: with boxes the same picture in half its size differs three times as much.
        """
        bright = self.resized((22, 22), Image.Resampling.BILINEAR).convert("L")
        colours = self.resized((6, 6), Image.Resampling.BILINEAR).convert("YCbCr").split()[1:]
        return b"".join(one.tobytes() for one in (bright, *colours))

    def shaped(self, geometry: Geometry) -> Image.Image:
        """Return the upright picture as a model wants to see it."""
        filter_ = Image.Resampling[geometry.filter.upper()]
        size = geometry.resized(self.size)
        if geometry.mode == "crop":
            return _middle(self._resized_about(geometry.size, size, filter_), geometry.size)
        seen = self.resized(size, filter_)
        return _middle(seen, geometry.size) if geometry.mode == "fit" else seen

    def _resized_about(self, middle: int, size: Size, filter_: Image.Resampling) -> Image.Image:
        """Return what `resized` does, without the far ends of a long picture: its middle stays the middle."""
        if max(size) <= _LONG * min(size):
            return self.resized(size, filter_)
        cut = [max(0, (side - middle) // 2 - _REACH) for side in size]
        kept = size[0] - 2 * cut[0], size[1] - 2 * cut[1]
        x, y = (self.box[2] - self.box[0]) / size[0], (self.box[3] - self.box[1]) / size[1]
        left, top = self.box[0] + cut[0] * x, self.box[1] + cut[1] * y
        # As the ends of the box are made with floats, they may lie a hair outside.
        right, low = min(self.box[2], left + kept[0] * x), min(self.box[3], top + kept[1] * y)
        return turned(self.picture.resize(kept, filter_, (left, top, right, low)), self.turn)


def turned(picture: Image.Image, turn: int) -> Image.Image:
    """Return the picture with an EXIF turn (1 to 8) done."""
    return picture.transpose(_TURNS[turn]) if turn in _TURNS else picture


def _middle(picture: Image.Image, size: int) -> Image.Image:
    """Return the middle, size x size; black where the picture is smaller. Rounded as `center_crop` of transformers."""
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))
