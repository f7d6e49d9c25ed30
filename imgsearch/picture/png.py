"""What a PNG says of itself."""

from __future__ import annotations

import zlib
from struct import pack, unpack_from

from imgsearch.picture import exif, numbers, xmp
from imgsearch.picture.codes import refusal
from imgsearch.picture.container import Container

_MOST_CHUNKS = 50_000  # a 25 MiB PNG in chunks of 8 KiB has 3,200
_MOST_PACKED = 32  # chunks that hold compressed text or profiles: each may unpack to 1 MB, what has more is skipped
_LONGEST_NOTE = 1_000_000  # bytes unpacked; Pillow takes 1 MiB
_LONGEST_PROFILE = 4 * 1024 * 1024  # bytes unpacked; what has more is ignored
_END = b"\0\0\0\0IEND\xaeB`\x82"
_XMP = b"XML:com.adobe.xmp"
_RAW = (b"Raw profile type exif", b"Raw profile type APP1")  # as ImageMagick writes EXIF: in hexadecimal
_GAMMA_OF_SRGB = (0.44, 0.47)


def png(data: bytes, most_frames: int) -> Container:
    """Walk the chunks: size, frames, turn, colours. One that only lacks its end is given one."""
    if data[12:16] != b"IHDR":
        raise refusal("corrupt", "PNG without IHDR")
    notes, packed, at, pixels = _Notes(data), 0, 8, False
    skipped: list[tuple[int, int]] = []
    for _ in range(_MOST_CHUNKS):
        if pixels and at + 12 > len(data):
            return notes.container(_without(data[:at], skipped) + _END, whole=False)
        length, kind = unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return notes.container(_without(data, skipped) if skipped else None)
        if at + 12 + length > len(data):
            if kind != b"IDAT" or length > len(data):
                raise refusal("truncated", "PNG chunk")
            return notes.container(_without(data[:at], skipped) + _ended(data[at + 4 :]) + _END, whole=False)
        if kind == b"IDAT":
            pixels = True
        else:
            notes.read(kind, at + 8, length)
            if kind in (b"iCCP", b"zTXt", b"iTXt"):
                packed += 1
                if packed > _MOST_PACKED or _is_long(kind, data[at + 8 : at + 8 + length]):
                    skipped.append((at, at + 12 + length))
        at += 12 + length
    raise refusal("corrupt", "PNG with too many chunks")


def _without(data: bytes, skipped: list[tuple[int, int]]) -> bytes:
    """Return a file without some of its chunks."""
    starts, ends = [0, *(end for _, end in skipped)], [*(start for start, _ in skipped), len(data)]
    return b"".join(data[start:end] for start, end in zip(starts, ends, strict=True))


def _packed(kind: bytes, content: bytes) -> bytes:
    """Return what is compressed in a note or profile; nothing where it is not."""
    _, _, rest = content.partition(b"\0")
    if kind == b"iTXt":
        return rest[2:].split(b"\0", 2)[-1] if rest[:1] == b"\1" else b""
    return rest[1:]


def _is_long(kind: bytes, content: bytes) -> bool:
    """Return whether a note unpacks to more than Pillow takes."""
    return len(_unpacked(_packed(kind, content), _LONGEST_NOTE + 1)) > _LONGEST_NOTE


def _ended(chunk: bytes) -> bytes:
    """Return a cut chunk of pixels (kind, content) with the length and sum that fit: all rows may be there."""
    return pack(">I", len(chunk) - 4) + chunk + pack(">I", zlib.crc32(chunk))


class _Notes:
    """What the chunks before and behind the pixels say."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._size = unpack_from(">II", data, 16)
        self._frames = 1
        self._exif = self._xmp = 0  # orientations
        self._coded: tuple[int, int] | None = None
        self._gamma = 0.0
        self._primaries = numbers.SRGB
        self._profile: bytes | None = None  # that is too long for Pillow
        self._named = False  # a profile, or sRGB by name

    def read(self, kind: bytes, at: int, length: int) -> None:
        if kind == b"acTL":
            self._frames = max(1, *unpack_from(">I", self._data, at))
        elif kind == b"eXIf":
            self._exif = exif.stated(self._data[at : at + min(length, exif.LONGEST)])
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            self._read_text(kind, self._data[at : at + length])
        elif kind == b"cICP" and length >= 4:
            self._coded = (self._data[at], self._data[at + 1])
        elif kind in (b"iCCP", b"sRGB"):
            self._named = True
            content = self._data[at : at + length]
            if kind == b"iCCP" and _is_long(kind, content):  # Pillow would refuse the picture
                self._profile = _unpacked(_packed(kind, content), _LONGEST_PROFILE + 1)
        elif kind == b"gAMA" and length >= 4:
            self._gamma = unpack_from(">I", self._data, at)[0] / 100_000
        elif kind == b"cHRM" and length >= 32:
            white, red, green, blue = (
                (x / 100_000, y / 100_000) for x, y in zip(*[iter(unpack_from(">8I", self._data, at))] * 2, strict=True)
            )
            self._primaries = (red, green, blue, white)

    def _read_text(self, kind: bytes, content: bytes) -> None:
        key = content[:80].split(b"\0")[0]
        if key == _XMP and kind == b"iTXt" and not self._xmp:
            flag, rest = content[len(key) + 1 : len(key) + 2], content[len(key) + 3 :]
            text = rest.split(b"\0", 2)[-1]
            self._xmp = xmp.turn(_unpacked(text, xmp.LONGEST) if flag == b"\1" else text)
        elif key in _RAW and not self._exif:
            text = content[len(key) + 1 :]
            raw = _unpacked(text[1:], 2 * exif.LONGEST) if kind == b"zTXt" else text[: 2 * exif.LONGEST]
            self._exif = exif.stated(_of_hexadecimal(raw))

    def container(self, cleaned: bytes | None = None, *, whole: bool = True) -> Container:
        width, height = self._size
        turn = self._exif or self._xmp or 1
        colours = self._colours()
        return Container(
            width, height, self._frames, turn, cleaned, whole=whole, colours=colours, profile=self._profile
        )

    def _colours(self) -> numbers.Colours | None:
        """Return what cICP says, else gAMA and cHRM where nothing goes before them (PNG, third edition, 4.3)."""
        if self._coded:
            return numbers.coded(*self._coded)
        if self._named or not 0.1 <= self._gamma <= 10:
            return None
        if _GAMMA_OF_SRGB[0] <= self._gamma <= _GAMMA_OF_SRGB[1]:
            alike = all(
                abs(a - b) < 0.003
                for x, y in zip(self._primaries, numbers.SRGB, strict=True)
                for a, b in zip(x, y, strict=True)
            )
            return None if alike else numbers.Colours(self._primaries)
        return numbers.Colours(self._primaries, gamma=1 / self._gamma)


def _unpacked(content: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, most)
    except zlib.error:
        return b""


def _of_hexadecimal(text: bytes) -> bytes:
    """Return the bytes of a `Raw profile`: a name, a length, and lines of digits."""
    digits = b"".join(text.split()[2:])
    try:
        return bytes.fromhex(digits[: len(digits) & ~1].decode("ascii"))
    except ValueError:
        return b""
