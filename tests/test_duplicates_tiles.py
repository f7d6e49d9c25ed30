"""What looks the same in large is not yet the same: another colour, or one changed digit, is no certain twin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps

import imgsearch
from imgsearch.ingest import upload
from imgsearch.ops import duplicates, shops
from imgsearch.picture import hashes
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.pdq import distance
from tests.test_duplicate_policy import arrive, links
from tests.twins import Connection, add, delivered, drawn, fingerprint, picture, saved

COLOURS = {"red": (226, 63, 63), "green": (0, 167, 120), "blue": (90, 110, 250), "yellow": (140, 124, 20)}


def shoe(colour: tuple[int, int, int], ground: str = "white") -> Image.Image:
    page = Image.new("RGB", (640, 480), ground)
    pen = ImageDraw.Draw(page)
    pen.polygon([(80, 330), (90, 180), (230, 160), (300, 240), (520, 290), (560, 350)], fill=colour)
    pen.rectangle((70, 345, 570, 385), fill=(40, 40, 40))
    for at in range(240, 420, 40):
        pen.line((at, 240, at + 30, 210 + at // 6), fill=(250, 250, 250), width=8)
    return page


def poster(text: str, size: tuple[int, int] = (600, 800)) -> Image.Image:
    page = Image.new("RGB", size, (245, 240, 225))
    pen = ImageDraw.Draw(page)
    wide, high = size
    pen.rectangle((0, 0, wide, high // 5), fill=(180, 30, 40))
    pen.text((wide // 10, high // 16), "SUMMER SALE", "white", ImageFont.load_default(high // 12))
    pen.ellipse((wide // 4, high * 3 // 10, wide * 3 // 4, high * 6 // 10), fill=(40, 90, 160))
    pen.text((wide // 10, high * 7 // 10), text, "black", ImageFont.load_default(high // 8))
    return page


def same(one: Image.Image) -> dict[str, bytes]:
    """Files of the very same picture."""

    def sized(share: float) -> Image.Image:
        return one.resize((round(one.width * share), round(one.height * share)), Image.Resampling.BICUBIC)

    files = {f"quality {quality}": saved(one, "JPEG", quality=quality) for quality in (50, 75, 95)}
    files |= {f"size {share}": saved(sized(share)) for share in (0.5, 0.71, 1.5, 2)}
    files |= {"half, quality 60": saved(sized(0.5), "JPEG", quality=60), "webp": saved(one, "WEBP", quality=50)}
    x, y = round(one.width * 0.005), round(one.height * 0.005)
    files["cut"] = saved(one.crop((x, y, one.width - x, one.height - y)), "JPEG", quality=85)
    return files | {"mirrored": saved(ImageOps.mirror(one)), "turned": saved(one.transpose(Image.Transpose.ROTATE_90))}


def tiers(connection: Connection, image: int) -> dict[int, str]:
    return {one.image_id: one.tier for one in duplicates.duplicates_of(connection, image, tenant="acme")}


@pytest.mark.parametrize(
    "variants",
    [
        {name: shoe(colour) for name, colour in COLOURS.items()},
        {"black": shoe((30, 30, 30)), "grey": shoe((90, 90, 90))},
        {"on white": shoe((226, 63, 63)), "on rose": shoe((226, 63, 63), "mistyrose")},
        {"179": poster("NOW 179"), "129": poster("NOW 129"), "128": poster("NOW 128")},
        {"43": poster("SIZE 43"), "48": poster("SIZE 48")},
        {"photo": picture(4), "without colour": picture(4).convert("L").convert("RGB")},
    ],
    ids=lambda variants: next(iter(variants)),
)
def test_what_only_has_the_same_brightness_is_looked_at_and_hides_nothing(
    connection: Connection, settings: Settings, space: Space, variants: dict[str, Image.Image]
) -> None:
    files = {name: saved(one) for name, one in variants.items()}
    first = fingerprint(next(iter(files.values())))
    assert all(distance(first.bits, fingerprint(data).bits) <= hashes.SAME_PICTURE for data in files.values())
    ids = {add(connection, settings, data, name) for name, data in files.items()}
    delivered(connection, settings, space)
    for image in ids:
        assert tiers(connection, image) == dict.fromkeys(ids - {image}, "look"), "somebody should look at both"
    found = duplicates.find(connection, tenant="acme", look=True)
    assert (found.certain, found.look) == (0, len(ids) * (len(ids) - 1) // 2)
    query = imgsearch.ImageId(add(connection, settings, drawn(9), "another"))
    delivered(connection, settings, space)
    hits = imgsearch.search(connection, query, tenant="acme", per="image", k=50, duplicates=False)
    assert {hit.image_id for hit in hits} == ids


@pytest.mark.parametrize(
    "one",
    [shoe(COLOURS["red"]), poster("NOW 129"), picture(0), picture(5)],
    ids=["shoe", "poster", "drawn", "drawn too"],
)
def test_another_file_of_the_same_picture_is_certain(
    connection: Connection, settings: Settings, space: Space, one: Image.Image
) -> None:
    original = add(connection, settings, saved(one), "original")
    files = {name: add(connection, settings, data, name) for name, data in same(one).items()}
    delivered(connection, settings, space)
    seen = tiers(connection, original)
    assert {name: seen.get(image) for name, image in files.items()} == dict.fromkeys(files, "certain")
    assert duplicates.find(connection, tenant="acme").groups == 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_turn_in_which_colours_fit_counts(
    connection: Connection, settings: Settings, space: Space, turn: int
) -> None:
    """Its brightness is the same in two turns, its colours are not."""
    left, right = shoe(COLOURS["red"]), ImageOps.mirror(shoe(COLOURS["blue"]))
    both = Image.new("RGB", (1280, 480))
    both.paste(left)
    both.paste(right, (640, 0))
    orientation = both.getexif()
    orientation[274] = turn
    ids = add(connection, settings, saved(both), "a"), add(connection, settings, saved(both, exif=orientation), "b")
    delivered(connection, settings, space)
    [twin] = duplicates.duplicates_of(connection, ids[0], tenant="acme")
    assert (twin.image_id, twin.tier, twin.turn) == (ids[1], "certain", turn)


@pytest.mark.parametrize(("policy", "marks"), [("link", 1), ("refuse", 0)])
def test_a_shop_neither_links_nor_refuses_another_colour(
    connection: Connection, settings: Settings, space: Space, policy: Callable[[], str], marks: int
) -> None:
    shops.set_shop(connection, tenant="acme", duplicates=policy)  # type: ignore[arg-type]
    ids = {name: add(connection, settings, saved(shoe(colour)), name) for name, colour in COLOURS.items()}
    assert arrive(connection, settings, space) == ({*ids.values()}, [])
    again = add(connection, settings, saved(shoe(COLOURS["red"]), "JPEG", quality=60), "red again")
    _, refused = arrive(connection, settings, space)
    assert links(connection) == [(again, ids["red"])][:marks]
    assert [one.claim.image_id for one in refused] == [again][marks:]


def test_a_hash_of_before_is_certain_by_its_bytes_alone_until_its_tiles_are_there(
    connection: Connection, settings: Settings, space: Space
) -> None:
    one, copy = add(connection, settings, drawn(0), "one"), add(connection, settings, drawn(0), "copy")
    file = add(connection, settings, saved(picture(0), "JPEG", quality=60), "file")
    delivered(connection, settings, space)
    connection.execute("UPDATE imgsearch.fingerprint SET tiles = NULL")
    assert tiers(connection, one) == {copy: "certain", file: "look"}
    assert (duplicates.find(connection).certain, duplicates.find(connection).unhashed) == (1, 3)
    assert duplicates.fill(connection, upload.default_store(settings)).done == 3
    assert tiers(connection, one) == {copy: "certain", file: "certain"}
    assert duplicates.find(connection).certain == 2
