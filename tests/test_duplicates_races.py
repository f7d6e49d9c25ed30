"""Duplicates of a catalogue that others write to while they are looked for, and of pictures that nobody can find."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imgsearch import ImageId, db, search
from imgsearch.db import sql
from imgsearch.ingest import queue, upload
from imgsearch.ingest.queue import Failure
from imgsearch.ops import duplicates, shops
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.test_duplicate_policy import arrive, links
from tests.twins import Connection, add, again, delivered, drawn, picture, saved

Tick = Callable[[str, int, int], None]


def at(what: str, done: int, act: Callable[[], object]) -> Tick:
    """Return a tick that does something in the middle of a run, as somebody else would."""

    def tick(said: str, many: int, _all: int) -> None:
        if (said, many) == (what, done):
            act()

    return tick


def elsewhere(settings: Settings, act: Callable[[Connection], object]) -> Callable[[], object]:
    def acts() -> None:
        with db.connect(settings, autocommit=True) as other:
            act(other)

    return acts


@pytest.fixture
def pair(connection: Connection, settings: Settings, space: Space) -> tuple[int, int]:
    one, same = add(connection, settings, drawn(0), "p0"), add(connection, settings, again(0), "p1")
    delivered(connection, settings, space)
    return one, same


def test_a_picture_that_is_replaced_meanwhile_is_no_duplicate(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int]
) -> None:
    def replaced(other: Connection) -> None:
        assert add(other, settings, drawn(7), "p1") == pair[1]
        delivered(other, settings, space)

    tick = at("comparing", duplicates.BANDS, elsewhere(settings, replaced))
    assert duplicates.find(connection, tenant="acme", tick=tick).pictures == 2
    assert links(connection) == []


def test_a_picture_that_goes_while_a_batch_is_looked_at_ends_nothing(
    connection: Connection, pair: tuple[int, int]
) -> None:
    """What a run reads in one statement and asks about in the next may be gone by then."""
    values = {"tenants": ["acme"] * 2, "images": [pair[0], pair[1] + 99], "similarity": 0.97}
    assert sql.rows(connection, "duplicates", "looked", values) == []
    assert duplicates.find(connection, tenant="acme", look=True).certain == 1


def test_what_is_linked_meanwhile_stays_linked(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int]
) -> None:
    shops.set_shop(connection, tenant="acme", duplicates="link")
    late: list[int] = []

    def uploaded(other: Connection) -> None:
        late.append(add(other, settings, saved(picture(0).resize((400, 320))), "p2"))
        arrive(other, settings, space)

    duplicates.find(connection, tenant="acme", tick=at("comparing", duplicates.BANDS, elsewhere(settings, uploaded)))
    assert {image for image, _ in links(connection)} == {pair[1], late[0]}


def test_a_pair_that_was_to_be_looked_at_may_become_certain(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int]
) -> None:
    connection.execute(
        "INSERT INTO imgsearch.duplicate (tenant_id, image_id, original, tier, distance, turn)"
        " SELECT 'acme', x.image_id, y.image_id, 'look', 40, 1 FROM imgsearch.image x, imgsearch.image y"
        " WHERE x.image_id <> y.image_id"
    )
    duplicates.find(connection, tenant="acme")
    [(image, original)] = connection.execute(
        "SELECT image_id, original FROM imgsearch.duplicates WHERE tier = 'certain'"
    ).fetchall()
    assert {image, original} == {*pair}


def test_a_picture_that_was_set_aside_hides_none(connection: Connection, settings: Settings, space: Space) -> None:
    """It has no vector: were it the original, neither would be found."""
    shops.set_shop(connection, tenant="acme", duplicates="refuse")
    refused = add(connection, settings, drawn(0), "p0")
    [claim] = queue.claim(connection, worker="w", limit=1, lease_seconds=60)
    queue.fail(connection, [Failure(claim=claim, code="internal", message="", permanent=True)], max_attempts=1)
    shown = add(connection, settings, again(0), "p1")
    arrive(connection, settings, space)
    duplicates.fill(connection, upload.default_store(settings), tenant="acme")
    duplicates.find(connection, tenant="acme")
    assert links(connection) == []
    found = search(connection, ImageId(shown), tenant="acme", k=10)
    assert [hit.image_id for hit in found] == [shown]
    left = search(connection, drawn_vector(connection, shown), tenant="acme", k=10, duplicates=False)
    assert [hit.image_id for hit in left] == [shown]
    connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", (shown,))
    another = add(connection, settings, again(0, 60), "p2")
    written, failed = arrive(connection, settings, space)
    assert (written, failed) == ({another}, []), f"{refused} cannot be found, so it refuses nobody"


def drawn_vector(connection: Connection, image: int) -> list[float]:
    row = connection.execute("SELECT embedding::real[] FROM imgsearch.vectors WHERE image_id = %s", (image,)).fetchone()
    assert row is not None
    return list(row[0])


def test_a_picture_that_is_there_a_thousand_times_is_left_out_as_well(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int]
) -> None:
    other = add(connection, settings, drawn(3), "other")
    delivered(connection, settings, space)
    connection.execute(
        "INSERT INTO imgsearch.image (tenant_id, product_id, uri, sha256)"
        " SELECT i.tenant_id, 'copy ' || n, i.uri, i.sha256 FROM imgsearch.image i, generate_series(1, 1200) n"
        " WHERE i.image_id = %s",
        (pair[0],),
    )
    connection.execute(
        "INSERT INTO imgsearch.fingerprint SELECT i.tenant_id, i.image_id, f.sha256, f.quality, f.pdq, f.turned,"
        " f.bands"
        " FROM imgsearch.image i, imgsearch.fingerprint f WHERE f.image_id = %s AND i.product_id LIKE 'copy %%'",
        (pair[0],),
    )
    assert len(duplicates.duplicates_of(connection, pair[0], tenant="acme")) == 1001, "and one that only looks like it"
    duplicates.find(connection, tenant="acme")
    found = search(connection, ImageId(pair[0]), tenant="acme", k=10, duplicates=False)
    assert [hit.image_id for hit in found] == [other]
