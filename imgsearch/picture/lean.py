"""Pillow's WebP and AVIF, in less memory: the decoder's own copies are gone before the picture is made of the last.

12 instead of 16 bytes per pixel of a WebP, 9 instead of 13 of an AVIF (`python -m bench.large_pictures`).
"""

from __future__ import annotations

import io
from typing import Any

from PIL import AvifImagePlugin, Image, ImageFile, WebPImagePlugin


class _Frames(ImageFile.ImageFile):
    """Goes to a frame by a new decoder, because the one before is gone with its frame."""

    _decoder: Any
    n_frames: int
    _wanted = 0

    def seek(self, frame: int) -> None:
        """Choose a frame."""
        if frame >= self.n_frames:
            raise EOFError("no more images")
        if self._decoder is None and self.fp is not None:
            self.fp.seek(0)
            self._decoder = type(self)(io.BytesIO(self.fp.read()))._decoder  # noqa: SLF001 - its own kind
        self._wanted, self._im = frame, None

    def tell(self) -> int:
        """Return the chosen frame."""
        return self._wanted


class LeanWebp(_Frames, WebPImagePlugin.WebPImageFile):
    """One frame; its pixels lie where the codec's copy of them lies."""

    def load(self) -> Any:
        """Decode, once."""
        if self._im is None:
            for _ in range(self._wanted + 1):
                data = self._get_next()[0]
            self._decoder = None
            self._mode = self.rawmode
            self.im = Image.frombuffer(self.mode, self.size, data, "raw", self.mode, 0, 1).im
        return self.im.pixel_access(True)


class LeanAvif(_Frames, AvifImagePlugin.AvifImageFile):
    """One frame."""

    def load(self) -> Any:
        """Decode, once."""
        if self._im is None:
            data = self._decoder.get_frame(self._wanted)[0]
            self._decoder = None
            self.im = Image.frombytes(self.mode, self.size, data).im
        return self.im.pixel_access(True)
