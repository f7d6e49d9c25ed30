"""Pillow's WebP and AVIF, in less memory: the decoder's own copies are gone before the picture is made of the last.

12 instead of 16 bytes per pixel of a WebP, 9 instead of 13 of an AVIF (`python -m bench.large_pictures`).
"""

from __future__ import annotations

from typing import Any

from PIL import AvifImagePlugin, Image, WebPImagePlugin


class LeanWebp(WebPImagePlugin.WebPImageFile):
    """The first frame; its pixels lie where the codec's copy of them lies."""

    _decoder: Any

    def load(self) -> Any:
        """Decode, once."""
        if self._im is None:
            data = self._get_next()[0]
            self._decoder = None
            self._mode = self.rawmode
            self.im = Image.frombuffer(self.mode, self.size, data, "raw", self.mode, 0, 1).im
        return self.im.pixel_access(True)


class LeanAvif(AvifImagePlugin.AvifImageFile):
    """The first frame."""

    _decoder: Any

    def load(self) -> Any:
        """Decode, once."""
        if self._im is None:
            data = self._decoder.get_frame(0)[0]
            self._decoder = None
            self.im = Image.frombytes(self.mode, self.size, data).im
        return self.im.pixel_access(True)
