"""Searching by parts in a space beside the active one: its own regions, and nobody else's."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from imgsearch.query import ImageId
from imgsearch.retrieval import explain, search
from tests import parts
from tests.parts import Part
from tests.test_spaces_searched import OTHER, connection, drawn, make, shop

__all__ = ["connection", "make", "shop"]
BOX = (0.5, 0.5, 0.25, 0.25)


def test_a_space_is_searched_by_its_own_parts(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute("SELECT image_id FROM imgsearch.image ORDER BY 1 LIMIT 2").fetchall()
    (asked,), (shows,) = rows
    vector = drawn(OTHER)[0].tolist()
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "INSERT INTO imgsearch.region_2 (tenant_id, image_id, position, sha256, x, y, w, h, label, embedding)"
            " VALUES ('acme', %s, 1, '', %s, %s, %s, %s, 'cup', l2_normalize(%s::halfvec))",
            [shows, *BOX, str(vector)],
        )
        found = search(connection, ImageId(asked), space="dino", regions=1, per="image", k=3)
        boxed = {hit.image_id: hit.box for hit in found}
        assert boxed[shows] == BOX
        assert found[1].distance == pytest.approx(parts.near(vector, vector, [Part(vector=vector)], 1), abs=1e-3)
        here = search(connection, ImageId(asked), regions=1, per="image", k=400)
        assert {hit.box for hit in here} == {None}
        said = explain(connection, ImageId(asked), space="dino", regions=1, per="image")
        assert [line for line in said if "a region was the nearer in 1 of" in line]
