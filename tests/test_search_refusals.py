"""What a search cannot do, it says: a typed error with the cure, or a correct answer by the slower way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from imgsearch import db
from imgsearch.db.sqlstate import translate
from imgsearch.errors import FilterError, ImgsearchError, NoSpace, SpaceChanged, UsageError, VectorError
from imgsearch.query import Resolved
from imgsearch.retrieval import nearest, search
from imgsearch.settings import Settings
from imgsearch.spaces.space import Space
from imgsearch.sqlalchemy.models import Image
from tests.asking import shop
from tests.shop import Row, fill

QUERY = [1.0] + [0.0] * 47
Connection = psycopg.Connection[Any]


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    engine = db.engine(settings)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def stocked(connection: Connection, space: Space) -> list[int]:
    ids = fill(connection, space, shop(300, seed=5))
    connection.execute("SELECT imgsearch.refresh_sample()")
    return ids


def why(session: Session, query: Any, **options: Any) -> ImgsearchError | None:
    """Return what the database's refusal of nearest() means."""
    with pytest.raises(DBAPIError) as caught:
        session.execute(nearest(select(Image), query, **options))
    session.rollback()
    assert isinstance(caught.value.orig, psycopg.Error)
    return translate(caught.value.orig)


def test_a_vector_that_does_not_fit_is_refused_by_both(
    connection: Connection, session: Session, stocked: list[int]
) -> None:
    for wrong in ([1.0, 2.0], [0.0] * 48):
        with pytest.raises(VectorError):
            search(connection, wrong)
        assert isinstance(why(session, wrong), VectorError)
    for wrong in ([float("nan")] * 48, [float("inf")] * 48):
        with pytest.raises(VectorError):
            search(connection, wrong)
        with pytest.raises(VectorError):
            nearest(select(Image), wrong)


def test_a_vector_of_another_space_is_refused(connection: Connection, session: Session, stocked: list[int]) -> None:
    other = Resolved(vector=str(QUERY), space_id=77, source="given", took_ms=0, kind="vector")
    error = why(session, other)
    assert isinstance(error, SpaceChanged)
    assert "space 77" in str(error)


def test_without_a_space_both_say_what_to_start(connection: Connection, session: Session) -> None:
    with pytest.raises(NoSpace, match="worker"):
        search(connection, QUERY)
    assert isinstance(why(session, QUERY), NoSpace)


@pytest.mark.parametrize("wrong", [0, -1, 1001, 10**9])
def test_a_page_of_no_or_too_many_rows_is_refused(connection: Connection, stocked: list[int], wrong: int) -> None:
    with pytest.raises(FilterError, match="from 1 to 1000"):
        search(connection, QUERY, k=wrong)
    with pytest.raises(UsageError, match="from 1 to 1000"):
        nearest(select(Image), QUERY, limit=wrong)
    with pytest.raises(UsageError):
        nearest(select(Image), QUERY, offset=-1)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (select(Image).where(Image.price), "neither true nor false"),
        (select(Image).where(func.lower(Image.category, type_=Image.category.type)), "neither true nor false"),
        (select(Image.product_id).group_by(Image.product_id), "grouped"),
        (select(Image).distinct(), "distinct"),
        (select(Image).order_by(Image.price), "of its own"),
        (select(func.now()), "does not reach"),
    ],
)
def test_a_select_that_cannot_be_extended_is_refused(statement: Any, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        nearest(statement, QUERY)


@pytest.mark.parametrize("state", ["gone", "invalid", "stale sample", "no sample"])
def test_whatever_is_missing_the_answer_is_complete(
    connection: Connection, session: Session, space: Space, stocked: list[int], state: str
) -> None:
    """An index that is being built, a sample that tells nothing: slower, never short or wrong."""
    # As in a large shop, where the graph pays.
    connection.execute("UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '50000000')")
    usual = search(connection, QUERY, k=20)
    assert usual.strategy == "hnsw"
    hnsw = f"imgsearch.embedding_{space.space_id}_hnsw"
    if state == "gone":
        connection.execute(f"DROP INDEX {hnsw}".encode())
    elif state == "invalid":
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [hnsw]
        )  # as CREATE INDEX CONCURRENTLY leaves it while it builds, and when it fails
    elif state == "stale sample":
        connection.execute("DELETE FROM imgsearch.image_sample")
    else:
        connection.execute("UPDATE imgsearch.space SET parameters = parameters - 'sample'")
    hits = search(connection, QUERY, k=20, in_stock=True)
    rows = session.execute(nearest(select(Image).where(Image.in_stock), QUERY, limit=20, explained=True)).all()
    plain = connection.execute(
        "SELECT image_id FROM imgsearch.images WHERE in_stock ORDER BY (embedding <=> %s::halfvec) + 0, image_id"
        " LIMIT 20",
        [str(QUERY)],
    ).fetchall()
    assert [hit.image_id for hit in hits] == [row.Image.image_id for row in rows] == [row[0] for row in plain]
    assert hits.strategy == rows[0].strategy == "exact"
    assert hits.complete
    assert rows[0].complete


def test_nearest_leaves_the_transactions_settings_alone(
    connection: Connection, session: Session, stocked: list[int]
) -> None:
    connection.execute("UPDATE imgsearch.space SET parameters = jsonb_set(parameters, '{sample,pictures}', '50000000')")
    asked = "SELECT current_setting('hnsw.iterative_scan'), current_setting('hnsw.ef_search')"
    raw = session.connection().exec_driver_sql
    raw("SELECT '[1]'::halfvec")
    before = raw(asked).one()
    [row] = session.execute(nearest(select(Image.image_id), QUERY, limit=1, explained=True)).all()
    assert row.strategy == "hnsw"
    assert raw(asked).one() == before


def test_both_follow_when_another_model_takes_over(
    connection: Connection, session: Session, space: Space, stocked: list[int]
) -> None:
    """A new space of another dimension: its bits, its vectors, its refusals, in sessions that searched before."""
    assert len(session.execute(nearest(select(Image), QUERY)).all()) == 10
    session.rollback()
    row = connection.execute(
        "SELECT imgsearch.add_space('other', '', 'other', 4, '1', '[0.5,0.5,0.5,0.5]'::halfvec)"
    ).fetchone()
    assert row is not None
    other = replace(space, space_id=row[0])
    connection.execute("SELECT imgsearch.activate_space(%s::text, true)", [row[0]])
    near = fill(connection, other, [Row(vector=[1.0, 0, 0, n]) for n in range(3)], first=900)
    query = [1.0, 0, 0, 0]
    assert [hit.image_id for hit in search(connection, query)] == near
    assert [found.Image.image_id for found in session.execute(nearest(select(Image), query))] == near
    session.rollback()
    assert isinstance(why(session, QUERY), VectorError)
