"""A decoder that dies of one colour, for the soak; see bench/soak/encoder.py."""

from __future__ import annotations

import ctypes
import sys

from imgsearch_workers.decoding import child as decoder_child
from imgsearch_workers.decoding.child import Options

from imgsearch.dev.testing.poison import COLOURS
from imgsearch.picture.pixels import Square
from imgsearch.picture.region import Region

_COLOUR = COLOURS["crashes_decoder"]


def _repeated(length: int) -> bytes:
    """Return the poison's colour over and over: one corner of a good picture may have it, too."""
    return bytes(_COLOUR) * (length // 3)


def main() -> int:
    """Decode like the real one, but read from address 0 for a picture in the colour that stands for that."""
    options = Options.from_argument(sys.argv[1])
    source, sink = decoder_child.take_pipes()
    honest = decoder_child.prepare(options)

    def work(data: bytes, flags: int, region: Region | None) -> Square:
        done = honest(data, flags, region)
        poison = _repeated(len(done.pixels))
        if all(abs(is_ - wanted) <= 6 for is_, wanted in zip(done.pixels[::97], poison[::97], strict=True)):
            ctypes.string_at(0)
        return done

    decoder_child.confine(options)
    return decoder_child.serve(work, options, source, sink)


if __name__ == "__main__":
    sys.exit(main())
