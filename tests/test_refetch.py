"""A picture that was added as an address is fetched again on request, and then answers for what is there now."""

from __future__ import annotations

from typing import Any

import psycopg

from bench.soak import pictures
from imgsearch import picture
from imgsearch.dev.testing import FakeEncoder
from imgsearch.ingest import upload
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests import loops
from tests.faulty_http import Asked, local, serving
from tests.processes import eventually


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
