"""A picture that was added as an address is fetched again on request, and then answers for what is there now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from imgsearch_workers.pipeline.in_flight import Group
from imgsearch_workers.pipeline.prefetcher import _other_bytes

from bench.soak import pictures
from imgsearch import picture
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.ingest.queue import Claim
from imgsearch.ops import lifecycle
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import loops
from tests.faulty_http import Asked, local, serving
from tests.processes import eventually
from tests.terminal import Run, run

__all__ = ["run"]


def test_a_changed_address_is_embedded_anew_when_somebody_asks(
    settings: Settings, connection: psycopg.Connection[Any], space: Space
) -> None:
    versions = [pictures.draw(1, 0), pictures.draw(1, 1)]
    now = [0]

    def shop(asked: Asked) -> None:
        asked.answer(200, {}, versions[now[0]])

    def holds(version: int) -> bool:
        found = connection.execute(
            "SELECT v.sha256, i.sha256 FROM imgsearch.image i JOIN imgsearch.vectors v USING (tenant_id, image_id)"
        ).fetchone()
        digest = picture.digest(versions[version])
        return found == (digest, digest)

    with serving(shop) as server, loops.images(settings, FakeEncoder(), policy=local(server.port)):
        address = f"http://pictures.test:{server.port}/1.jpg"
        upload.add(connection, address, product_id="p", tenant="acme")
        eventually(lambda: holds(0), what="the first version")
        now[0] = 1
        assert connection.execute("SELECT imgsearch.refetch(product_id => 'other')").fetchone() == (0,)
        assert connection.execute("SELECT imgsearch.refetch(tenant => 'acme', product_id => 'p')").fetchone() == (1,)
        eventually(lambda: holds(1), what="the second version")
        assert len(server.asked) == 2
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_an_address_that_changed_before_a_fill_leaves_no_space_and_is_fetched_anew_on_request(
    settings: Settings, connection: psycopg.Connection[Any], space: Space, run: Run
) -> None:
    """Of the new bytes nobody knows: the old vector stays where it is, and the fill says what to do."""
    versions = [[pictures.draw(number, version) for version in (0, 1)] for number in (1, 2)]
    now = [0]

    def shop(asked: Asked) -> None:
        asked.answer(200, {}, versions["alone" in asked.path][0 if "same" in asked.path else now[0]])

    def digests(space_id: int) -> set[bytes]:
        vectors = {1: "SELECT sha256 FROM imgsearch.embedding_1", 2: "SELECT sha256 FROM imgsearch.embedding_2"}
        return {row[0] for row in connection.execute(vectors[space_id]).fetchall()}

    [same, _], [old, new] = [[picture.digest(data) for data in both] for both in versions]
    with serving(shop) as server, loops.images(settings, FakeEncoder(), policy=local(server.port)) as first:
        for path in ("same", "alone"):
            address = f"http://pictures.test:{server.port}/{path}.jpg"
            upload.add(connection, address, product_id=path, tenant="acme")
        eventually(lambda: connection.execute("SELECT count(*) FROM imgsearch.vectors").fetchone() == (2,), what="both")
        now[0] = 1
        other = loops.add_another(connection)
        with loops.images(settings, FakeEncoder(), policy=local(server.port), space_id=other):
            filled = lifecycle.fill(settings, "other")
            assert (filled.embedded, filled.failed) == (1, 1)
            [failed] = run("queue", "failures", "--json").document
            assert (failed["product_id"], failed["error_code"]) == ("alone", "changed")
            assert "imgsearch queue refetch --code changed" in failed["error"]
            assert digests(1) == {same, old}, "it never left the search"
            assert run("queue", "refetch", "--code", "corrupt", "--json").document == {"refetched": 0}
            assert run("queue", "refetch", "--code", "changed", "--json").document == {"refetched": 1}
            eventually(lambda: digests(1) == digests(2) == {same, new}, what="both spaces in step")
        assert not first.loop.outdated
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


@pytest.mark.parametrize(
    ("uris", "said"),
    [
        (("https://a.test/1",), ("changed", True)),
        (("https://a.test/1", "https://b.test/1"), ("changed", False)),  # the other one may still answer these bytes
        (("store:1",), ("corrupt", False)),
    ],
)
def test_other_bytes_are_told_apart(uris: tuple[str, ...], said: tuple[str, bool]) -> None:
    claims = [
        Claim(
            tenant_id="acme",
            image_id=n,
            space_id=1,
            token=uuid4(),
            attempts=1,
            uri=uri,
            sha256=b"x",
            queued=datetime.now(UTC),
        )
        for n, uri in enumerate(uris)
    ]
    failed = _other_bytes(Group(claims))
    assert (failed.code, failed.permanent) == said
