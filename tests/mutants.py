"""Small pictures of every format, damaged in the ways files are: cut, flipped, shuffled, spliced, mislabelled."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from PIL import Image

from tests.drawn import P3, encoded, profile, scene, turned
from tests.pictures import written
from tests.pictures.kinds import jxl

HEIC = Path(__file__).parent / "pictures"


def healthy() -> list[bytes]:
    """Some sixty pictures: every format in the modes it knows, with EXIF, profiles, animation, interlacing."""
    small, grey = scene(48, 32), scene(40, 24).convert("L")
    frames = [Image.new("RGB", (20, 16), colour) for colour in ("red", "lime", "blue")]
    clear = small.convert("RGBA")
    clear.putalpha(scene(48, 32).convert("L"))
    files = [
        encoded(small, "JPEG"),
        encoded(small, "JPEG", progressive=True, quality=90, subsampling=0),
        encoded(grey, "JPEG"),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(small, "JPEG", icc_profile=profile(P3)),
        encoded(small, "MPO", save_all=True, append_images=[small]),
        encoded(small, "PNG"),
        encoded(grey, "PNG"),
        encoded(small.quantize(16), "PNG", transparency=3),
        encoded(small.convert("1"), "PNG"),
        encoded(grey.convert("I;16"), "PNG"),
        encoded(clear, "PNG", icc_profile=profile(P3)),
        encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        encoded(small, "WEBP"),
        encoded(small, "WEBP", lossless=True),
        encoded(clear, "WEBP", icc_profile=profile(P3)),
        encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        encoded(small.quantize(64), "GIF"),
        encoded(grey, "GIF", interlace=1),
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=0),
        encoded(small, "BMP"),
        encoded(small.quantize(16), "BMP"),
        encoded(grey.convert("1"), "BMP"),
        encoded(small, "AVIF", speed=10),
        encoded(clear, "AVIF", speed=10, icc_profile=profile(P3)),
        encoded(frames[0], "AVIF", speed=10, save_all=True, append_images=frames[1:]),
        encoded(clear, "TIFF"),
        encoded(grey.convert("F"), "TIFF"),
        encoded(small.convert("LAB"), "TIFF"),
        encoded(small, "TIFF", save_all=True, append_images=[grey]),
    ]
    files += [encoded(small, "TIFF", compression=f"tiff_{kind}") for kind in ("lzw", "adobe_deflate", "jpeg")]
    files += [encoded(grey.convert("1"), "TIFF", compression=kind) for kind in ("group3", "group4", "packbits")]
    files += [encoded(small, kind) for kind in ("JPEG2000", "TGA", "ICO", "PPM", "QOI")]
    files += [
        encoded(small.quantize(16), "TGA", compression="tga_rle"),
        written.psd(clear),
        written.psd(small, packed=True),
    ]
    files += [written.icon(small), written.text_ppm(small), jxl(clear), jxl(small, level=90, usecontainer=True)]
    files += [(HEIC / f"{name}.heic").read_bytes() for name in ("alpha", "turn6", "ten_bits", "burst")]
    files += [turned(small, 6, kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")]
    return files


def mutants(count: int, seed: int = 7) -> Iterator[bytes]:
    """`count` damaged pictures, the same ones for the same seed."""
    chance = random.Random(seed)
    files = healthy()
    for n in range(count):
        damage = DAMAGES[n % len(DAMAGES)]
        data = damage(chance.choice(files), chance, files)
        yield data if chance.random() < 0.8 else chance.choice(DAMAGES)(data, chance, files)


def _cut(data: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    return data[: len(data) * chance.randrange(16) // 16 + chance.randrange(3)]


def _flip(data: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_header(data: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    return _flip(data[:128], chance, files) + data[128:]


def _mislabel(data: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    length = chance.choice((4, 8, 12, 16))
    return chance.choice(files)[:length] + data[length:]


def _extreme(data: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    number = chance.choice((0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
    written = struct.pack(chance.choice("<>") + "I", number)[: chance.choice((2, 4))]
    at = chance.randrange(len(data) + 1) if chance.random() < 0.5 else chance.randrange(min(200, len(data) + 1))
    return data[:at] + written + data[at + len(written) :]


def _shuffle(data: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    """Pieces, cut where chunks, segments and boxes begin, change places, go missing or come twice."""
    marks = (b"IDAT", b"IEND", b"PLTE", b"tRNS", b"iCCP", b"acTL", b"fcTL", b"fdAT", b"eXIf")
    marks += (
        b"VP8 ",
        b"VP8L",
        b"VP8X",
        b"ALPH",
        b"ANIM",
        b"ANMF",
        b"ICCP",
        b"EXIF",
        b"meta",
        b"iprp",
        b"mdat",
        b"moov",
    )
    cuts = {at - 4 * (mark[0] != 0xFF) for mark in marks if (at := data.find(mark)) > 4}
    cuts |= {at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] not in (0, 0xFF)}
    cuts |= {chance.randrange(len(data) + 1) for _ in range(2)}
    bounds = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(bounds)]
    for _ in range(chance.randint(1, 3)):
        what = chance.randrange(3)
        at, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
        if what == 0:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif what == 1:
            pieces[at] = b""
        else:
            pieces.insert(other, pieces[at])
    return b"".join(pieces)


def _splice(data: bytes, chance: random.Random, files: list[bytes]) -> bytes:
    other = chance.choice(files)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other)) :]


Damage = Callable[[bytes, random.Random, list[bytes]], bytes]
DAMAGES: tuple[Damage, ...] = (_cut, _flip, _flip_header, _mislabel, _extreme, _shuffle, _splice)
