"""Where all that matches lies about as far from the question, bits tell little: a pool grows till it holds the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.rows import tuple_row
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from imgsearch import db
from imgsearch.retrieval import nearest
from imgsearch.settings import Settings
from imgsearch.spaces.space import vector_literal
from imgsearch.sqlalchemy.models import Image
from tests import test_search_plans
from tests.test_search_plans import PICTURES, believe

Connection = psycopg.Connection[Any]
planned = test_search_plans.settings
QUESTIONS = [vector_literal(one) for one in np.random.default_rng(5).random((20, 48)) - 0.3]
NARROW = '{"pool": 30}'  # of 2,000 that match, 95

# The 2,000 pictures of tenant1 lie in one tight cluster, far from most questions and all about as far.
TIGHT = """UPDATE imgsearch.embedding_1 e SET embedding = l2_normalize(ARRAY(
    SELECT 0.5 + 0.2 * random() FROM generate_series(1, 48) WHERE e.image_id > 0)::halfvec)
WHERE tenant_id = 'tenant1'"""
BITS = """UPDATE imgsearch.image i SET bits_1 = imgsearch_internal.quantized(e.embedding, s.mean, s.signs)
FROM imgsearch.embedding_1 e, imgsearch.space s WHERE e.image_id = i.image_id"""
EXACT = """SELECT v.embedding <=> %s::halfvec AS d FROM imgsearch.vectors v
WHERE v.tenant_id = 'tenant1' ORDER BY 1 LIMIT 10"""


@pytest.fixture(scope="module")
def settings(planned: Settings) -> Settings:
    with db.connect(planned, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("SELECT setseed(0.5)")
        owner.execute(TIGHT.encode())
        owner.execute("UPDATE imgsearch.space SET mean = (SELECT avg(embedding) FROM imgsearch.vectors)")
        owner.execute(BITS.encode())
        owner.execute("VACUUM ANALYZE imgsearch.image")
        owner.execute("SELECT imgsearch.refresh_sample()")
    believe(planned, PICTURES)
    return planned


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    with db.connect(settings, autocommit=True) as opened:
        opened.execute("SELECT set_config('imgsearch.search', %s, false)", [NARROW])
        yield opened


def found(distances: list[float], exact: list[float]) -> int:
    return sum(distance <= exact[-1] + 1e-9 for distance in distances)


def exact(connection: Connection, question: str) -> list[float]:
    connection.execute("SET enable_indexscan = off")
    rows = connection.execute(EXACT.encode(), [question]).fetchall()
    connection.execute("RESET enable_indexscan")
    return [row[0] for row in rows]


@pytest.mark.parametrize("per", ["image", "product"])
def test_a_pool_that_tells_little_grows(connection: Connection, per: str) -> None:
    asked = f"SELECT distance, strategy FROM imgsearch.search(%s::halfvec, tenant => 'tenant1', per => '{per}')"  # noqa: S608
    ways, hits = set(), 0
    for question in QUESTIONS:
        rows = connection.execute(asked.encode(), [question]).fetchall()
        ways |= {row[1] for row in rows}
        hits += found([row[0] for row in rows], exact(connection, question))
    assert ways <= {"bits", "exact"}
    assert hits >= 198, f"{hits} of 200 found"


def test_that_of_nearest_grows(settings: Settings, connection: Connection) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: db.connect(settings, autocommit=True).__enter__())
    hits = 0
    with Session(engine) as session:
        raw = session.connection().connection.driver_connection
        assert raw is not None
        raw.execute("SELECT set_config('imgsearch.search', %s, false)", [NARROW])
        for question in QUESTIONS:
            numbers = [float(one) for one in question.strip("[]").split(",")]
            statement = nearest(select(Image.image_id).where(Image.tenant_id == "tenant1"), numbers, limit=10)
            hits += found([row.distance for row in session.execute(statement)], exact(connection, question))
    engine.dispose()
    assert hits >= 198, f"{hits} of 200 found"


@pytest.mark.parametrize(
    ("edge", "last", "stays"),
    [(300, 340, True), (300, 335, False), (300, 336, False), (300, 337, True)],  # 1.3 √768 = 36.03
)
def test_a_pool_that_ends_close_behind_the_page_grows(
    connection: Connection, edge: int, last: int, stays: bool
) -> None:
    """Before a vector is read: what is as near as the page may lie behind it."""
    settled = """SELECT (s.plan).pool FROM imgsearch_internal.settle_keys(
            jsonb_populate_record(NULL::imgsearch_internal.search_context, jsonb_build_object(
                'page_end', 1, 'bits', repeat('1', 768), 'query', array_to_json(array_fill(1, ARRAY[48]))::text)),
            ROW('bits', NULL, 2, 49, 1, 1, 9, false, 'dear', NULL)::imgsearch_internal.search_plan,
            ROW(NULL, NULL, NULL, NULL, ARRAY[imgsearch_internal.pack_key(%s, 1), imgsearch_internal.pack_key(%s, 2),
                imgsearch_internal.pack_key(999, 3)], NULL)::imgsearch_internal.candidates,
            imgsearch_internal.page_of(1), NULL) s"""
    row = connection.cursor(row_factory=tuple_row).execute(settled.encode(), [edge, last]).fetchone()
    assert row == (2 if stays else 8,)
