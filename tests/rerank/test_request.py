"""The row by which a second look is asked: who takes it, when, and what of it a worker reads."""

from __future__ import annotations

import json

from imgsearch.db import sql
from imgsearch.spaces.space import Space
from tests.rerank.test_second_look import Connection, an_image, pictures

__all__ = ["pictures"]


def test_each_wall_stands_alone(connection: Connection, pictures: Space) -> None:
    """Rows and vectors are read apart, each of the tenant that asked; of all for somebody above tenants."""
    images = [an_image(connection, "acme"), an_image(connection, "bolt")]
    for tenant, seen_ in (("acme", images[:1]), ("bolt", images[1:]), ("", images), ("nobody", [])):
        values = {"images": images, "tenant": tenant}
        assert [row["image_id"] for row in sql.rows(connection, "look", "candidates", values)] == seen_
        found = sql.rows(connection, "look", "vectors", values, space_id=pictures.space_id)
        assert sorted(row["image_id"] for row in found) == sorted(seen_)


def test_a_look_is_taken_once_and_only_while_somebody_waits(connection: Connection, pictures: Space) -> None:
    asked = {"space": 1, "steps": ["expand"], "question": {}, "images": [], "pool": {"rows": []}, "belongs_to": ""}
    ask = "SELECT imgsearch_internal.enqueue_look(%s, NULL, %s)::text"
    connection.execute(ask, (json.dumps(asked), 0))
    assert sql.rows(connection, "look", "claim") == [], "its asker has gone"
    [(ticket,)] = connection.execute(ask, (json.dumps(asked), 30)).fetchall()
    [taken] = sql.rows(connection, "look", "claim")
    assert taken["ticket"] == ticket
    assert 0 < taken["seconds"] <= 30
    assert sql.rows(connection, "look", "claim") == [], "what ended its worker must not end the next"
