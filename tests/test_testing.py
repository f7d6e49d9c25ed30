"""imgsearch.dev.testing.embed: a space and vectors in one line, for the tests of a shop."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from imgsearch import Image, db, nearest, search
from imgsearch.dev.testing import embed
from imgsearch.errors import UnknownImage
from imgsearch.settings import Settings

ADD = """INSERT INTO imgsearch.image (tenant_id, product_id, uri)
         SELECT 'default', n, 'https://x.example/' || n FROM generate_series(1, 5) n"""


def test_it_makes_a_space_and_answers_what_will_be_asked(connection: psycopg.Connection[Any]) -> None:
    connection.execute(ADD)
    assert embed(connection, texts={"red shoe": "3", "hat": "5"}) == 5
    assert embed(connection, texts=["anything else"]) == 0
    assert search(connection, "red shoe")[0].product_id == "3"
    assert search(connection, "hat")[0].product_id == "5"
    assert search(connection, "hat")[0].distance < 0.001
    assert len(search(connection, "anything else")) == 5
    assert connection.execute("SELECT * FROM imgsearch.violations").fetchall() == []


def test_vectors_may_be_given_and_all_is_in_the_callers_transaction(settings: Settings) -> None:
    engine = db.engine(settings)
    with Session(engine) as session:
        session.connection().exec_driver_sql(ADD.replace("%", "%%"))
        embed(session, vectors={"1": [1], "2": [1, 0.1], "3": [1, 0.3], "4": [0, 1], "5": [-1]})
        rows = session.execute(nearest(select(Image), [1.0] + [0.0] * 47, limit=9)).all()
        assert [row.Image.product_id for row in rows] == ["1", "2", "3", "4", "5"]
        session.rollback()
        assert session.scalars(select(Image)).all() == []
    engine.dispose()


def test_a_text_that_shall_look_like_nothing_says_so(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(UnknownImage, match="product 7"):
        embed(connection, texts={"red shoe": "7"})
