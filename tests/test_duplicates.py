"""Duplicates are found in two tiers: one picture's, and a whole catalogue's."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageOps
from psycopg.sql import SQL, Identifier
from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

import imgsearch
from imgsearch import db
from imgsearch.errors import FilterError, UnknownImage, UsageError
from imgsearch.ingest import upload
from imgsearch.ops import duplicates
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.twins import Connection, add, again, delivered, drawn, flat, picture, saved


@pytest.fixture
def shop(connection: Connection, settings: Settings, space: Space) -> dict[str, int]:
    """Five products; of the first three more files, of the second a mirrored one; two blank ones; another tenant."""
    pictures = {f"p{n}": drawn(n) for n in range(5)}
    pictures |= {"p0 again": again(0), "p0 small": saved(picture(0).resize((140, 140))), "p0 bytes": drawn(0)}
    pictures |= {"p1 mirrored": saved(ImageOps.mirror(picture(1))), "blank": flat(), "blank too": flat(120)}
    ids = {name: add(connection, settings, data, name) for name, data in pictures.items()}
    ids["bazaar's p0"] = add(connection, settings, drawn(0), "p0", tenant="bazaar")
    delivered(connection, settings, space)
    return ids


def speak_for(connection: Connection, tenant: str) -> None:
    connection.execute("SELECT set_config('imgsearch.tenant', %s, true)", (tenant,))


def groups(connection: Connection) -> set[tuple[str, frozenset[int]]]:
    found: dict[tuple[str, int], set[int]] = {}
    rows = connection.execute("SELECT tenant_id, original, image_id FROM imgsearch.duplicates WHERE tier = 'certain'")
    for tenant, original, image in rows:
        found.setdefault((tenant, original), {original}).add(image)
    return {(tenant, frozenset(ids)) for (tenant, _), ids in found.items()}


def test_one_picture_is_asked_for(connection: Connection, shop: dict[str, int]) -> None:
    found = {one.image_id: one for one in duplicates.duplicates_of(connection, shop["p0"], tenant="acme")}
    certain = {image for image, one in found.items() if one.tier == "certain"}
    assert certain == {shop["p0 again"], shop["p0 small"], shop["p0 bytes"]}
    assert found[shop["p0 bytes"]].distance == 0
    [mirrored] = [one for one in duplicates.duplicates_of(connection, shop["p1"]) if one.tier == "certain"]
    assert (mirrored.image_id, mirrored.turn) == (shop["p1 mirrored"], 2)
    assert all(one.tier == "look" for one in duplicates.duplicates_of(connection, shop["p3"]))


def test_a_hash_that_says_nothing_is_nobodys_twin(connection: Connection, shop: dict[str, int]) -> None:
    """A blur whose bits happen to be those of a picture: neither it nor the catalogue takes it for the same."""
    blurred = shop["p0 again"]
    connection.execute("UPDATE imgsearch.fingerprint SET quality = 49 WHERE image_id = %s", (blurred,))
    certain = [one.image_id for one in duplicates.duplicates_of(connection, shop["p0"]) if one.tier == "certain"]
    assert sorted(certain) == sorted([shop["p0 small"], shop["p0 bytes"]])
    duplicates.find(connection)
    assert blurred not in {image for _, ids in groups(connection) for image in ids}
    asked = "SELECT t.image_id FROM imgsearch_internal.twin_of('acme', 0, '', %s, 100) t"
    text = connection.execute(
        "SELECT pdq::text || turned::text FROM imgsearch.fingerprint WHERE image_id = %s", (blurred,)
    ).fetchone()
    connection.execute("DELETE FROM imgsearch.image WHERE image_id <> %s", (blurred,))
    assert connection.execute(asked, text).fetchall() == []


def test_a_picture_of_one_colour_is_no_duplicate_of_another_colour(
    connection: Connection, shop: dict[str, int]
) -> None:
    blank = duplicates.duplicates_of(connection, shop["blank"])
    assert [one for one in blank if one.tier == "certain"] == []
    assert shop["blank too"] not in [one.image_id for one in blank], "a hash of no quality says nothing"


def test_a_whole_catalogue_is_grouped(connection: Connection, shop: dict[str, int]) -> None:
    ticks: list[str] = []
    found = duplicates.find(connection, tick=lambda what, done, total: ticks.append(what))
    assert groups(connection) == {
        ("acme", frozenset({shop["p0"], shop["p0 again"], shop["p0 small"], shop["p0 bytes"]})),
        ("acme", frozenset({shop["p1"], shop["p1 mirrored"]})),
    }
    assert (found.groups, found.certain, found.unhashed, found.pictures) == (2, 4, 0, len(shop))
    assert set(ticks) == {"comparing"}
    again_ = duplicates.find(connection)
    assert again_ == found, "found anew, not twice"
    listed = duplicates.duplicates(connection, tenant="acme", tier="certain")
    assert {one.image_id for one in listed} | {one.original for one in listed} == {
        shop[name] for name in shop if name.startswith(("p0", "p1"))
    }
    assert all(one.distance is not None and one.distance <= 45 for one in listed)


def test_many_of_the_same_bytes_without_anything_to_see_are_one_group(
    connection: Connection, settings: Settings, space: Space
) -> None:
    ids = {add(connection, settings, flat(), f"b{n}") for n in range(4)}
    delivered(connection, settings, space)
    duplicates.find(connection)
    assert groups(connection) == {("acme", frozenset(ids))}
    assert {one.tier for one in duplicates.duplicates_of(connection, min(ids))} == {"certain"}


def test_what_should_be_looked_at_is_kept_apart(connection: Connection, shop: dict[str, int]) -> None:
    found = duplicates.find(connection, look=True, similarity=0.9)
    looked = duplicates.duplicates(connection, tier="look")
    assert len(looked) == found.look
    assert groups(connection)
    sure = {(one.original, one.image_id) for one in duplicates.duplicates(connection, tier="certain")}
    assert not {(one.original, one.image_id) for one in looked} & sure
    assert all(one.similarity is None or one.similarity >= 0.9 for one in looked)


def test_mirrored_text_is_the_same_picture_turned_and_says_so(
    connection: Connection, settings: Settings, space: Space
) -> None:
    from PIL import ImageDraw, ImageFont

    page = Image.new("RGB", (300, 300), "white")
    ImageDraw.Draw(page).text((20, 90), "SALE", "black", ImageFont.load_default(90))
    one, other = (add(connection, settings, saved(p), n) for n, p in (("a", page), ("b", ImageOps.mirror(page))))
    delivered(connection, settings, space)
    [found] = duplicates.duplicates_of(connection, one)
    assert (found.image_id, found.tier, found.turn) == (other, "certain", 2)


def test_what_goes_takes_its_marks_along(connection: Connection, settings: Settings, shop: dict[str, int]) -> None:
    duplicates.find(connection)
    [(original,)] = connection.execute(
        "SELECT DISTINCT original FROM imgsearch.duplicates WHERE image_id = %s OR original = %s",
        (shop["p1 mirrored"], shop["p1 mirrored"]),
    ).fetchall()
    name = next(name for name, image in shop.items() if image == original)
    assert add(connection, settings, drawn(7), name) == original
    assert len(groups(connection)) == 1, "its bytes are others now"
    connection.execute("DELETE FROM imgsearch.image")
    assert groups(connection) == set()


@pytest.mark.parametrize("role", ["imgsearch_reader", "imgsearch_writer"])
def test_tenants_never_see_each_others_twins(connection: Connection, shop: dict[str, int], role: str) -> None:
    duplicates.find(connection)
    connection.execute(SQL("SET ROLE {}").format(Identifier(role)))
    with connection.transaction():
        speak_for(connection, "bazaar")
        assert duplicates.duplicates_of(connection, shop["bazaar's p0"]) == []
        assert duplicates.duplicates(connection) == []
        with pytest.raises(UnknownImage), connection.transaction():
            duplicates.duplicates_of(connection, shop["p0"])
        rows = connection.execute("SELECT DISTINCT tenant_id FROM imgsearch.fingerprint").fetchall()
        assert rows == [("bazaar",)]
        here = connection.execute(
            "SELECT a.image_id FROM imgsearch.fingerprint f,"
            " imgsearch_internal.alike_here(imgsearch_internal.turns(f.pdq, f.turned), NULL) a"
        )
        assert here.fetchall() == [(shop["bazaar's p0"],)]
    with connection.transaction():
        speak_for(connection, "acme")
        found = duplicates.duplicates_of(connection, shop["p0"])
        assert {one.image_id for one in found if one.tier == "certain"} >= {shop["p0 again"], shop["p0 bytes"]}
        assert len(duplicates.duplicates(connection)) == 4
    assert duplicates.duplicates(connection) == [], "nobody without a tenant"


def test_pictures_of_before_get_their_hash_from_the_store(
    connection: Connection, settings: Settings, shop: dict[str, int]
) -> None:
    before = connection.execute("SELECT image_id, pdq::text FROM imgsearch.fingerprint").fetchall()
    connection.execute("DELETE FROM imgsearch.fingerprint")
    store = upload.default_store(settings)
    store.delete(connection.execute("SELECT uri FROM imgsearch.image WHERE image_id = %s", (shop["p4"],)).fetchone()[0])  # type: ignore[index]
    filled = duplicates.fill(connection, store)
    assert filled.done == len(shop) - 1
    assert list(filled.failed) == [shop["p4"]]
    after = dict(connection.execute("SELECT image_id, pdq::text FROM imgsearch.fingerprint").fetchall())
    for image, bits in before:
        if image in after:
            assert sum(a != b for a, b in zip(bits, after[image], strict=True)) <= 8 or bits.count("1") < 100
    assert duplicates.find(connection).unhashed == 1
    assert duplicates.fill(connection, store, tenant="bazaar").done == 0


def test_what_cannot_be_is_said(connection: Connection, shop: dict[str, int]) -> None:
    with pytest.raises(UnknownImage, match="no image 999"):
        duplicates.duplicates_of(connection, 999)
    with pytest.raises(UnknownImage):
        duplicates.duplicates_of(connection, shop["p0"], tenant="bazaar")
    for similarity in (0.2, 1.5, float("nan")):
        with pytest.raises(FilterError, match="similarity"):
            duplicates.duplicates_of(connection, shop["p0"], similarity=similarity)
    connection.autocommit = False
    with pytest.raises(UsageError, match="autocommit"):
        duplicates.find(connection)


def test_a_picture_that_waits_has_no_duplicates_yet(connection: Connection, settings: Settings, space: Space) -> None:
    waiting: Any = add(connection, settings, drawn(0), "new")
    assert duplicates.duplicates_of(connection, waiting) == []


def test_a_search_leaves_out_what_is_marked_or_shows_only_that(connection: Connection, shop: dict[str, int]) -> None:
    duplicates.find(connection)
    marked = {one.image_id for one in duplicates.duplicates(connection, tenant="acme")}
    everything = {image for name, image in shop.items() if not name.startswith("bazaar")}
    asked: dict[str, Any] = {"tenant": "acme", "per": "image", "k": 50}

    def found(**more: Any) -> set[int]:
        query = imgsearch.ImageId(shop["p3"])
        return {hit.image_id for hit in imgsearch.search(connection, query, **asked, **more)}

    assert found() == everything
    assert found(duplicates=False) == everything - marked - {shop["p3"]}, "nor what was asked for"
    assert found(duplicates=True) == marked
    assert found(duplicates=False, category="none") == set()
    counted = imgsearch.facets(connection, filters=imgsearch.Filters(tenant="acme", duplicates=False))
    assert counted is not None
    rows = connection.execute(
        "SELECT image_id FROM imgsearch.search(imgsearch.vec_of(%s), tenant => 'acme', per => 'image', k => 50,"
        " duplicates => false)",
        (shop["p3"],),
    ).fetchall()
    assert {row[0] for row in rows} == everything - marked


def test_a_select_leaves_out_what_is_marked(connection: Connection, settings: Settings, shop: dict[str, int]) -> None:
    duplicates.find(connection)
    marked = {one.image_id for one in duplicates.duplicates(connection, tenant="acme")}
    everything = {image for name, image in shop.items() if not name.startswith("bazaar")}
    other = aliased(imgsearch.Image)
    with Session(db.engine(settings)) as session:
        for model in (imgsearch.Image, other):
            query = imgsearch.resolve(session, imgsearch.ImageId(shop["p3"]))
            for wanted, here in ((everything - marked, ~model.is_duplicate), (marked, model.is_duplicate)):
                rows = session.execute(
                    imgsearch.nearest(select(model).where(model.tenant_id == "acme", here), query, limit=50)
                ).all()
                assert {row[0].image_id for row in rows} == wanted
        one, two = (
            session.get_one(imgsearch.Image, ("acme", shop["p3"])),
            session.get_one(imgsearch.Image, ("acme", next(iter(marked)))),
        )
        assert (one.is_duplicate, two.is_duplicate) == (False, True)


def test_no_picture_like_another_brings_its_own_twins_when_they_are_left_out(
    connection: Connection, shop: dict[str, int]
) -> None:
    duplicates.find(connection)
    twins = {shop[name] for name in shop if name.startswith("p0")}
    for name in ("p0", "p0 small"):
        hits = imgsearch.search(
            connection, imgsearch.ImageId(shop[name]), tenant="acme", per="image", k=50, duplicates=False
        )
        assert hits
        assert not twins & {hit.image_id for hit in hits}


def test_a_search_of_a_tenant_counts_its_own_marks_only(connection: Connection, shop: dict[str, int]) -> None:
    duplicates.find(connection)
    connection.execute("SET ROLE imgsearch_reader")
    with connection.transaction():
        speak_for(connection, "bazaar")
        rows = connection.execute(
            "SELECT image_id FROM imgsearch.search(imgsearch.vec_of(%s), per => 'image', duplicates => false)",
            (shop["bazaar's p0"],),
        ).fetchall()
    assert rows == [(shop["bazaar's p0"],)]
