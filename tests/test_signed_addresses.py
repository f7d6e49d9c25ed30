"""An address signed anew, or led elsewhere, takes no picture out of search: its vector answers until bytes differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.soak import pictures
from imgsearch import picture
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.storage import FetchPolicy
from tests import loops
from tests.faulty_http import Asked, local, serving
from tests.processes import eventually

HOST = "http://pictures.test:{port}"
Change = Callable[[psycopg.Connection[Any], str], object]


def _added(connection: psycopg.Connection[Any], address: str) -> None:
    upload.add(connection, address, product_id="p", tenant="acme")


def _attached(connection: psycopg.Connection[Any], address: str) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS goods (id text PRIMARY KEY, url text)")
    connection.execute(
        "INSERT INTO goods VALUES ('p', %s) ON CONFLICT (id) DO UPDATE SET url = EXCLUDED.url", [address]
    )
    if not connection.execute("SELECT 1 FROM imgsearch.attachment").fetchone():
        connection.execute("SELECT imgsearch.attach('goods', key => 'id', image => 'url')")


def _updated(connection: psycopg.Connection[Any], address: str) -> None:
    if not connection.execute("UPDATE imgsearch.image SET uri = %s", [address]).rowcount:
        connection.execute(
            "INSERT INTO imgsearch.image (tenant_id, product_id, uri) VALUES ('acme', 'p', %s)", [address]
        )


def _refetched(connection: psycopg.Connection[Any], address: str) -> None:
    if connection.execute("SELECT imgsearch.refetch()").fetchone() != (1,):
        _added(connection, address)


def _digest(connection: psycopg.Connection[Any]) -> bytes | None:
    row = connection.execute(
        "SELECT i.sha256 FROM imgsearch.image i JOIN imgsearch.vectors v USING (tenant_id, image_id)"
        " WHERE v.sha256 = i.sha256 AND imgsearch_internal.bits_of(i) IS NOT NULL"
    ).fetchone()
    return row[0] if row else None


def _quiet(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute("SELECT count(*) FROM imgsearch.job").fetchone() == (0,)


@pytest.mark.parametrize("change", [_added, _attached, _updated, _refetched])
def test_the_vector_answers_until_other_bytes_are_embedded(
    settings: Settings, connection: psycopg.Connection[Any], space: Space, change: Change
) -> None:
    versions = [pictures.draw(1, 0), pictures.draw(1, 1)]
    old, new = (picture.digest(data) for data in versions)
    now, encoder = [0], loops.Gate()

    def shop(asked: Asked) -> None:
        asked.answer(200, {}, versions[now[0]])

    with serving(shop) as server:
        address = HOST.format(port=server.port) + "/a.jpg?X-Amz-Signature="
        with loops.images(settings, encoder, policy=local(server.port)):
            change(connection, address + "1")
            eventually(lambda: _digest(connection) == old and _quiet(connection), what="the first bytes")
        change(connection, address + "2")
        assert _digest(connection) == old, "it never left the search"
        assert connection.execute("SELECT state, anew FROM imgsearch.job").fetchall() == [("pending", True)]
        assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
        with loops.images(settings, encoder, policy=local(server.port)):
            eventually(lambda: _quiet(connection), what="a look at the same bytes")
        assert (_digest(connection), encoder.embedded, len(server.asked)) == (old, 1, 2)
        now[0] = 1
        change(connection, address + "3")
        encoder.open.clear()
        with loops.images(settings, encoder, policy=local(server.port)):
            encoder.waiting.clear()
            assert encoder.waiting.wait(30)
            assert _digest(connection) == old, "while the new bytes are embedded"
            encoder.open.set()
            eventually(lambda: _digest(connection) == new and _quiet(connection), what="the new bytes")
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_a_file_that_is_overwritten_is_read_again_on_request(
    settings: Settings, connection: psycopg.Connection[Any], space: Space, tmp_path: Path
) -> None:
    """The same place, other bytes: nobody notices until somebody asks, and the vector answers meanwhile."""
    place, versions = tmp_path / "a b.jpg", [pictures.draw(1, 0), pictures.draw(1, 1)]
    place.write_bytes(versions[0])
    connection.execute("CREATE TABLE goods (id text PRIMARY KEY, photo text)")
    connection.execute("INSERT INTO goods VALUES ('p', 'a b.jpg')")
    connection.execute(
        "SELECT imgsearch.attach('goods', key => 'id', image => 'photo', base => %s)", [tmp_path.as_uri()]
    )
    with loops.images(settings, FakeEncoder(), policy=FetchPolicy(file_roots=(tmp_path,))):
        eventually(lambda: _digest(connection) == picture.digest(versions[0]), what="the first bytes")
        place.write_bytes(versions[1])
        assert connection.execute("SELECT imgsearch.refetch(product_id => 'p')").fetchone() == (1,)
        assert _digest(connection) is not None
        eventually(lambda: _digest(connection) == picture.digest(versions[1]), what="the second bytes")
        eventually(lambda: _quiet(connection), what="no job left")
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_two_spaces_adopt_other_bytes_together(
    settings: Settings, connection: psycopg.Connection[Any], space: Space
) -> None:
    versions, now = [pictures.draw(1, 0), pictures.draw(1, 1)], [0]
    other = loops.add_another(connection)
    digests = "SELECT sha256 FROM imgsearch.embedding_1 UNION ALL SELECT sha256 FROM imgsearch.embedding_2"

    def holds(data: bytes) -> bool:
        rows = connection.execute(digests).fetchall()
        return rows == [(picture.digest(data),)] * 2 and _quiet(connection)

    with (
        serving(lambda asked: asked.answer(200, {}, versions[now[0]])) as server,
        loops.images(settings, FakeEncoder(), policy=local(server.port)),
        loops.images(settings, FakeEncoder(), policy=local(server.port), space_id=other),
    ):
        address = HOST.format(port=server.port) + "/a.jpg?sig="
        _added(connection, address + "1")
        eventually(lambda: holds(versions[0]), what="the first bytes in both")
        for version in (0, 1):
            now[0] = version
            _added(connection, f"{address}{version + 2}")
            eventually(lambda version=version: holds(versions[version]), what="both in step")  # type: ignore[misc]
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_an_address_that_answers_nothing_leaves_the_vector_and_is_shown_as_failed(
    settings: Settings, connection: psycopg.Connection[Any], space: Space
) -> None:
    data = pictures.draw(1, 0)

    def shop(asked: Asked) -> None:
        asked.answer(200 if asked.path.endswith("1") else 404, {}, data)

    def failed() -> bool:
        rows = connection.execute("SELECT product_id, error_code FROM imgsearch.failures").fetchall()
        connection.execute("UPDATE imgsearch.job SET due = now() WHERE state = 'pending'")
        return rows == [("p", "missing")]

    with serving(shop) as server, loops.images(settings, FakeEncoder(), policy=local(server.port)):
        address = HOST.format(port=server.port) + "/a.jpg?sig="
        _added(connection, address + "1")
        eventually(lambda: _quiet(connection), what="the picture")
        _added(connection, address + "2")
        eventually(failed, what="a failure that is shown")
        assert _digest(connection) == picture.digest(data)
        assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
        _added(connection, address + "1")
        eventually(lambda: _quiet(connection), what="the good address again")


@pytest.mark.parametrize(
    ("old", "new", "outcome", "waits"),
    [
        ("https://h.test/a.jpg?sig=1#v1", "https://h.test/a.jpg?sig=2#v1", "changed", False),
        ("https://h.test/a.jpg?sig=1#v1", "https://h.test/a.jpg?sig=2#v2", "replaced", True),
        ("https://h.test/a.jpg?sig=1#v1", "https://h.test/b.jpg?sig=1#v1", "replaced", True),
        ("https://h.test/a.jpg?sig=1#", "https://h.test/a.jpg?sig=2#", "replaced", True),
        ("https://h.test/a.jpg?sig=1", "https://h.test/a.jpg?sig=2", "replaced", True),
        ("https://h.test/a.jpg?sig=1#v1", "https://h.test/a.jpg?sig=1#v1", "unchanged", False),
    ],
)
def test_a_version_behind_the_address_says_that_bytes_are_the_same(
    connection: psycopg.Connection[Any], space: Space, old: str, new: str, outcome: str, waits: bool
) -> None:
    _added(connection, old)
    connection.execute("UPDATE imgsearch.image SET sha256 = %s", [picture.digest(b"x")])
    connection.execute("DELETE FROM imgsearch.job")
    again = upload.add(connection, new, product_id="p", tenant="acme")
    assert (again.outcome, not _quiet(connection)) == (outcome, waits)


def test_bytes_that_are_uploaded_replace_the_picture_at_once(
    settings: Settings, connection: psycopg.Connection[Any], space: Space
) -> None:
    data = pictures.draw(1, 0)
    with serving(lambda asked: asked.answer(200, {}, data)) as server:
        with loops.images(settings, FakeEncoder(), policy=local(server.port)):
            _added(connection, HOST.format(port=server.port) + "/a.jpg")
            eventually(lambda: _quiet(connection), what="the picture")
        upload.add(connection, pictures.draw(1, 1), product_id="p", tenant="acme")
        assert _digest(connection) is None
        assert connection.execute("SELECT state, anew FROM imgsearch.job").fetchall() == [("pending", False)]


@pytest.mark.parametrize("change", [_added, _attached, _updated, _refetched])
def test_a_worker_that_is_late_does_not_adopt_its_bytes(
    settings: Settings, connection: psycopg.Connection[Any], space: Space, change: Change
) -> None:
    """It fetched before the last change: the same worker, which takes the picture again, does not answer with that."""
    versions = [pictures.draw(1, n) for n in range(3)]
    now, encoder = [0], loops.Gate()

    def shop(asked: Asked) -> None:
        asked.answer(200, {}, versions[now[0]])

    with serving(shop) as server, loops.images(settings, encoder, policy=local(server.port)) as running:
        address = HOST.format(port=server.port) + "/a.jpg?version="
        change(connection, address + "0")
        eventually(lambda: _quiet(connection), what="the picture")
        encoder.open.clear()
        encoder.waiting.clear()
        now[0] = 1
        change(connection, address + "1")
        assert encoder.waiting.wait(30)
        token = connection.execute("SELECT token FROM imgsearch.job").fetchone()
        now[0] = 2
        change(connection, address + "2")
        again = "SELECT token FROM imgsearch.job WHERE state = 'leased'"
        eventually(lambda: connection.execute(again).fetchone() not in (None, token), what="it is taken again")
        encoder.open.set()
        eventually(lambda: _quiet(connection), what="the last bytes")
        assert _digest(connection) == picture.digest(versions[2])
        assert not running.lost.is_set()
        assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []
