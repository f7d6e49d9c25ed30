"""nearest(…, regions=w) where there are many parts: two graphs are walked, or few rows compared; nothing row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from imgsearch import Image, db, explain, nearest
from imgsearch.dev import embedded
from imgsearch.dev.testing import FakeEncoder
from imgsearch.retrieval import search
from imgsearch.settings import Settings
from imgsearch.spaces.space import ensure
from tests.asking import DIMENSION
from tests.shop import database
from tests.test_search_regions_plans import BAG, stock

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def shop(servers: embedded.Servers, template: str) -> Iterator[Settings]:
    """A database that these tests only read."""
    with database(servers, template) as settings, db.connect(settings, autocommit=True) as connection:
        stock(connection, ensure(connection, FakeEncoder().describe()))
        yield settings


@pytest.fixture
def large(shop: Settings) -> Iterator[Connection]:
    with db.connect(shop, autocommit=True) as connection:
        yield connection


@pytest.fixture
def session(shop: Settings) -> Iterator[Session]:
    engine = db.engine(shop)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def test_the_arm_that_costs_less_goes_and_explain_tells(session: Session) -> None:
    scans = text(
        "SELECT pg_stat_get_xact_numscans('imgsearch.region_1'::regclass),"
        " pg_stat_get_xact_numscans('imgsearch.region_1_hnsw'::regclass)"
    )
    every, rare = select(Image), select(Image).where(Image.product_id == "p7")
    for statement, more, way in (
        (every, {}, "hnsw"),
        (every, {"per": Image.product_id}, "hnsw"),
        (every, {"regions": 0.5}, "hnsw"),
        (rare, {}, "exact"),
        (rare, {"per": Image.product_id}, "exact"),
    ):
        asked = nearest(statement, BAG, explained=True, boxed=True, **{"regions": 1, **more})
        session.commit()
        before = session.execute(scans).one()
        rows = session.execute(asked).all()
        assert len(rows) == (10 if way == "hnsw" else 1)
        assert {row.strategy for row in rows} == {way}
        assert all(row.complete for row in rows)
        by_rows, by_graph = (now - then for now, then in zip(session.execute(scans).one(), before, strict=True))
        assert by_rows == 0, "no region is read row by row"
        assert (by_graph > 0) == (way == "hnsw")
        told = " ".join(explain(session, asked))
        assert ("hnsw: walked two graphs" in told) == (way == "hnsw"), told
        assert ("exact: compared what matches with all its parts, 1 rows." in told) == (way == "exact"), told
        assert ("exact: compared" in told) == (way == "exact"), "what was found is not compared anew"


def test_nothing_stays_open_behind_a_walk(session: Session) -> None:
    assert len(session.execute(nearest(select(Image.image_id), BAG, regions=0.5, limit=50)).all()) == 50
    assert session.execute(text("SELECT count(*) FROM pg_cursors WHERE name LIKE '<unnamed%'")).scalar_one() == 0


def test_behind_a_wall_both_graphs_are_walked_and_nothing_is_lost(session: Session, large: Connection) -> None:
    truth = """SELECT i.image_id FROM imgsearch.vectors i JOIN imgsearch.regions r USING (tenant_id, image_id)
               WHERE i.tenant_id = 'acme' GROUP BY i.image_id, i.embedding
               ORDER BY least(i.embedding <=> %(q)s::halfvec, min(r.embedding <=> %(q)s::halfvec)) LIMIT 10"""
    session.execute(text("SET LOCAL ROLE imgsearch_reader"))
    session.execute(text("SELECT set_config('imgsearch.tenant', 'acme', true)"))
    ways, right = set(), 0
    for query in np.random.default_rng(2).normal(size=(12, DIMENSION)).tolist():
        rows = session.execute(nearest(select(Image.tenant_id, Image.image_id), query, regions=1, explained=True)).all()
        assert {row.tenant_id for row in rows} == {"acme"}
        assert len(rows) == 10
        ways |= {row.strategy for row in rows}
        wanted = {row[0] for row in large.execute(truth.encode(), {"q": str(query)})}
        right += len(wanted & {row.image_id for row in rows})
    assert right >= 119, "of 120"
    assert "hnsw" in ways


def test_pages_are_those_of_search(session: Session, large: Connection) -> None:
    for seed, query in enumerate(np.random.default_rng(4).normal(size=(5, DIMENSION)).tolist()):
        hits = search(large, query, regions=(1, 0.5)[seed % 2], per="image", k=20)
        asked = nearest(select(Image.image_id), query, regions=(1, 0.5)[seed % 2], limit=20)
        assert len({row.image_id for row in session.execute(asked)} & {hit.image_id for hit in hits}) >= 19


def test_without_the_weight_parts_are_not_read_at_all(session: Session) -> None:
    read = text("SELECT coalesce(sum(seq_scan + idx_scan), 0) FROM pg_stat_xact_user_tables WHERE relname = 'region_1'")
    for more in ({}, {"regions": 0}, {"regions": 0, "boxed": True}, {"per": Image.product_id}):
        session.execute(nearest(select(Image), BAG, **more)).all()
        assert session.execute(read).scalar_one() == 0
