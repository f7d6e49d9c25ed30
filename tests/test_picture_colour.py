"""Colours come out as seen: what a profile does decides, not what it is called."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest
from imgsearch_workers.decoding.decoder import DecodePool
from PIL import Image, ImageCms

from imgsearch import picture
from tests import drawn
from tests.drawn import chunk, encoded, off, scene, squashed

SIZE = 64
TOLERANCE = 2.0
KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95},
    "TIFF": {},
}


def named(matrix: Any, name: bytes) -> bytes:
    """The profile under another name."""
    plain = drawn.profile(matrix)
    at = plain.index(b"drawn\0")
    assert len(name) < 78
    return plain[: at - 4] + struct.pack(">I", len(name) + 1) + name.ljust(84, b"\0") + plain[at + 84 :]


@pytest.mark.parametrize("kind", KINDS)
def test_display_p3_is_converted_though_its_name_contains_srgb(kind: str) -> None:
    profile = named(drawn.P3, b"Display P3 Gamut with sRGB Transfer")
    data = encoded(scene(), kind, icc_profile=profile, **KINDS[kind])
    got = picture.decode(data, SIZE)
    assert off(got, squashed(drawn.as_srgb(scene(), drawn.P3), SIZE)) < TOLERANCE
    assert off(got, squashed(scene(), SIZE)) > TOLERANCE


def test_what_does_what_srgb_does_changes_nothing_whatever_its_name() -> None:
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = picture.decode(encoded(scene(), "PNG"), SIZE)
    assert (picture.decode(encoded(scene(), "PNG", icc_profile=built_in), SIZE) == plain).all()


def test_a_grey_profile_is_honoured() -> None:
    grey = scene().convert("L")
    linear = picture.decode(encoded(grey, "PNG", icc_profile=_grey_profile(1.0)), SIZE)
    assert linear.mean() > squashed(grey, SIZE).mean() + 20


def _grey_profile(gamma: float) -> bytes:
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    table = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 16)
    head = struct.pack(">I4xI4s4s4s12x4s28x", 192, 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp") + white[8:]
    return head.ljust(128, b"\0") + table + white + curve


def _png(*chunks: bytes) -> bytes:
    plain = encoded(scene(), "PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def _p3_seen() -> Any:
    """P3 with sRGB's curve: the textbook."""
    light = np.asarray(scene(), np.float64) / 255
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ (np.linalg.inv(drawn.SRGB) @ drawn.P3).T, 0, 1)
    curved = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return squashed(Image.fromarray(np.rint(curved * 255).astype(np.uint8)), SIZE)


def _cicp(primaries: int, curve: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, curve, 0, 1]))


def _chrm(*values: float) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def _gama(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


P3_XY = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)  # white first, as cHRM has it


@pytest.mark.parametrize("chunks", [[_cicp(12, 13)], [_gama(0.45455), _chrm(*P3_XY)]], ids=["cICP", "cHRM"])
def test_a_png_that_says_its_primaries_in_numbers_is_converted(chunks: list[bytes]) -> None:
    assert off(picture.decode(_png(*chunks), SIZE), _p3_seen()) < TOLERANCE


def test_numbers_that_mean_srgb_or_nothing_change_nothing() -> None:
    plain = picture.decode(encoded(scene(), "PNG"), SIZE)
    srgb_xy = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
    for chunks in (
        [_cicp(1, 13)],
        [_cicp(2, 2)],
        [_cicp(250, 99)],
        [_gama(0.45455)],
        [_gama(0.45455), _chrm(*srgb_xy)],
        [_gama(1.0), chunk(b"sRGB", b"\0"), _chrm(*P3_XY)],  # sRGB goes before both
        [_gama(0)],
        [_gama(40_000)],
        [_chrm(0, 0, 0, 0, 0, 0, 0, 0)],
        [_chrm(*[0.3] * 8)],
        [_chrm(*[40_000] * 8)],
        [chunk(b"cICP", b"")],
    ):
        assert (picture.decode(_png(*chunks), SIZE) == plain).all()


def test_a_png_of_linear_light_is_brightened_grey_or_not() -> None:
    seen = 255 * np.asarray(1.055 * (np.asarray(scene(), np.float64) / 255) ** (1 / 2.4) - 0.055)
    wanted = squashed(Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)), SIZE)
    assert off(picture.decode(_png(_gama(1.0)), SIZE), wanted) < TOLERANCE
    grey = encoded(Image.new("L", (20, 20), 55), "PNG")
    assert abs(int(picture.decode(grey[:33] + _gama(1.0) + grey[33:], SIZE)[9, 9, 0]) - 128) < 2


def test_numbers_go_before_a_profile_in_png_and_behind_it_in_avif() -> None:
    profiled = encoded(scene(), "PNG", icc_profile=drawn.profile(drawn.ADOBE_RGB))
    assert off(picture.decode(profiled[:33] + _cicp(12, 13) + profiled[33:], SIZE), _p3_seen()) < TOLERANCE
    avif = _avif_of(12, 13, icc_profile=drawn.profile(drawn.ADOBE_RGB))
    assert off(picture.decode(avif, SIZE), squashed(drawn.as_srgb(scene(), drawn.ADOBE_RGB), SIZE)) < TOLERANCE


def _avif_of(primaries: int, curve: int, **options: Any) -> bytes:
    data = encoded(scene(), "AVIF", quality=95, **options)
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, curve) + data[at + 4 :]


def test_an_avif_that_says_its_primaries_in_numbers_is_converted() -> None:
    assert off(picture.decode(_avif_of(12, 13), SIZE), _p3_seen()) < TOLERANCE
    assert off(picture.decode(_avif_of(1, 13), SIZE), squashed(scene(), SIZE)) < TOLERANCE


def test_hdr_is_brought_down_to_the_white_of_paper() -> None:
    """Light grey at 203 nits is 0.58 in PQ and 0.75 in HLG, and white in sRGB."""
    for curve, signal in ((16, 0.58), (18, 0.75)):
        data = encoded(Image.new("RGB", (20, 20), (round(255 * signal),) * 3), "PNG")
        shown = picture.decode(data[:33] + _cicp(9, curve) + data[33:], SIZE)
        assert shown.min() > 245


def test_no_profile_harms_a_decoder() -> None:
    chance = random.Random(3)
    profiles = [drawn.profile(drawn.P3), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()]
    profiles += [_grey_profile(2.2), ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
    pictures = [scene(40, 30), scene(40, 30).convert("L"), scene(40, 30).convert("CMYK")]
    with DecodePool(1, SIZE, timeout_s=60) as pool:
        for n in range(300):
            profile = bytearray(profiles[n % len(profiles)])
            for _ in range(chance.randint(1, 6)):
                at = chance.randrange(len(profile) - 4)
                profile[at : at + 4] = struct.pack(">I", chance.choice((0, 1, 0xFFFF, 1 << 31, chance.getrandbits(32))))
            pool.decode(encoded(pictures[n % 3], "JPEG", icc_profile=bytes(profile)))
        huge = drawn.profile(drawn.P3).ljust(5 << 20, b"\0")
        shown = pool.decode(encoded(scene(), "JPEG", quality=95, icc_profile=huge)).pixels
        assert pool.replaced == 0
    assert off(shown, squashed(scene(), SIZE)) < TOLERANCE
