"""What a walk through a picture's container brings back."""

from __future__ import annotations

from dataclasses import dataclass

from imgsearch.picture.numbers import Colours


@dataclass(frozen=True)
class Container:
    """Size in pixels as stored, number of frames, the turn still to do (1-8), and the bytes to decode if not the whole.

    `need`: bytes of memory that decoding takes, 0 where the format's usual is right. `whole` is false where the file
    lacks its end; what is `cleaned` has one. `colours`: what goes before the file's profile, None: nothing.

    `inner` names the format of `cleaned` if it is another; `profile` is an ICC profile that the decoder does not find;
    `halvings` is how often a decoder can halve the picture; `depth` the bits of a value, 0 for floating point; `linear`
    values count light, not shades. `exif`: the block that says when and where, where a walk meets one;
    `xmp`: the packet.
    """

    width: int
    height: int
    frames: int = 1
    turn: int = 1
    cleaned: bytes | None = None
    need: int = 0
    whole: bool = True
    colours: Colours | None = None
    inner: str | None = None
    profile: bytes | None = None
    halvings: int = 0
    depth: int = 8
    linear: bool = False
    exif: bytes = b""
    xmp: bytes = b""
