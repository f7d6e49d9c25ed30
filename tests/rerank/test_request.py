"""The row by which a second look is asked: who takes it, when, and what of it a worker reads."""

from __future__ import annotations

import json

from imgsearch import Filters, ImageId, resolve
from imgsearch.db import sql
from imgsearch.query.looking import Looked
from imgsearch.retrieval.by_filters import values_of
from imgsearch.retrieval.rerank import rerank_of
from imgsearch.retrieval.second_look import Wanted, first, looked, page_of
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


def test_a_page_is_full_where_a_row_went_while_a_worker_looked(connection: Connection, pictures: Space) -> None:
    """A look may take seconds; what no longer matches then is not shown, and the next one comes in its place."""
    asked = ImageId(an_image(connection))
    resolved = resolve(connection, asked, tenant="acme")
    values = values_of(resolved, Filters(tenant="acme", in_stock=True), k=10)
    chain = rerank_of("expand")
    assert chain
    ordered = first(connection, Wanted(values=values, rerank=chain, resolved=resolved))
    gone = [row.image for row in ordered.pool.rows[2:5]]
    done = {"step": "expand", "took_ms": 1.0, "looked": 200, "moved": 0}
    answer = {"order": list(range(len(ordered.pool.rows))), "steps": [done], "details": {}}
    again = looked(ordered, lambda _asked, _picture: Looked(ticket="0" * 32, answer=answer))
    connection.execute("UPDATE imgsearch.image SET in_stock = false WHERE image_id = ANY (%s)", (gone,))
    hits = page_of(connection, again)
    assert [hit.image_id for hit in hits] == [row.image for row in ordered.pool.rows if row.image not in gone][:10]
