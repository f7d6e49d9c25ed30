"""Every format in every kind it has comes out as a person sees it; the table of formats says what the code does."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgsearch import picture
from imgsearch.errors import PictureError
from imgsearch.picture import openers, samples
from imgsearch.picture.formats import ACCEPT, ACCEPTED, FORMATS, SUFFIXES
from imgsearch.picture.pixels import _OPENERS, _PLUGINS
from imgsearch.picture.walkers import WALKERS
from tests.drawn import P3, as_srgb, encoded, off, profile, scene, squashed
from tests.pictures import written
from tests.pictures.kinds import Kind, jxl, kinds, saved, veiled

SIZE = 64
TOLERANCE = 2.0  # levels of 255, mean absolute error
HEIC = Path(__file__).parent / "pictures"
KINDS = list(kinds(scene()))
SMALL = scene(150, 100)


def refused(data: bytes) -> PictureError:
    with pytest.raises(PictureError) as caught:
        picture.decode(data, SIZE)
    return caught.value


@pytest.mark.parametrize("kind", KINDS, ids=[f"{kind.format} {kind.kind}" for kind in KINDS])
def test_every_kind_of_every_format_comes_out_as_seen(kind: Kind) -> None:
    assert picture.inspect(kind.data).format == kind.format
    assert off(picture.decode(kind.data, SIZE), squashed(kind.seen, SIZE)) < TOLERANCE
    assert picture.upright(kind.data).size == kind.seen.size
    shown = Image.open(io.BytesIO(picture.thumbnail(kind.data, 100)))
    assert shown.size[0] == 100


def test_the_kinds_leave_no_format_out() -> None:
    assert {kind.format for kind in KINDS} | {"HEIF"} == set(FORMATS)


@pytest.mark.parametrize("name", ["colour", "ten_bits", "thumbnails", "burst", *(f"turn{n}" for n in range(2, 9))])
def test_a_heic_comes_out_as_seen(name: str) -> None:
    data = (HEIC / f"{name}.heic").read_bytes()
    assert picture.inspect(data).format == "HEIF"
    assert off(picture.decode(data, SIZE), squashed(SMALL, SIZE)) < TOLERANCE
    assert picture.upright(data).size == SMALL.size


def test_a_heic_is_grey_or_clear() -> None:
    for name, seen in (("grey", SMALL.convert("L")), ("alpha", veiled(SMALL)[1])):
        assert off(picture.decode((HEIC / f"{name}.heic").read_bytes(), SIZE), squashed(seen, SIZE)) < TOLERANCE


def test_a_heic_is_turned_by_its_boxes_alone() -> None:
    """The EXIF of a HEIC tells how the camera was held; the boxes have turned the picture already, or did not."""
    data = (HEIC / "turn6.heic").read_bytes()
    assert b"Exif" in data
    still = data.replace(b"irot\x03", b"irot\x00")
    assert still != data
    stored = SMALL.transpose(Image.Transpose.ROTATE_90)
    assert off(picture.decode(still, SIZE), squashed(stored, SIZE)) < TOLERANCE


def test_the_colours_of_a_heic_are_its_own() -> None:
    with_profile = (HEIC / "profile.heic").read_bytes()
    assert off(picture.decode(with_profile, SIZE), squashed(as_srgb(SMALL, P3), SIZE)) < TOLERANCE
    seen = picture.decode((HEIC / "named_p3.heic").read_bytes(), SIZE)
    assert off(seen, squashed(_curved(as_srgb(_uncurved(SMALL), P3)), SIZE)) < 3 * TOLERANCE
    assert off(seen, squashed(SMALL, SIZE)) > 4 * TOLERANCE


def _uncurved(image: Image.Image) -> Image.Image:
    """Written with a gamma of 2.2 instead of sRGB's curve."""
    light = np.asarray(image, np.float64) / 255
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    return Image.fromarray(np.rint(light ** (1 / 2.2) * 255).astype(np.uint8))


def _curved(image: Image.Image) -> Image.Image:
    return image


def test_profiles_of_photoshop_and_jpeg_2000_are_used() -> None:
    seen = squashed(as_srgb(SMALL, P3), SIZE)
    photoshop = written.psd(SMALL, resources=written.psd_resource(1039, profile(P3)))
    assert off(picture.decode(photoshop, SIZE), seen) < TOLERANCE
    jp2 = saved(SMALL, "JPEG2000")
    at = jp2.index(b"colr") - 4
    box = b"colr\2\0\0" + profile(P3)
    added = (len(box) + 4).to_bytes(4, "big") + box
    header = jp2.index(b"jp2h") - 4
    longer = int.from_bytes(jp2[header : header + 4], "big") + len(added)
    jp2 = jp2[:header] + longer.to_bytes(4, "big") + jp2[header + 4 : at] + added + jp2[at:]
    assert off(picture.decode(jp2, SIZE), seen) < TOLERANCE


@pytest.mark.parametrize("sides", [(1501, 1003), (1003, 1501), (255, 2047), (640, 480)])
def test_a_jpeg_2000_of_any_size_is_decoded_at_the_resolution_needed(sides: tuple[int, int]) -> None:
    large = scene(*sides)
    for options in ({}, {"tile_size": (256, 256)}, {"num_resolutions": 1}, {"num_resolutions": 2}):
        assert off(picture.decode(saved(large, "JPEG2000", **options), SIZE), squashed(large, SIZE)) < TOLERANCE


def test_the_largest_picture_of_an_icon_is_taken() -> None:
    sizes = [(16, 16), (64, 64), (32, 32)]
    parts = [Image.new("RGBA", size, colour) for size, colour in zip(sizes, ("red", "lime", "blue"), strict=True)]
    data = encoded(parts[1], "ICO", sizes=sizes, append_images=[parts[0], parts[2]])
    assert picture.inspect(data).width == 64
    assert (picture.decode(data, 8) == (0, 255, 0)).all()


@pytest.mark.parametrize("seed", range(3))
def test_nonsense_is_no_tga(seed: int) -> None:
    """A TGA has no magic, so its header must make sense field by field."""
    random = np.random.default_rng(seed)
    nonsense = [random.bytes(2_000) for _ in range(2_000)]
    nonsense += [bytes([0, n % 2, n % 16]) + random.bytes(500) for n in range(2_000)]
    nonsense += [bytes(n) + bytes([n % 251]) * 50 for n in range(40)]
    assert not [data[:20] for data in nonsense if _sniffs_as_tga(data)]


def _sniffs_as_tga(data: bytes) -> bool:
    try:
        return picture.inspect(data).format == "TGA"
    except PictureError:
        return False


def test_a_tga_need_not_have_a_footer() -> None:
    whole = saved(SMALL, "TGA")
    assert whole.endswith(b"TRUEVISION-XFILE.\0")
    bare = whole[:-26]
    assert off(picture.decode(bare, SIZE), squashed(SMALL, SIZE)) < TOLERANCE
    assert refused(bare[:-1]).code == "truncated"


def test_what_photoshop_left_out_is_said() -> None:
    without = written.psd(SMALL, resources=written.psd_resource(1057, b"\0\0\0\1\0" + bytes(10)))
    assert refused(without).code == "format_refused"
    assert "maximize compatibility" in str(refused(without))
    deep = written.psd(SMALL)
    deep = deep[:22] + b"\0\x10" + deep[24:]
    assert refused(deep).code == "format_refused"
    assert "16 bits" in str(refused(deep))


@pytest.mark.parametrize(("name", "data"), [("HEIF", (HEIC / "colour.heic").read_bytes()), ("JXL", jxl(SMALL))])
def test_without_its_library_a_format_is_measured_and_its_refusal_names_the_extra(
    name: str, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that only adds pictures needs no extra; a worker that lacks it says what to install."""
    monkeypatch.setitem(sys.modules, {"HEIF": "pi_heif", "JXL": "imagecodecs"}[name], None)
    assert (picture.inspect(data).width, picture.inspect(data).height) == SMALL.size
    error = refused(data)
    assert error.code == "decoder_missing"
    assert f"pip install 'imgsearch-postgres[{FORMATS[name].extra}]'" in str(error)


def test_the_table_of_formats_is_what_the_code_does() -> None:
    assert set(FORMATS) == set(WALKERS) == set(_PLUGINS) | set(_OPENERS)
    assert set(_OPENERS) == {"JPEG2000", "HEIF", "JXL"} == {name for name in _OPENERS if hasattr(openers, name.lower())}
    assert [picture.inspect(data).format for data in samples.samples()] == [*FORMATS]
    assert all(kind.label in ACCEPTED for kind in FORMATS.values())
    assert ACCEPT.startswith("image/*,")
    assert all(suffix in ACCEPT.split(",") for suffix in SUFFIXES)


def test_the_documented_table_is_the_one_in_the_code() -> None:
    text = (Path(__file__).parent.parent / "docs" / "pictures.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \| (.*?) \|$", text, re.MULTILINE)[2:]
    expected = [
        (
            kind.label,
            " ".join(kind.suffixes),
            kind.magic,
            kind.decoder + (f"; extra `{kind.extra}`" if kind.extra else ""),
            kind.limits,
        )
        for kind in FORMATS.values()
    ]
    assert [tuple(cell.strip() for cell in row) for row in rows] == expected
