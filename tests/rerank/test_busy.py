"""As many second looks wait as may, and what is over is forgotten."""

from __future__ import annotations

from typing import Any

import psycopg

from imgsearch.db import sql
from imgsearch.query import ImageId
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from tests.rerank.looking import looking
from tests.rerank.test_second_look import STEP, an_image, pictures  # noqa: F401  # a fixture

Connection = psycopg.Connection[Any]


def test_as_many_wait_as_may_and_what_is_over_is_forgotten(
    settings: Settings,
    connection: Connection,
    pictures: Space,  # noqa: F811
) -> None:
    asked = ImageId(an_image(connection))
    plain = list(search(connection, asked, tenant="acme", k=5))
    with looking(settings, pictures):
        before = search(connection, asked, tenant="acme", k=5, rerank=STEP)
    waits = "INSERT INTO imgsearch.second_look (tenant_id, space_id, steps, question, images, pool, belongs_to, until) "
    waits += "SELECT %s, 1, '[]', '{}', '{}', '{}', '', now() + %s FROM generate_series(1, 64)"
    connection.execute(waits, ("acme", "1 minute"))
    connection.execute(waits, ("bolt", "-2 minutes"))
    hits = search(connection, asked, tenant="acme", k=5, rerank=STEP, rerank_timeout=2)
    assert hits.reranked is not None
    assert (list(hits), hits.reranked.code) == (plain, "busy")
    theirs = search(connection, ImageId(an_image(connection, "bolt")), tenant="bolt", rerank=STEP, rerank_timeout=0.1)
    assert theirs.reranked is not None
    assert theirs.reranked.code == "time_over", "what another tenant asks holds nobody up"
    connection.execute("UPDATE imgsearch.second_look SET until = until - interval '5 minutes'")
    sql.run(connection, "look", "forget")
    kept = connection.execute("SELECT tenant_id, answered_at IS NOT NULL FROM imgsearch.second_look").fetchall()
    assert kept == [("acme", True)]
    assert len(search(connection, asked, tenant="acme", k=5, rerank=STEP, after=before.after)) == 5
    connection.execute("UPDATE imgsearch.second_look SET asked_at = asked_at - interval '2 hours'")
    sql.run(connection, "look", "forget")
    assert connection.execute("SELECT count(*) FROM imgsearch.second_look").fetchone() == (0,)
