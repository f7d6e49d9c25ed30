"""A pair that somebody dismissed is none for good, at every interface."""

from __future__ import annotations

import pytest
from psycopg.sql import SQL, Identifier

import imgsearch
from imgsearch.errors import DatabaseRights, UnknownImage
from imgsearch.ops import duplicates, shops
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.terminal import Run
from tests.test_duplicate_policy import arrive, links
from tests.twins import Connection, add, again, delivered, drawn


@pytest.fixture
def pair(connection: Connection, settings: Settings, space: Space) -> tuple[int, int]:
    one, other = add(connection, settings, drawn(0), "p0"), add(connection, settings, again(0), "p1")
    delivered(connection, settings, space)
    duplicates.find(connection)
    assert len(links(connection)) == 1
    return one, other


def test_it_is_neither_reported_nor_hides_anything(connection: Connection, pair: tuple[int, int]) -> None:
    duplicates.dismiss(connection, pair[1], pair[0], tenant="acme")
    duplicates.dismiss(connection, *pair)  # again
    for _ in range(2):
        assert links(connection) == []
        assert [duplicates.duplicates_of(connection, image) for image in pair] == [[], []]
        hits = imgsearch.search(
            connection, imgsearch.ImageId(pair[0]), tenant="acme", per="image", k=9, duplicates=False
        )
        assert [hit.image_id for hit in hits] == [pair[1]]
        found = duplicates.find(connection, look=True, similarity=0.5)
        assert (found.certain, found.look) == (0, 0)


def test_the_same_bytes_can_be_dismissed_and_a_third_stays_a_duplicate(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int]
) -> None:
    copy = add(connection, settings, drawn(0), "p2")
    delivered(connection, settings, space)
    duplicates.dismiss(connection, pair[0], copy)
    duplicates.find(connection)
    assert not {frozenset(mark) for mark in links(connection)} & {frozenset((pair[0], copy))}
    assert [one.image_id for one in duplicates.duplicates_of(connection, copy)] == [pair[1]]
    assert [one.image_id for one in duplicates.duplicates_of(connection, pair[0])] == [pair[1]]


@pytest.mark.parametrize("policy", ["link", "refuse"])
def test_a_worker_that_sees_it_again_neither_links_nor_refuses_it(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int], policy: str
) -> None:
    duplicates.dismiss(connection, *pair)
    shops.set_shop(connection, tenant="acme", duplicates=policy)  # type: ignore[arg-type]
    table = Identifier("imgsearch", f"embedding_{space.space_id}")
    connection.execute(SQL("DELETE FROM {} WHERE image_id = %s").format(table), (pair[1],))
    connection.execute(
        "INSERT INTO imgsearch.job (tenant_id, image_id, space_id) VALUES ('acme', %s, %s)", (pair[1], space.space_id)
    )
    assert arrive(connection, settings, space) == ({pair[1]}, [])
    assert links(connection) == []


def test_it_goes_with_either_picture_and_with_its_bytes(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int]
) -> None:
    duplicates.dismiss(connection, *pair)
    assert add(connection, settings, drawn(7), "p1") == pair[1]
    assert connection.execute("SELECT * FROM imgsearch.dismissal").fetchall() == []
    assert add(connection, settings, again(0), "p1") == pair[1]
    delivered(connection, settings, space)
    assert duplicates.find(connection).certain == 1
    duplicates.dismiss(connection, *pair)
    connection.execute("DELETE FROM imgsearch.image WHERE image_id = %s", (pair[0],))
    assert connection.execute("SELECT * FROM imgsearch.dismissal").fetchall() == []


def test_only_a_pair_of_one_tenant_is_dismissed_and_only_by_who_may_write(
    connection: Connection, settings: Settings, space: Space, pair: tuple[int, int]
) -> None:
    theirs = add(connection, settings, drawn(0), "p0", tenant="bazaar")
    delivered(connection, settings, space)
    for other in (theirs, pair[0], 999):
        with pytest.raises(UnknownImage, match="no pair"):
            duplicates.dismiss(connection, pair[0], other)
    with pytest.raises(UnknownImage, match="no pair"):
        duplicates.dismiss(connection, *pair, tenant="bazaar")
    connection.execute("SET ROLE imgsearch_reader")
    connection.execute("SELECT set_config('imgsearch.tenant', 'acme', false)")
    with pytest.raises(DatabaseRights):
        duplicates.dismiss(connection, *pair)
    connection.execute("SET ROLE imgsearch_writer")
    connection.execute("SELECT set_config('imgsearch.tenant', 'bazaar', false)")
    with pytest.raises(UnknownImage):
        duplicates.dismiss(connection, *pair)
    connection.execute("SELECT set_config('imgsearch.tenant', 'acme', false)")
    duplicates.dismiss(connection, *pair)
    connection.execute("RESET ROLE")
    assert links(connection) == []


def test_the_command_dismisses(run: Run, connection: Connection, pair: tuple[int, int]) -> None:
    assert run("duplicates", "--tenant", "acme", "--dismiss", str(pair[0]), str(pair[1])).code == 0
    assert run("duplicates", "--json").document["certain"] == 0
    ran = run("duplicates", "--dismiss", str(pair[0]), "999")
    assert ran.code != 0
    assert "no pair" in ran.err
